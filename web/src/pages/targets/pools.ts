// Pools: how their targets are, and why one has none.
import type { TargetsResult } from '../../api/types';
import { poolOfDropped } from './found';

export interface PoolCounts {
  pool: string;
  up: number;
  down: number;
  unknown: number;
  /** Those that the server did not keep included. */
  dropped: number;
  unkept: number;
  invalid: number;
  /** What is wrong with its discovery. */
  failures: string[];
}

/** `pool-2` before `pool-10`. */
const names = new Intl.Collator('en', { numeric: true });

export function scrapedOf(counts: PoolCounts): number {
  return counts.up + counts.down + counts.unknown;
}

export function emptyPool(pool: string): PoolCounts {
  return { pool, up: 0, down: 0, unknown: 0, dropped: 0, unkept: 0, invalid: 0, failures: [] };
}

/** All pools, those in trouble first, then by name. One that has no targets is a pool, too. */
export function countPools(result: TargetsResult): PoolCounts[] {
  const pools = new Map<string, PoolCounts>();
  const at = (pool: string) => {
    const found = pools.get(pool) ?? emptyPool(pool);
    pools.set(pool, found);
    return found;
  };
  for (const target of result.activeTargets) at(target.scrapePool)[target.health] += 1;
  for (const target of result.droppedTargets) at(poolOfDropped(target)).dropped += 1;
  for (const target of result.invalidTargets ?? []) at(target.scrapePool).invalid += 1;
  for (const [pool, count] of Object.entries(result.droppedTargetCounts ?? {})) {
    const counts = at(pool);
    counts.unkept = Math.max(0, count - counts.dropped);
    counts.dropped += counts.unkept;
  }
  for (const { pool, failure } of splitFailures(result.discoveryFailures ?? [], [...pools.keys()])) {
    if (pool !== null) at(pool).failures.push(failure);
  }
  return [...pools.values()].sort(
    (a, b) => Number(isTrouble(b)) - Number(isTrouble(a)) || names.compare(a.pool, b.pool),
  );
}

/** The server says `pool: what failed`; a pool's name may hold a colon itself. */
export function splitFailures(
  failures: readonly string[],
  pools: readonly string[],
): { pool: string | null; failure: string }[] {
  return failures.map((text) => {
    const owners = pools.filter((pool) => text.startsWith(`${pool}: `));
    const pool = owners.reduce<string | null>(
      (longest, one) => (longest === null || one.length > longest.length ? one : longest),
      null,
    );
    return { pool, failure: pool === null ? text : text.slice(pool.length + 2) };
  });
}

function isTrouble(counts: PoolCounts): boolean {
  return counts.down > 0 || counts.invalid > 0 || counts.failures.length > 0;
}

/** Why nothing of a pool is scraped. */
export function whyNone(counts: PoolCounts): string {
  const { dropped, invalid, failures } = counts;
  const many = (count: number) => count.toLocaleString('en-US');
  if (dropped > 0 && invalid > 0)
    return `Nothing is scraped: of ${many(dropped + invalid)} found, relabelling dropped ${many(dropped)}, and ${many(invalid)} cannot be scraped.`;
  if (dropped === 1) return 'Nothing is scraped: relabelling dropped the only target found.';
  if (dropped > 0) return `Nothing is scraped: relabelling dropped all ${many(dropped)} found.`;
  if (invalid > 0) return `Nothing is scraped: ${many(invalid)} found, none of which can be.`;
  if (failures.length > 0) return 'Nothing was found, for discovery fails.';
  return 'Nothing was found. Discovery works, and names no target.';
}
