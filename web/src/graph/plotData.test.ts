import { describe, expect, it } from 'vitest';

import {
  clickLegend,
  drawnValues,
  isolatedPoints,
  plotRange,
  readingsAt,
  tickIncrements,
  type PlotSeries,
} from './plotData';

const series = (key: string, ...values: (number | null)[]): PlotSeries => ({
  key,
  label: key,
  slot: 0,
  values,
});

describe('what is drawn', () => {
  it('is the values, or their pile', () => {
    const list = [series('a', 1, 2), series('b', 3, 4)];
    expect(drawnValues(list, false)).toEqual([[1, 2], [3, 4]]); // prettier-ignore
    expect(drawnValues(list, true)).toEqual([[4, 6], [3, 4]]); // prettier-ignore
  });

  it('shows points that stand alone', () => {
    expect(isolatedPoints([1, null, 2, 3, null, null, 4])).toEqual([0, 6]);
    expect(isolatedPoints([null, 5, null])).toEqual([1]);
    expect(isolatedPoints([1, 2, 3])).toEqual([]);
  });

  it('reaches its ceiling, from zero, or beyond if the data does', () => {
    expect(plotRange([[0.7, 0.71]], 'ratio', false, 1)).toEqual([0, 1]);
    expect(plotRange([[0.7, 1.2]], 'ratio', false, 1)[1]).toBe(1.2);
  });
});

it('reads under the crosshair, largest first, without gaps', () => {
  const list = [series('a', 1), series('b', null), series('c', 3)];
  expect(readingsAt(list, 0).map((r) => [r.series.key, r.value])).toEqual([
    ['c', 3],
    ['a', 1],
  ]);
  expect(readingsAt(list, 99)).toEqual([]);
});

describe('ticks', () => {
  it.each(['bytes', 'seconds', 'none'] as const)('of %s rise', (unit) => {
    const list = tickIncrements(unit);
    for (let i = 1; i < list.length; i += 1) expect(list[i]).toBeGreaterThan(list[i - 1] ?? Infinity);
  });
  it('of bytes are powers of two', () => expect(tickIncrements('bytes')).toContain(1024 ** 3));
  it('of seconds are minutes and hours', () =>
    expect(tickIncrements('seconds')).toEqual(expect.arrayContaining([60, 3_600])));
});

describe('the legend', () => {
  const keys = ['a', 'b', 'c'];
  const none = new Set<string>();
  it('hides and shows by click', () => {
    const hidden = clickLegend(none, keys, 'b', false);
    expect([...hidden]).toEqual(['b']);
    expect(clickLegend(hidden, keys, 'b', false).size).toBe(0);
  });
  it('leaves only one by alt-click, and all again by another', () => {
    const hidden = clickLegend(none, keys, 'b', true);
    expect([...hidden]).toEqual(['a', 'c']);
    expect(clickLegend(hidden, keys, 'b', true).size).toBe(0);
    expect([...clickLegend(hidden, keys, 'a', true)]).toEqual(['b', 'c']);
  });
  it('never hides the last', () => {
    expect(clickLegend(new Set(['a', 'b']), keys, 'c', false).size).toBe(0);
  });
});
