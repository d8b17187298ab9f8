import { describe, expect, it } from 'vitest';

import { progressOf, type BacktestPages, type BacktestReport } from '../../api/backtest';
import { alertsWords, comparisonWords, dayBars, pagesWords } from './backtestData';

const pages = (total: number): BacktestPages => ({
  total,
  perDay: total / 7,
  receivers: [
    { receiver: 'pager', pages: total, repeats: 2, resolved: 1 },
    { receiver: 'log', pages: 0, repeats: 0, resolved: 0 },
  ],
  days: [
    { day: '2026-11-19', pages: 2 },
    { day: '2026-11-20', pages: 4 },
  ],
});

const report = (alertCount: number, change = {}): BacktestReport => ({
  from: '2026-11-13T00:00:00Z',
  to: '2026-11-20T00:00:00Z',
  rules: [
    {
      group: 'try',
      name: 'Load',
      type: 'alerting',
      evaluations: 10,
      failedEvaluations: 0,
      alerting: {
        alerts: alertCount,
        pendingOnly: 1,
        flaps: 0,
        firing: 3_600 * alertCount,
        timeToFire: { p50: 300, max: 600 },
        for: 300,
        pages: 0,
        ...change,
      },
    },
  ],
  alerts: [],
  alertCount,
  pages: pages(6),
});

describe('a backtest in words', () => {
  it('says how often and how long it would have fired', () => {
    expect(alertsWords(report(3, { flaps: 2 }))).toBe(
      'It would have fired 3 times, for 3h in all; 1 alert went away before; 2 times it fired again within an hour; it took up to 10m to fire.',
    );
    expect(alertsWords(report(0, { pendingOnly: 0, timeToFire: { p50: null, max: null } }))).toBe(
      'It would never have fired.',
    );
  });
  it('says who would have been told', () => {
    expect(pagesWords(pages(6))).toBe('6 pages, 0.86 a day: pager 6 (2 repeats).');
    expect(pagesWords(pages(0))).toBe('Nobody would have been told.');
    expect(dayBars(report(1)).map((bar) => bar.share)).toEqual([0.5, 1]);
  });
  it('says how it differs from the rule in force', () => {
    const compare = { onlyInOldCount: 3, onlyInNewCount: 0, movedCount: 1, sameCount: 2, oldPages: pages(9) };
    expect(comparisonWords(compare, pages(6))).toBe(
      'Against the rule in force: 3 pages fewer; 3 alerts left out, 0 new, 1 at other times, 2 the same.',
    );
    const same = { ...compare, onlyInOldCount: 0, movedCount: 0, oldPages: pages(6) };
    expect(comparisonWords(same, pages(6))).toBe('The rule in force would have done the same.');
  });
});

it('lines tell how far a backtest is', () => {
  expect(progressOf('{"progress":0.25}')).toBe(0.25);
  expect(progressOf('{"status":"success"}')).toBeNull();
  expect(progressOf('{"prog')).toBeNull();
});
