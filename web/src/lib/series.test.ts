import { describe, expect, it } from 'vitest';

import { stack, summarize, toFrame, yRange } from './series';

describe('answers on their grid', () => {
  it('leaves gaps where samples are missing, stale or no number', () => {
    const frame = toFrame(
      [
        {
          metric: { job: 'a' },
          values: [
            [0, '1'],
            [20, 'NaN'],
            [30, '+Inf'],
            [40, '5'],
          ],
        },
      ],
      0,
      50_000,
      10_000,
    );
    expect(frame.times).toEqual([0, 10, 20, 30, 40, 50]);
    expect(frame.columns[0]?.values).toEqual([1, null, null, null, 5, null]);
  });

  it('survives steps of a fraction of a second', () => {
    const values = Array.from({ length: 11 }, (_, i): [number, string] => [
      1_795_156_550.1 + i * 0.1,
      String(i),
    ]);
    const frame = toFrame([{ metric: {}, values }], 1_795_156_550_100, 1_795_156_551_100, 100);
    expect(frame.columns[0]?.values).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('drops what lies outside', () => {
    const frame = toFrame([{ metric: {}, values: [[-10, '1'], [60, '2'], [10, '3']] }], 0, 20_000, 10_000); // prettier-ignore
    expect(frame.columns[0]?.values).toEqual([null, 3, null]);
  });
});

it('summarizes without the gaps; the last value is a gap if it is one', () => {
  expect(summarize([1, null, 3])).toEqual({ last: 3, min: 1, max: 3, mean: 2, count: 2 });
  expect(summarize([1, null])?.last).toBeNull();
  expect(summarize([null, null])).toBeNull();
});

describe('stacking', () => {
  it('sets each column on those after it', () => {
    expect(stack([[1, 2], [10, 20], [100, 200]])).toEqual([[111, 222], [110, 220], [100, 200]]); // prettier-ignore
  });
  it('keeps gaps, and lets them add nothing', () => {
    expect(stack([[1, 1], [null, 10]])).toEqual([[1, 11], [null, 10]]); // prettier-ignore
  });
  it('stacks below zero apart from above', () => {
    expect(stack([[5], [-3], [2], [-1]])).toEqual([[7], [-4], [2], [-1]]);
  });
  it('of nothing is nothing', () => expect(stack([])).toEqual([]));
});

describe('the y-range', () => {
  it('begins at zero where that hides nothing', () => expect(yRange(20, 100)[0]).toBe(0));
  it('leaves zero where it would flatten the signal', () => {
    const [low, high] = yRange(1_000, 1_010);
    expect(low).toBeGreaterThan(900);
    expect(high).toBeLessThan(1_100);
    expect(low).toBeLessThan(1_000);
    expect(high).toBeGreaterThan(1_010);
  });
  it('shows a constant with its distance from zero', () => expect(yRange(5, 5)).toEqual([0, 5.25]));
  it('has a height for zero and for nothing', () => {
    expect(yRange(0, 0)).toEqual([0, 1]);
    expect(yRange(Infinity, -Infinity)).toEqual([0, 1]);
  });
  it('holds both sides of zero', () => {
    const [low, high] = yRange(-3, 8);
    expect(low).toBeLessThanOrEqual(-3);
    expect(high).toBeGreaterThanOrEqual(8);
  });
});
