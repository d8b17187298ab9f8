import { describe, expect, it } from 'vitest';

import { alignInterval, chooseStep, limitStep, POINTS_MAX, rateWindow } from './step';

describe('choosing a step', () => {
  it.each([
    [3_600_000, 1_280, 10_000],
    [900_000, 1_280, 2_000],
    [30 * 86_400_000, 1_280, 7_200_000],
    [60_000, 1_280, 1_000],
  ])('%d ms over %d px is asked every %d ms', (span, width, step) =>
    expect(chooseStep(span, width)).toBe(step),
  );

  it('never asks for more points than the server gives', () => {
    for (const span of [1_000, 3_600_000, 86_400_000, 365 * 86_400_000, 3_650 * 86_400_000]) {
      for (const width of [0, 320, 1_280, 8_000]) {
        const step = chooseStep(span, width);
        expect(span / step).toBeLessThan(POINTS_MAX);
        expect(span / step).toBeLessThanOrEqual(2_000);
      }
    }
  });

  it('makes a chosen step coarser only where it must', () => {
    expect(limitStep(15_000, 3_600_000)).toBe(15_000);
    const week = 7 * 86_400_000;
    const limited = limitStep(1_000, week);
    expect(limited).toBeGreaterThan(1_000);
    expect(week / limited + 1).toBeLessThanOrEqual(POINTS_MAX);
  });
});

describe('aligning', () => {
  it('gives the same grid while the step does not change', () => {
    const first = alignInterval(1_000_000, 4_600_000, 10_000);
    expect(alignInterval(1_004_000, 4_604_000, 10_000)).toEqual(first);
    expect(first.endMs % 10_000).toBe(0);
    expect((first.endMs - first.startMs) % 10_000).toBe(0);
  });

  it('covers what was asked', () => {
    const { startMs, endMs } = alignInterval(1_003_700, 4_603_700, 15_000);
    expect(startMs).toBeLessThanOrEqual(1_003_700);
    expect(4_603_700 - endMs).toBeLessThan(15_000);
  });

  it('ends at most a minute ago, however coarse the step', () => {
    const now = 1_795_156_550_705;
    expect(now - alignInterval(now - 30 * 86_400_000, now, 7_200_000).endMs).toBeLessThan(60_000);
  });
});

describe('the window of a rate', () => {
  it('holds four scrapes, and no less than a step', () => {
    expect(rateWindow(15_000, 10_000)).toBe(60_000);
    expect(rateWindow(15_000, 300_000)).toBe(300_000);
    expect(rateWindow(1_000, 1_000)).toBe(20_000);
  });
});
