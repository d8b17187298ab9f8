import { describe, expect, it } from 'vitest';

import type { Target, TargetsResult } from '../../api/types';
import { allFound, countFates, filterFound, unkeptOf } from './found';
import { countPools } from './pools';

const active = (pool: string, address: string, lastError = ''): Target => ({
  discoveredLabels: { __address__: address },
  labels: { instance: address, job: pool },
  scrapePool: pool,
  scrapeUrl: `http://${address}/metrics`,
  lastError,
  lastScrape: '',
  lastScrapeDuration: 0,
  health: lastError === '' ? 'up' : 'down',
  scrapeInterval: '15s',
  scrapeTimeout: '10s',
});
const droppedBy = { index: 1, rule: { action: 'drop', regex: 'x' } };
const result: TargetsResult = {
  activeTargets: [active('web', 'a:1'), active('db', 'b:1', 'connection refused')],
  droppedTargets: [{ discoveredLabels: { __address__: 'x:1' }, scrapePool: 'web', droppedBy }],
  droppedTargetCounts: { web: 5, db: 0, empty: 2 },
  invalidTargets: [
    { discoveredLabels: { __address__: 'a/b' }, scrapePool: 'web', error: 'not a valid hostname' },
  ],
};

describe('what was discovered', () => {
  const found = allFound(result);
  const pools = countPools(result);
  it('is listed with trouble first, and says what decided', () => {
    expect(found.map((one) => `${one.pool} ${one.fate}`)).toEqual([
      'web invalid',
      'web dropped',
      'db scraped',
      'web scraped',
    ]);
    expect(found[1]?.droppedBy).toEqual(droppedBy);
    expect(found[2]?.error).toBe('connection refused');
    expect(found[3]?.error).toBeUndefined();
  });
  it('is filtered by pool, fate and text', () => {
    const keys = (text: string, pool: string, state: 'all' | 'dropped') =>
      filterFound(found, { text, pool, state }).map((one) => one.key);
    expect(keys('', 'db', 'all')).toEqual(['scraped-1']);
    expect(keys('', '', 'dropped')).toEqual(['dropped-0']);
    expect(keys('valid HOSTNAME', '', 'all')).toEqual(['invalid-0']);
    expect(keys('instance="a:1"', '', 'all')).toEqual(['scraped-0']);
  });
  it('is counted for the pool and the text chosen, with those that the server did not keep', () => {
    const check = (text: string, pool: string, scraped: number, dropped: number, invalid: number) =>
      expect(countFates(found, pools, { text, pool })).toEqual({
        all: scraped + dropped + invalid,
        scraped,
        dropped,
        invalid,
      });
    check('', '', 2, 7, 1);
    check('', 'web', 1, 5, 1);
    check('', 'empty', 0, 2, 0);
    check('x:1', '', 0, 1, 0);
    expect([unkeptOf(pools, ''), unkeptOf(pools, 'web'), unkeptOf(pools, 'db')]).toEqual([6, 4, 0]);
  });
});
