import { describe, expect, it } from 'vitest';

import {
  asCurl,
  bareSelector,
  errorPlace,
  selectorsOf,
  selectorText,
  suggestFor,
  unitOfQuery,
} from './promql';
import type { Unit } from './units';

describe('selectors of a query', () => {
  it('finds every one with its matchers', () => {
    const found = selectorsOf('sum by (mode) (rate(cpu{mode!="idle",job=~"a|b"}[5m])) / on() up{job="x"}');
    expect(found.map((s) => s.metric)).toEqual(['cpu', 'up']);
    expect(found[0]?.matchers).toEqual([
      { name: 'mode', op: '!=', value: 'idle' },
      { name: 'job', op: '=~', value: 'a|b' },
    ]);
  });

  it('reads quoted names and __name__', () => {
    expect(selectorsOf('{"my.metric", "a.b"="c"}')[0]).toMatchObject({
      metric: 'my.metric',
      matchers: [{ name: 'a.b', op: '=', value: 'c' }],
    });
    expect(selectorsOf('{__name__="up", job="x"}')[0]).toMatchObject({ metric: 'up' });
  });

  it('writes one back so that it means the same', () => {
    const [selector] = selectorsOf('x{path="C:\\\\dir", q="say \\"hi\\""}');
    expect(selector?.matchers.map((m) => m.value)).toEqual(['C:\\dir', 'say "hi"']);
    expect(selector && selectorText(selector)).toBe('{__name__="x",path="C:\\\\dir",q="say \\"hi\\""}');
  });

  it('finds none in numbers and in nothing', () => {
    expect(selectorsOf('1 + 2')).toEqual([]);
    expect(selectorsOf('')).toEqual([]);
  });
});

describe('the unit of a query', () => {
  it.each<[string, Unit]>([
    ['node_memory_MemFree_bytes', 'bytes'],
    ['rate(node_network_receive_bytes_total[5m])', 'bytes/s'],
    ['sum by (device) (rate(node_network_receive_bytes_total[5m]))', 'bytes/s'],
    ['increase(http_requests_total[1h])', 'count'],
    ['rate(http_requests_total[5m])', '/s'],
    ['rate(node_cpu_seconds_total[5m])', 'seconds/s'],
    ['node_filesystem_avail_bytes / node_filesystem_size_bytes', 'ratio'],
    ['100 * node_filesystem_avail_bytes / node_filesystem_size_bytes', 'ratio'],
    ['(a_bytes / b_bytes) * 100', 'percent'],
    ['1 - node_filesystem_avail_bytes / node_filesystem_size_bytes', 'ratio'],
    ['histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))', 'seconds'],
    ['rate(x_seconds_sum[5m]) / rate(x_seconds_count[5m])', 'seconds'],
    ['time() - node_boot_time_seconds', 'seconds'],
    ['count(up)', 'count'],
    ['up == bool 1', 'bool'],
    ['node_memory_MemFree_bytes > 100', 'bytes'],
    ['max_over_time(process_resident_memory_bytes[1h:1m] offset 1d)', 'bytes'],
    ['-node_memory_MemFree_bytes', 'bytes'],
    ['topk(3, scrape_duration_seconds)', 'seconds'],
    ['node_memory_MemFree_bytes / 1024', 'none'],
    ['node_load1', 'none'],
    ['1 + 1', 'none'],
    ['sum(', 'none'],
  ])('%s is %s', (query, unit) => expect(unitOfQuery(query).unit).toBe(unit));

  it('explains itself', () => {
    expect(unitOfQuery('rate(node_network_receive_bytes_total[5m])').because).toEqual([
      'node_network_receive_bytes_total measures bytes: its name says “_bytes”',
      'rate() makes it bytes per second',
    ]);
  });
});

describe('suggestions from types', () => {
  const types: Record<string, string> = { reqs_total: 'counter', lat: 'histogram', mem: 'gauge' };
  const typeOf = (metric: string) => types[metric];

  it('offers the rate of a counter', () => {
    expect(suggestFor('reqs_total{job="x"}', typeOf)?.query).toBe('rate(reqs_total{job="x"}[5m])');
  });
  it('offers a quantile of buckets', () => {
    expect(suggestFor('lat_bucket', typeOf)?.query).toBe(
      'histogram_quantile(0.95, sum by (le) (rate(lat_bucket[5m])))',
    );
  });
  it('offers nothing where nothing is wrong', () => {
    expect(suggestFor('mem', typeOf)).toBeNull();
    expect(suggestFor('rate(reqs_total[5m])', typeOf)).toBeNull();
    expect(suggestFor('', typeOf)).toBeNull();
    expect(bareSelector('a + b')).toBeNull();
  });
});

describe('where an error points', () => {
  it('reads line and column', () => {
    expect(
      errorPlace('sum(', 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'),
    ).toEqual({
      from: 3,
      to: 4,
      message: 'unclosed left parenthesis',
    });
    expect(errorPlace('sum(foo)) by', '1:9: parse error: unexpected right parenthesis')).toMatchObject({
      from: 8,
      to: 9,
    });
  });

  it('marks the whole word', () => {
    const query = 'sum(nosuchfunc(up))';
    expect(errorPlace(query, '1:5: parse error: unknown function with name "nosuchfunc"')).toMatchObject({
      from: 4,
      to: 14,
    });
  });

  it('counts lines', () => {
    const query = 'sum(\n  rate(up[5m])\n) + + )';
    const place = errorPlace(query, '3:7: parse error: unexpected ")"');
    expect(query.slice(place.from, place.to)).toBe(')');
    expect(place.from).toBe(query.length - 1);
  });

  it('means the whole query without a position, and never reaches beyond it', () => {
    expect(errorPlace('up', 'query timed out')).toEqual({ from: 0, to: 2, message: 'query timed out' });
    const place = errorPlace('up', '9:99: parse error: odd');
    expect(place.from).toBeGreaterThanOrEqual(0);
    expect(place.to).toBeLessThanOrEqual(2);
  });
});

it('copies as a shell line that survives quotes', () => {
  expect(asCurl('http://h:9090', '/api/v1/query', { query: "up{a='b'}" })).toBe(
    "curl -sG 'http://h:9090/api/v1/query' \\\n  --data-urlencode 'query=up{a='\\''b'\\''}'",
  );
});
