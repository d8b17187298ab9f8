import { describe, expect, it } from 'vitest';

import {
  exploreFromParams,
  exploreToParams,
  fromPrometheusLink,
  refreshFromParams,
  type ExploreState,
} from './urlState';

describe('what Explore shows', () => {
  const states: ExploreState[] = [
    { queries: ['up'], tab: 'graph', stacked: false, stepMs: 0 },
    { queries: ['a{x="&=#+%"}', 'rate(b[5m])', ''], tab: 'table', stacked: true, stepMs: 15_000 },
  ];
  it.each(states)('survives the way through the URL: $queries', (state) => {
    const params = exploreToParams(state, new URLSearchParams('range=6h&q=old'));
    expect(params.get('range')).toBe('6h');
    expect(exploreFromParams(new URLSearchParams(params.toString()))).toEqual(state);
  });

  it('keeps an empty page’s URL empty', () => {
    expect(
      exploreToParams(
        { queries: [''], tab: 'graph', stacked: false, stepMs: 0 },
        new URLSearchParams(),
      ).toString(),
    ).toBe('');
  });

  it('shows a page for a mangled URL', () => {
    expect(exploreFromParams(new URLSearchParams('tab=nonsense&step=-1&stacked=yes'))).toEqual({
      queries: [''],
      tab: 'graph',
      stacked: false,
      stepMs: 0,
    });
  });

  it('bounds the number of queries', () => {
    const many = new URLSearchParams(Array.from({ length: 500 }, () => ['q', 'up']));
    expect(exploreFromParams(many).queries).toHaveLength(20);
  });
});

describe('links of Prometheus', () => {
  it('keep queries, tab and range', () => {
    const params = fromPrometheusLink(
      new URLSearchParams('g0.expr=up&g0.tab=1&g0.range_input=6h&g1.expr=rate(a[5m])'),
    );
    expect(params.getAll('q')).toEqual(['up', 'rate(a[5m])']);
    expect(params.get('tab')).toBe('table');
    expect(params.get('range')).toBe('6h');
  });
  it('keep the moment they were made for', () => {
    const params = fromPrometheusLink(
      new URLSearchParams({ 'g0.expr': 'up', 'g0.range_input': '1h', 'g0.end_input': '2026-11-20 06:00:00' }),
    );
    expect(params.get('from')).toBe('2026-11-20T05:00:00.000Z');
    expect(params.get('to')).toBe('2026-11-20T06:00:00.000Z');
  });
});

it('reads the refresh pace, or the page’s own', () => {
  const of = (text: string) => refreshFromParams(new URLSearchParams(text), 15_000);
  expect(of('')).toBe(15_000);
  expect(of('refresh=off')).toBe(0);
  expect(of('refresh=1m')).toBe(60_000);
  expect(of('refresh=1ms')).toBe(15_000);
});
