import { describe, expect, it } from 'vitest';

import type { PushSource } from '../../api/push';
import { toCsv } from '../../lib/csv';
import {
  countStates,
  CSV_HEADER,
  csvRow,
  DEFAULT_SORT,
  filterSources,
  many,
  nameOf,
  protocolWords,
  queryOf,
  readSource,
  sortFrom,
  sortSources,
  sortText,
  totalsOf,
  type SourceFilter,
} from './pushData';

const NOW_MS = Date.parse('2026-11-20T12:00:00Z');
const at = (secondsAgo: number) => new Date(NOW_MS - secondsAgo * 1_000).toISOString();

function source(userAgent: string, change: Partial<PushSource> = {}): PushSource {
  return {
    protocol: 'json',
    tenant: 'anonymous',
    address: '10.0.0.7',
    userAgent,
    firstSeen: at(600),
    lastSeen: at(5),
    requests: 60,
    samples: 600,
    samplesPerSecond: 1,
    refused: 0,
    errors: 0,
    bytes: 6_000,
    ...change,
  };
}

const read = (...sources: PushSource[]) => sources.map((one) => readSource(one, NOW_MS));

describe('how a source is', () => {
  const check = (change: Partial<PushSource>, expected: string) =>
    expect(readSource(source('a', change), NOW_MS).state).toBe(expected);

  it('is pushing while it was heard of lately', () => {
    check({}, 'pushing');
    check({ lastSeen: at(299) }, 'pushing');
    check({ lastSeen: at(301) }, 'silent');
  });

  it('may pause for as long as its pushes are apart, and some', () => {
    const hourly = { firstSeen: at(10 * 3_600), requests: 11 };
    check({ ...hourly, lastSeen: at(0) }, 'pushing');
    check({ ...hourly, firstSeen: at(12 * 3_600), lastSeen: at(2 * 3_600) }, 'pushing');
    check({ ...hourly, firstSeen: at(18 * 3_600), lastSeen: at(8 * 3_600) }, 'silent');
  });

  it('is silent after one push that nothing follows', () => {
    check({ firstSeen: at(400), lastSeen: at(400), requests: 1 }, 'silent');
    check({ firstSeen: at(3), lastSeen: at(3), requests: 1 }, 'pushing');
  });

  it('is failing if its last pushes went wrong, however long ago', () => {
    const lastError = 'line 3: no fields';
    check({ lastError, lastErrorTime: at(5) }, 'failing');
    check({ lastError, lastErrorTime: at(64) }, 'failing');
    check({ lastError, lastErrorTime: at(66) }, 'pushing');
    check({ lastSeen: at(9_000), lastError, lastErrorTime: at(9_000) }, 'failing');
  });

  it('is read from times that nobody can read', () => {
    const { state, firstSeenMs, lastErrorMs } = readSource(
      source('a', { firstSeen: 'nonsense', lastSeen: '', lastErrorTime: '0001-01-01T00:00:00Z' }),
      NOW_MS,
    );
    expect([state, firstSeenMs, lastErrorMs]).toEqual(['pushing', NOW_MS, null]);
  });
});

describe('what a source is called', () => {
  it('is what it calls itself, else where it is, else what listens', () => {
    expect(nameOf(source('Telegraf/1.30'))).toBe('Telegraf/1.30');
    expect(nameOf(source(''))).toBe('10.0.0.7');
    expect(nameOf(source('', { address: '', protocol: 'statsd' }))).toBe('StatsD listener');
  });

  it('says what Kymo writes by itself', () => {
    const aggregates = source('aggregate', { address: '', protocol: 'statsd' });
    expect(nameOf(aggregates)).toBe('Aggregates, written by Kymo');
    expect(nameOf({ ...aggregates, address: '10.0.0.7' })).toBe('aggregate');
  });

  it('goes with the protocol as people write it', () => {
    expect(protocolWords('remote_write')).toBe('Remote write');
    expect(protocolWords('remote_write2')).toBe('Remote write 2.0');
    expect(protocolWords('brand_new')).toBe('brand_new');
    expect(queryOf('otlp')).toContain('kymo_push_samples_total{protocol="otlp"}[5m]');
  });
});

it('counts in words', () => {
  expect([0, 1, 2_000].map((count) => many(count, 'push', 'pushes'))).toEqual([
    '0 pushes',
    '1 push',
    '2,000 pushes',
  ]);
});

describe('which sources are shown', () => {
  const sources = read(
    source('Telegraf/1.30', { protocol: 'influx', address: '10.0.0.1' }),
    source('Prometheus/3.5', { protocol: 'remote_write', tenant: 'ops', address: '10.0.0.2' }),
    source('job', { lastError: 'item 2: the metric name is missing', lastErrorTime: at(5), refused: 4 }),
    source('old', { firstSeen: at(9_000), lastSeen: at(8_000) }),
  );
  const names = (filter: Partial<SourceFilter>) =>
    filterSources(sources, { text: '', protocol: '', state: 'all', ...filter }).map(nameOf);

  it('is told by words anywhere in what is seen', () => {
    expect(names({})).toHaveLength(4);
    expect(names({ text: 'telegraf' })).toEqual(['Telegraf/1.30']);
    expect(names({ text: '10.0.0.2 PROM' })).toEqual(['Prometheus/3.5']);
    expect(names({ text: 'name is missing' })).toEqual(['job']);
    expect(names({ text: 'influxdb' })).toEqual(['Telegraf/1.30']);
    expect(names({ text: 'remote_write' })).toEqual(['Prometheus/3.5']);
    expect(names({ text: 'ops' })).toEqual(['Prometheus/3.5']);
    expect(names({ text: 'telegraf ops' })).toEqual([]);
  });

  it('is told by protocol and state', () => {
    expect(names({ protocol: 'influx' })).toEqual(['Telegraf/1.30']);
    expect(names({ state: 'failing' })).toEqual(['job']);
    expect(names({ state: 'silent' })).toEqual(['old']);
    expect(names({ state: 'silent', protocol: 'influx' })).toEqual([]);
  });

  it('is counted for the text and the protocol chosen', () => {
    const check = (text: string, protocol: string, all: number) =>
      expect(countStates(sources, { text, protocol }).all).toBe(all);
    expect(countStates(sources, { text: '', protocol: '' })).toEqual({ all: 4, failing: 1, pushing: 2, silent: 1 }); // prettier-ignore
    check('', 'influx', filterSources(sources, { text: '', protocol: 'influx', state: 'all' }).length);
    check('no such client', '', 0);
  });

  it('is summed up', () => {
    expect(totalsOf(sources)).toEqual({
      samplesPerSecond: 4,
      protocols: ['influx', 'json', 'remote_write'],
      tenants: 2,
    });
  });
});

describe('the order of sources', () => {
  const sources = read(
    source('c', { lastSeen: at(9_000), samples: 7 }),
    source('b', { lastSeen: at(1), samples: 9, samplesPerSecond: 0.5 }),
    source('a10', { lastSeen: at(40), samples: 7, samplesPerSecond: 12 }),
    source('a9', { lastSeen: at(100), samples: 5 }),
  );
  const order = (text: string, of = sources) => sortSources(of, sortFrom(text), NOW_MS).map(nameOf);

  it('begins with those heard of last, and holds still among those that push now', () => {
    expect(order('')).toEqual(['a10', 'b', 'a9', 'c']);
    expect(order('seen')).toEqual(['c', 'a9', 'a10', 'b']);
    const failing = source('z', { lastSeen: at(30), lastError: 'no', lastErrorTime: at(30) });
    expect(order('', [...sources, ...read(failing)])[0]).toBe('z');
  });

  it('is by any column, either way', () => {
    expect(order('client')).toEqual(['a9', 'a10', 'b', 'c']);
    expect(order('-client')).toEqual(['c', 'b', 'a10', 'a9']);
    expect(order('-samples')).toEqual(['b', 'a10', 'c', 'a9']);
    expect(order('-rate')).toEqual(['a10', 'a9', 'c', 'b']);
  });

  it('does not depend on the order of the answer', () => {
    const twins = read(source('x', { address: '10.0.0.2' }), source('x', { address: '10.0.0.1' }));
    const addresses = (of: typeof twins) => sortSources(of, DEFAULT_SORT, NOW_MS).map((one) => one.address);
    expect(addresses(twins)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(addresses([...twins].reverse())).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  it('travels in the URL', () => {
    for (const text of ['-seen', 'seen', 'client', '-rate']) expect(sortText(sortFrom(text))).toBe(text);
    for (const text of ['', 'nonsense', '-constructor', '__proto__'])
      expect(sortFrom(text)).toEqual(DEFAULT_SORT);
  });
});

it('a row as CSV has every heading’s cell', () => {
  const [one] = read(source('a,"b"', { lastError: 'line 3', lastErrorTime: at(5) }));
  const row = one ? csvRow(one) : [];
  expect(row).toHaveLength(CSV_HEADER.length);
  const csv = toCsv(CSV_HEADER, [row]);
  expect(csv).toContain('"a,""b""",10.0.0.7,json,anonymous,failing,60,600,1,0,0,6000,');
});
