import { describe, expect, it } from 'vitest';

import type { Target, TargetsResult } from '../../api/types';
import { countPools } from './pools';
import { countStates, itemsOf, selectorOf, type TargetFilter } from './targetData';

function target(pool: string, instance: string, health: Target['health'], lastError = ''): Target {
  return {
    discoveredLabels: { __address__: instance },
    labels: { job: pool, instance },
    scrapePool: pool,
    scrapeUrl: `http://${instance}/metrics`,
    lastError,
    lastScrape: '2026-11-20T06:37:44.5Z',
    lastScrapeDuration: 0.01,
    health,
    scrapeInterval: '15s',
    scrapeTimeout: '10s',
  };
}

const result: TargetsResult = {
  activeTargets: [
    target('api', 'a:1', 'up'),
    target('node', 'n:1', 'up'),
    target('node', 'n:2', 'down', 'connection refused'),
    target('node', 'n:3', 'unknown'),
  ],
  droppedTargets: [{ discoveredLabels: { __address__: 'd:1', job: 'gone' } }],
};
const all: TargetFilter = { text: '', state: 'all', pool: '' };
const names = (part: Partial<TargetFilter>) =>
  itemsOf(result, { ...all, ...part }).map((item) =>
    item.kind === 'target' ? item.target.labels['instance'] : item.found.discovered['__address__'],
  );

describe('the list', () => {
  it('puts trouble first', () => {
    expect(names({})).toEqual(['n:2', 'n:3', 'a:1', 'n:1']);
  });
  it('filters by state, pool, label and error', () => {
    expect(names({ state: 'down' })).toEqual(['n:2']);
    expect(names({ pool: 'api' })).toEqual(['a:1']);
    expect(names({ text: 'REFUSED node' })).toEqual(['n:2']);
    expect(names({ text: 'instance="n:1"' })).toEqual(['n:1']);
    expect(names({ text: 'kafka' })).toEqual([]);
  });
  it('shows what relabelling dropped', () => {
    expect(names({ state: 'dropped' })).toEqual(['d:1']);
  });
  it('is counted for the pool and the text chosen', () => {
    const pools = countPools({ ...result, droppedTargetCounts: { gone: 3 } });
    const check = (text: string, pool: string, counts: number[]) => {
      const { all: every, up, down, unknown, dropped } = countStates(result, pools, { text, pool });
      expect([every, up, down, unknown, dropped]).toEqual(counts);
    };
    check('', '', [4, 2, 1, 1, 3]);
    check('', 'node', [3, 1, 1, 1, 0]);
    check('', 'gone', [0, 0, 0, 0, 3]);
    check('d:1', '', [0, 0, 0, 0, 1]);
    check('n:', '', [3, 1, 1, 1, 0]);
  });
});

it('selects what a target gave', () => {
  expect(selectorOf({ job: 'a', instance: 'x"y', env: 'z' })).toBe('{job="a", instance="x\\"y"}');
});
