import { describe, expect, it } from 'vitest';

import type { Target, TargetsResult } from '../../api/types';
import { allFound, countFound, filterFound } from './discoveryData';

const active = (pool: string, address: string): Target => ({
  discoveredLabels: { __address__: address },
  labels: { instance: address, job: pool },
  scrapePool: pool,
  scrapeUrl: `http://${address}/metrics`,
  lastError: '',
  lastScrape: '',
  lastScrapeDuration: 0,
  health: 'up',
  scrapeInterval: '15s',
  scrapeTimeout: '10s',
});
const droppedBy = { index: 1, rule: { action: 'drop', regex: 'x' } };
const result: TargetsResult = {
  activeTargets: [active('web', 'a:1'), active('db', 'b:1')],
  droppedTargets: [{ discoveredLabels: { __address__: 'x:1' }, scrapePool: 'web', droppedBy }],
  droppedTargetCounts: { web: 5, db: 0, empty: 2 },
  invalidTargets: [
    { discoveredLabels: { __address__: 'a/b' }, scrapePool: 'web', error: 'not a valid hostname' },
  ],
};

describe('what was discovered', () => {
  const found = allFound(result);
  it('is listed by pool with trouble first', () => {
    expect(found.map((one) => `${one.pool} ${one.fate}`)).toEqual([
      'db scraped',
      'web invalid',
      'web dropped',
      'web scraped',
    ]);
    expect(found[2]?.droppedBy).toEqual(droppedBy);
  });
  it('is counted, with those that the server did not keep', () => {
    expect(countFound(result, found)).toEqual([
      { pool: 'db', scraped: 1, dropped: 0, invalid: 0, unkept: 0 },
      { pool: 'empty', scraped: 0, dropped: 2, invalid: 0, unkept: 2 },
      { pool: 'web', scraped: 1, dropped: 5, invalid: 1, unkept: 4 },
    ]);
  });
  it('is filtered by pool, fate and text', () => {
    const keys = (text: string, pool: string, fate: 'all' | 'dropped') =>
      filterFound(found, { text, pool, fate }).map((one) => one.key);
    expect(keys('', 'db', 'all')).toEqual(['scraped-1']);
    expect(keys('', '', 'dropped')).toEqual(['dropped-0']);
    expect(keys('valid HOSTNAME', '', 'all')).toEqual(['invalid-0']);
    expect(keys('instance="a:1"', '', 'all')).toEqual(['scraped-0']);
  });
});
