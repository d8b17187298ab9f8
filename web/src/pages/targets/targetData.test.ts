import { describe, expect, it } from 'vitest';

import type { Target, TargetsResult } from '../../api/types';
import { countPools, rowsOf, scrapedAtMs, selectorOf } from './targetData';

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
const all = { text: '', state: 'all', pool: '' } as const;
const names = (rows: ReturnType<typeof rowsOf>) =>
  rows.map((row) =>
    row.kind === 'pool'
      ? `# ${row.counts.pool}`
      : row.kind === 'target'
        ? row.target.labels['instance']
        : 'dropped',
  );

describe('pools', () => {
  it('are counted by state, those in trouble first', () => {
    expect(countPools(result)).toEqual([
      { pool: 'node', up: 1, down: 1, unknown: 1, dropped: 0 },
      { pool: 'api', up: 1, down: 0, unknown: 0, dropped: 0 },
      { pool: 'gone', up: 0, down: 0, unknown: 0, dropped: 1 },
    ]);
  });
  it('believe the server’s count of dropped targets over what it kept', () => {
    expect(
      countPools({ ...result, droppedTargetCounts: { node: 7 } }).find((p) => p.pool === 'node')?.dropped,
    ).toBe(7);
  });
});

describe('the list', () => {
  it('puts trouble first within each pool', () => {
    expect(names(rowsOf(result, all))).toEqual(['# node', 'n:2', 'n:3', 'n:1', '# api', 'a:1']);
  });
  it('filters by state, pool, label and error', () => {
    expect(names(rowsOf(result, { ...all, state: 'down' }))).toEqual(['# node', 'n:2']);
    expect(names(rowsOf(result, { ...all, pool: 'api' }))).toEqual(['# api', 'a:1']);
    expect(names(rowsOf(result, { ...all, text: 'REFUSED node' }))).toEqual(['# node', 'n:2']);
    expect(names(rowsOf(result, { ...all, text: 'instance="n:1"' }))).toEqual(['# node', 'n:1']);
    expect(rowsOf(result, { ...all, text: 'kafka' })).toEqual([]);
  });
  it('shows what relabelling dropped', () => {
    expect(names(rowsOf(result, { ...all, state: 'dropped' }))).toEqual(['# gone', 'dropped']);
  });
});

it('knows a target that was never scraped', () => {
  expect(scrapedAtMs({ ...target('a', 'a', 'unknown'), lastScrape: '0001-01-01T00:00:00Z' })).toBeNull();
  expect(scrapedAtMs(target('a', 'a', 'up'))).toBe(Date.parse('2026-11-20T06:37:44.5Z'));
});

it('selects what a target gave', () => {
  expect(selectorOf({ job: 'a', instance: 'x"y', env: 'z' })).toBe('{job="a", instance="x\\"y"}');
});
