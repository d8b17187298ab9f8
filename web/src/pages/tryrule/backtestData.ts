// A backtest's report in sentences and bars.
import type { BacktestPages, BacktestReport } from '../../api/backtest';
import { readableSpan } from '../../lib/time';
import { plainNumber } from '../../lib/units';

const count = (n: number, one: string, many: string) =>
  `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;

/** Of all its alerting rules together; times to fire are of the first. */
export function alertsWords({ rules, alertCount }: BacktestReport): string {
  const alerting = rules.flatMap((rule) => (rule.alerting ? [rule.alerting] : []));
  const sum = (of: (one: (typeof alerting)[number]) => number) =>
    alerting.reduce((all, one) => all + of(one), 0);
  const pendingOnly = sum((one) => one.pendingOnly);
  const parts: string[] = [];
  if (alertCount === 0) parts.push('It would never have fired');
  else
    parts.push(
      `It would have fired ${count(alertCount, 'time', 'times')}, for ${readableSpan(sum((one) => one.firing) * 1_000)} in all`,
    );
  if (pendingOnly > 0) parts.push(`${count(pendingOnly, 'alert', 'alerts')} went away before`);
  const flaps = sum((one) => one.flaps);
  if (flaps > 0) parts.push(`${count(flaps, 'time', 'times')} it fired again within an hour`);
  const max = alerting[0]?.timeToFire.max ?? null;
  if (max !== null && max > 0) parts.push(`it took up to ${readableSpan(max * 1_000)} to fire`);
  return `${parts.join('; ')}.`;
}

export function pagesWords({ total, perDay, receivers }: BacktestPages): string {
  if (total === 0) return 'Nobody would have been told.';
  const each = receivers
    .filter((one) => one.pages > 0)
    .map(
      (one) =>
        `${one.receiver} ${one.pages.toLocaleString('en-US')}${one.repeats > 0 ? ` (${one.repeats.toLocaleString('en-US')} repeats)` : ''}`,
    );
  return `${count(total, 'page', 'pages')}, ${plainNumber(perDay, 2)} a day: ${each.join(', ')}.`;
}

export function comparisonWords(
  compare: NonNullable<BacktestReport['compare']>,
  pages: BacktestPages,
): string {
  const { onlyInOldCount, onlyInNewCount, movedCount, sameCount, oldPages } = compare;
  const more = pages.total - oldPages.total;
  const change =
    more === 0 ? 'as many pages' : `${count(Math.abs(more), 'page', 'pages')} ${more > 0 ? 'more' : 'fewer'}`;
  if (onlyInOldCount + onlyInNewCount + movedCount === 0 && more === 0)
    return sameCount === 0
      ? 'The rule in force would have done as little.'
      : 'The rule in force would have done the same.';
  return `Against the rule in force: ${change}; ${count(onlyInOldCount, 'alert', 'alerts')} left out, ${onlyInNewCount.toLocaleString('en-US')} new, ${movedCount.toLocaleString('en-US')} at other times, ${sameCount.toLocaleString('en-US')} the same.`;
}

/** Days with pages, each with its share of the worst. */
export function dayBars({
  pages: { days },
}: BacktestReport): { day: string; pages: number; share: number }[] {
  const most = days.reduce((all, one) => Math.max(all, one.pages), 0);
  return days.map(({ day, pages }) => ({ day, pages, share: most === 0 ? 0 : pages / most }));
}
