// What discovery found, target by target, and what became of it.
import type { RelabelRule, TargetsResult } from '../../api/types';
import type { Labels } from '../../lib/labels';
import { matchesText, poolOfDropped } from '../targets/targetData';

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
  /** Of one that cannot be scraped. */
  error?: string;
}

export interface PoolFound {
  pool: string;
  scraped: number;
  dropped: number;
  invalid: number;
  /** Dropped ones that the server did not keep. */
  unkept: number;
}

const RANK = { invalid: 0, dropped: 1, scraped: 2 } as const;

/** All that was discovered: by pool, trouble first. */
export function allFound(result: TargetsResult): Found[] {
  const found: Found[] = [
    ...(result.invalidTargets ?? []).map((target, i) => ({
      key: `invalid-${i}`,
      pool: target.scrapePool,
      discovered: target.discoveredLabels,
      fate: 'invalid' as const,
      error: target.error,
    })),
    ...result.droppedTargets.map((target, i) => ({
      key: `dropped-${i}`,
      pool: poolOfDropped(target),
      discovered: target.discoveredLabels,
      fate: 'dropped' as const,
      ...(target.droppedBy ? { droppedBy: target.droppedBy } : {}),
    })),
    ...result.activeTargets.map((target, i) => ({
      key: `scraped-${i}`,
      pool: target.scrapePool,
      discovered: target.discoveredLabels,
      fate: 'scraped' as const,
      labels: target.labels,
    })),
  ];
  return found.sort((a, b) => a.pool.localeCompare(b.pool) || RANK[a.fate] - RANK[b.fate]);
}

/** Pools by name with what became of their targets. */
export function countFound(result: TargetsResult, found: readonly Found[]): PoolFound[] {
  const pools = new Map<string, PoolFound>();
  const at = (pool: string) => {
    const counts = pools.get(pool) ?? { pool, scraped: 0, dropped: 0, invalid: 0, unkept: 0 };
    pools.set(pool, counts);
    return counts;
  };
  for (const one of found) at(one.pool)[one.fate] += 1;
  for (const [pool, count] of Object.entries(result.droppedTargetCounts ?? {})) {
    const counts = at(pool);
    counts.unkept = Math.max(0, count - counts.dropped);
    counts.dropped = Math.max(count, counts.dropped);
  }
  return [...pools.values()].sort((a, b) => a.pool.localeCompare(b.pool));
}

export interface FoundFilter {
  text: string;
  /** Empty means all. */
  pool: string;
  fate: Fate | 'all';
}

export function filterFound(found: readonly Found[], filter: FoundFilter): Found[] {
  const words = filter.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const textOf = (labels: Labels) =>
    Object.entries(labels)
      .map(([name, value]) => `${name}="${value}" ${name}=${value}`)
      .join(' ');
  return found.filter(
    (one) =>
      (filter.pool === '' || one.pool === filter.pool) &&
      (filter.fate === 'all' || one.fate === filter.fate) &&
      matchesText(words, [textOf(one.discovered), textOf(one.labels ?? {}), one.error ?? '']),
  );
}
