import { describe, expect, it } from 'vitest';

import type { Target, TargetsResult } from '../../api/types';
import { countPools, emptyPool, scrapedOf, splitFailures, whyNone, type PoolCounts } from './pools';

function target(pool: string, health: Target['health']): Target {
  return {
    discoveredLabels: {},
    labels: {},
    scrapePool: pool,
    scrapeUrl: '',
    lastError: '',
    lastScrape: '',
    lastScrapeDuration: 0,
    health,
    scrapeInterval: '15s',
    scrapeTimeout: '10s',
  };
}

const result: TargetsResult = {
  activeTargets: [
    target('api', 'up'),
    target('node', 'up'),
    target('node', 'down'),
    target('node', 'unknown'),
  ],
  droppedTargets: [{ discoveredLabels: { job: 'gone' } }],
  invalidTargets: [{ discoveredLabels: {}, scrapePool: 'odd', error: 'no address' }],
  droppedTargetCounts: { api: 7, empty: 0 },
  discoveryFailures: ['silent: no answer', 'nobody’s'],
};

const none = emptyPool('p');

describe('pools', () => {
  it('are counted, those in trouble first, those without targets, too', () => {
    expect(countPools(result)).toEqual([
      { ...none, pool: 'node', up: 1, down: 1, unknown: 1 },
      { ...none, pool: 'odd', invalid: 1 },
      { ...none, pool: 'api', up: 1, dropped: 7, unkept: 7 },
      { ...none, pool: 'empty' },
      { ...none, pool: 'gone', dropped: 1 },
    ]);
    expect(countPools(result).map(scrapedOf)).toEqual([3, 0, 1, 0, 0]);
  });
  it('know what is wrong with their discovery', () => {
    const pools = countPools({ ...result, droppedTargetCounts: { silent: 0 } });
    expect(pools.find((one) => one.pool === 'silent')?.failures).toEqual(['no answer']);
    expect(splitFailures(['a: b: no'], ['a', 'a: b', 'c'])).toEqual([{ pool: 'a: b', failure: 'no' }]);
    expect(splitFailures(['x: no'], ['a'])).toEqual([{ pool: null, failure: 'x: no' }]);
  });
  it('say why they have no targets', () => {
    const check = (part: Partial<PoolCounts>, words: string) =>
      expect(whyNone({ ...none, ...part })).toContain(words);
    check({}, 'Discovery works, and names no target');
    check({ failures: ['no'] }, 'discovery fails');
    check({ dropped: 1 }, 'dropped the only target');
    check({ dropped: 1_200 }, 'dropped all 1,200');
    check({ invalid: 2 }, '2 found, none of which can be');
    check({ dropped: 2, invalid: 1 }, 'of 3 found, relabelling dropped 2, and 1 cannot');
  });
});
