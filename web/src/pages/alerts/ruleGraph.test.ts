import { describe, expect, it } from 'vitest';

import type { Labels } from '../../lib/labels';
import { isOf, linesOf, LINES_MAX, thresholdLine } from './ruleGraph';

const frame = (sets: Labels[]) => ({
  times: [1, 2],
  stepMs: 1_000,
  columns: sets.map((labels, i) => ({ key: String(i), labels, values: [1, 2] })),
});

describe('the graph of an alert', () => {
  const alert = { alertname: 'Load', instance: 'a', severity: 'page' };
  it('knows which series raised it', () => {
    expect(isOf({ __name__: 'load', instance: 'a' }, alert, {})).toBe(true);
    expect(isOf({ instance: 'b' }, alert, {})).toBe(false);
    // What the rule writes over tells nothing.
    expect(isOf({ instance: 'a', severity: 'other' }, alert, { severity: 'page' })).toBe(true);
    expect(isOf({ instance: 'a', cpu: '0' }, alert, {})).toBe(true);
  });
  it('draws those, or all', () => {
    const sets = [{ instance: 'a' }, { instance: 'b' }];
    expect(linesOf(frame(sets), alert, {}).lines.map((line) => line.label)).toEqual(['{instance="a"}']);
    expect(linesOf(frame(sets), { instance: 'gone' }, {}).lines.map((line) => line.label)).toEqual([
      'a',
      'b',
    ]);
    const many = Array.from({ length: LINES_MAX + 3 }, (_, i) => ({ instance: 'a', cpu: String(i) }));
    expect(linesOf(frame(many), alert, {}).left).toBe(3);
  });
  it('draws the threshold across', () => {
    expect(thresholdLine(5, '> 5', 3)).toMatchObject({ values: [5, 5, 5], isThreshold: true });
  });
});
