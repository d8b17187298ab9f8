// Targets that are scraped: filtered, counted and ordered, trouble first.
import type { Target, TargetsResult } from '../../api/types';
import type { Labels } from '../../lib/labels';
import { matchesText, textOfLabels, wordsOf } from '../../list/match';
import { countFates, droppedOnes, filterFound, type Found } from './found';
import type { PoolCounts } from './pools';

export type StateFilter = 'all' | 'up' | 'down' | 'unknown' | 'dropped';
export const STATES: readonly StateFilter[] = ['all', 'up', 'down', 'unknown', 'dropped'];

export interface TargetFilter {
  text: string;
  state: StateFilter;
  /** Empty means all. */
  pool: string;
}

export type Item =
  { kind: 'target'; key: string; target: Target } | { kind: 'dropped'; key: string; found: Found };

export function poolOfItem(item: Item): string {
  return item.kind === 'target' ? item.target.scrapePool : item.found.pool;
}

const RANK = { down: 0, unknown: 1, up: 2 } as const;

function matching(result: TargetsResult, filter: Omit<TargetFilter, 'state'>): Target[] {
  const words = wordsOf(filter.text);
  return result.activeTargets.filter(
    (target) =>
      (filter.pool === '' || target.scrapePool === filter.pool) &&
      matchesText(words, [
        target.scrapePool,
        target.scrapeUrl,
        target.lastError,
        textOfLabels(target.labels),
      ]),
  );
}

/** What the filter leaves. Dropped ones are shown only if asked for: they are no targets any more. */
export function itemsOf(result: TargetsResult, filter: TargetFilter): Item[] {
  if (filter.state === 'dropped') {
    return filterFound(droppedOnes(result), { ...filter, state: 'all' }).map((found) => ({
      kind: 'dropped',
      key: found.key,
      found,
    }));
  }
  return matching(result, filter)
    .filter((target) => filter.state === 'all' || target.health === filter.state)
    .sort((a, b) => RANK[a.health] - RANK[b.health])
    .map((target) => ({ kind: 'target', key: targetKey(target), target }));
}

/** How many each state would show beside the pool and the text chosen. */
export function countStates(
  result: TargetsResult,
  pools: readonly PoolCounts[],
  filter: Omit<TargetFilter, 'state'>,
): Record<StateFilter, number> {
  const { dropped } = countFates(droppedOnes(result), pools, filter);
  const counts = { all: 0, up: 0, down: 0, unknown: 0, dropped };
  for (const target of matching(result, filter)) {
    counts[target.health] += 1;
    counts.all += 1;
  }
  return counts;
}

function targetKey(target: Target): string {
  return `${target.scrapePool}\u0001${target.scrapeUrl}\u0001${JSON.stringify(target.labels)}`;
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
