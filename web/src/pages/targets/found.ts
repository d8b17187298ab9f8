// What discovery found, target by target, and what became of it.
import type { DroppedTarget, RelabelRule, TargetsResult } from '../../api/types';
import type { Labels } from '../../lib/labels';
import { matchesText, textOfLabels, wordsOf } from '../../list/match';
import type { PoolCounts } from './pools';

export type Fate = 'scraped' | 'dropped' | 'invalid';
export const FATES: readonly Fate[] = ['scraped', 'dropped', 'invalid'];

/** A discovered target. */
export interface Found {
  key: string;
  pool: string;
  discovered: Labels;
  fate: Fate;
  /** Of one that is scraped. */
  labels?: Labels;
  /** Of one that relabelling dropped. */
  droppedBy?: { index: number; rule: RelabelRule };
  /** Why it cannot be scraped, or why its last scrape failed. */
  error?: string;
}

const RANK = { invalid: 0, dropped: 1, scraped: 2 } as const;

/** All that was discovered: trouble first, then by pool. */
export function allFound(result: TargetsResult): Found[] {
  const found: Found[] = [
    ...(result.invalidTargets ?? []).map((target, i) => ({
      key: `invalid-${i}`,
      pool: target.scrapePool,
      discovered: target.discoveredLabels,
      fate: 'invalid' as const,
      error: target.error,
    })),
    ...droppedOnes(result),
    ...result.activeTargets.map((target, i) => ({
      key: `scraped-${i}`,
      pool: target.scrapePool,
      discovered: target.discoveredLabels,
      fate: 'scraped' as const,
      labels: target.labels,
      ...(target.health === 'down' ? { error: target.lastError } : {}),
    })),
  ];
  return found.sort((a, b) => RANK[a.fate] - RANK[b.fate] || a.pool.localeCompare(b.pool));
}

/** Those that relabelling dropped, as far as the server kept them. */
export function droppedOnes(result: TargetsResult): Found[] {
  return result.droppedTargets.map((target, i) => ({
    key: `dropped-${i}`,
    pool: poolOfDropped(target),
    discovered: target.discoveredLabels,
    fate: 'dropped' as const,
    ...(target.droppedBy ? { droppedBy: target.droppedBy } : {}),
  }));
}

export function poolOfDropped(target: DroppedTarget): string {
  return target.scrapePool ?? target.discoveredLabels['job'] ?? '';
}

export interface FoundFilter {
  text: string;
  /** Empty means all. */
  pool: string;
  state: Fate | 'all';
}

export function filterFound(found: readonly Found[], filter: FoundFilter): Found[] {
  const words = wordsOf(filter.text);
  return found.filter(
    (one) =>
      (filter.pool === '' || one.pool === filter.pool) &&
      (filter.state === 'all' || one.fate === filter.state) &&
      matchesText(words, [
        one.pool,
        textOfLabels(one.discovered),
        textOfLabels(one.labels ?? {}),
        one.error ?? '',
      ]),
  );
}

/** How many each fate would show beside the pool and the text chosen; without a text, also those the server did not keep. */
export function countFates(
  found: readonly Found[],
  pools: readonly PoolCounts[],
  filter: Omit<FoundFilter, 'state'>,
): Record<Fate | 'all', number> {
  const counts = { all: 0, scraped: 0, dropped: 0, invalid: 0 };
  for (const one of filterFound(found, { ...filter, state: 'all' })) counts[one.fate] += 1;
  if (wordsOf(filter.text).length === 0) counts.dropped += unkeptOf(pools, filter.pool);
  counts.all = counts.scraped + counts.dropped + counts.invalid;
  return counts;
}

/** Dropped ones that the server counted and did not keep, of one pool or of all (empty). */
export function unkeptOf(pools: readonly PoolCounts[], pool: string): number {
  return pools.reduce((sum, one) => sum + (pool === '' || one.pool === pool ? one.unkept : 0), 0);
}
