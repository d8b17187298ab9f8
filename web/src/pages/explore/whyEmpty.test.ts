import { describe, expect, it } from 'vitest';

import { whyEmpty, type Oracle, type Reason } from './whyEmpty';

/** A server with two series of `cpu` and a metric that ended. */
const stored = [
  { __name__: 'cpu', mode: 'idle', job: 'node' },
  { __name__: 'cpu', mode: 'user', job: 'other' },
];

const oracle: Oracle = {
  metricNames: () => Promise.resolve(['cpu', 'ended']),
  anySeries: (selector) => Promise.resolve(stored.some((series) => matches(selector, series))),
  labelValues: (label) =>
    Promise.resolve([
      ...new Set(stored.flatMap((series) => (label in series ? [series[label as 'mode']] : []))),
    ]),
  lastSeen: () => Promise.resolve(42_000),
};

function matches(selector: string, series: Record<string, string>): boolean {
  return [...selector.matchAll(/(\w+)(=~|=)"([^"]*)"/g)].every(([, name = '', op, value = '']) =>
    op === '=' ? (series[name] ?? '') === value : new RegExp(`^(?:${value})$`).test(series[name] ?? ''),
  );
}

async function check(query: string, expected: Partial<Reason>) {
  expect(await whyEmpty(query, { startMs: 0, endMs: 1_000 }, oracle)).toMatchObject(expected);
}

describe('why an answer is empty', () => {
  it('no such metric, with a repaired query', () =>
    check('rate(cpus[5m])', {
      kind: 'no-such-metric',
      metric: 'cpus',
      suggestions: [{ metric: 'cpu', query: 'rate(cpu[5m])' }],
    }));
  it('the metric ended', () =>
    check('ended', { kind: 'no-data-in-range', selector: 'ended', lastSeenMs: 42_000 }));
  it('one matcher lets nothing through, with the values there are', () =>
    check('cpu{job="node",mode="idel"}', {
      kind: 'matcher',
      matcher: 'mode="idel"',
      values: ['idle', 'user'],
      suggestions: [{ text: 'idle', query: 'cpu{job="node",mode="idle"}' }],
    }));
  it('the label does not exist', () =>
    check('cpu{region="eu"}', { kind: 'no-label', selector: 'cpu', label: 'region' }));
  it('each matcher finds some, no series satisfies all', () =>
    check('cpu{mode="idle",job="other"}', {
      kind: 'matchers-together',
      selector: 'cpu{mode="idle",job="other"}',
    }));
  it('the expression drops what there is', () => check('cpu > 1e9', { kind: 'expression' }));
  it('blames the side that is empty', () => check('cpu / cpus', { kind: 'no-such-metric', metric: 'cpus' }));
  it('a number selects nothing', () => check('vector(1) > 2', { kind: 'no-selector' }));
});
