// Targets, counted, filtered and ordered: trouble first.
import type { DroppedTarget, Target, TargetsResult } from '../../api/types';
import type { Labels } from '../../lib/labels';

export type StateFilter = 'all' | 'up' | 'down' | 'unknown' | 'dropped';
export const STATES: readonly StateFilter[] = ['all', 'up', 'down', 'unknown', 'dropped'];

export interface PoolCounts {
  pool: string;
  up: number;
  down: number;
  unknown: number;
  dropped: number;
}

/** Pools with trouble first, then by name. Pools that dropped everything are pools, too. */
export function countPools(result: TargetsResult): PoolCounts[] {
  const pools = new Map<string, PoolCounts>();
  const at = (pool: string) => {
    const found = pools.get(pool) ?? { pool, up: 0, down: 0, unknown: 0, dropped: 0 };
    pools.set(pool, found);
    return found;
  };
  for (const target of result.activeTargets) at(target.scrapePool)[target.health] += 1;
  const counts = result.droppedTargetCounts;
  if (counts) for (const [pool, count] of Object.entries(counts)) at(pool).dropped = count;
  else for (const target of result.droppedTargets) at(poolOfDropped(target)).dropped += 1;
  return [...pools.values()].sort(
    (a, b) => Number(b.down > 0) - Number(a.down > 0) || a.pool.localeCompare(b.pool),
  );
}

export function poolOfDropped(target: DroppedTarget): string {
  return target.scrapePool ?? target.discoveredLabels['job'] ?? '';
}

export type Row =
  | { kind: 'pool'; key: string; counts: PoolCounts }
  | { kind: 'target'; key: string; target: Target }
  | { kind: 'dropped'; key: string; target: DroppedTarget };

const RANK = { down: 0, unknown: 1, up: 2 } as const;

export interface TargetFilter {
  text: string;
  state: StateFilter;
  /** Empty means all. */
  pool: string;
}

function textOfLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value}" ${name}=${value}`)
    .join(' ');
}

/** Whether all words occur in what a target is called, carries or complains of. */
export function matchesText(words: readonly string[], parts: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = parts.join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

/** The page as a flat list, so that ten thousand targets scroll as well as ten. */
export function rowsOf(result: TargetsResult, filter: TargetFilter): Row[] {
  const words = filter.text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const byPool = new Map<string, Row[]>();
  const add = (pool: string, row: Row) => {
    const rows = byPool.get(pool);
    if (rows) rows.push(row);
    else byPool.set(pool, [row]);
  };
  if (filter.state === 'dropped') {
    result.droppedTargets.forEach((target, i) => {
      const pool = poolOfDropped(target);
      if (matchesText(words, [textOfLabels(target.discoveredLabels)])) {
        add(pool, { kind: 'dropped', key: `dropped-${i}`, target });
      }
    });
  } else {
    const chosen = result.activeTargets
      .filter((target) => filter.state === 'all' || target.health === filter.state)
      .filter((target) =>
        matchesText(words, [target.scrapeUrl, target.lastError, textOfLabels(target.labels)]),
      )
      .sort((a, b) => RANK[a.health] - RANK[b.health]);
    for (const target of chosen) add(target.scrapePool, { kind: 'target', key: targetKey(target), target });
  }
  const rows: Row[] = [];
  for (const counts of countPools(result)) {
    if (filter.pool !== '' && counts.pool !== filter.pool) continue;
    const own = byPool.get(counts.pool);
    if (!own) continue;
    rows.push({ kind: 'pool', key: `pool-${counts.pool}`, counts }, ...own);
  }
  return rows;
}

export function targetKey(target: Target): string {
  return `${target.scrapePool}\u0001${target.scrapeUrl}\u0001${JSON.stringify(target.labels)}`;
}

/** Go's zero time means: not yet. */
export function scrapedAtMs(target: Target): number | null {
  const ms = Date.parse(target.lastScrape);
  return Number.isNaN(ms) || ms <= 0 ? null : ms;
}

/** A selector that finds what a target gave. */
export function selectorOf(labels: Labels): string {
  const pairs = ['job', 'instance']
    .filter((name) => labels[name] !== undefined)
    .map((name) => `${name}=${JSON.stringify(labels[name])}`);
  return `{${pairs.join(', ')}}`;
}

/** Joins an instant vector to targets: by job and instance, which every scraped series carries. */
export function sampleKey(labels: Labels): string {
  return `${labels['job'] ?? ''}\u0001${labels['instance'] ?? ''}`;
}
