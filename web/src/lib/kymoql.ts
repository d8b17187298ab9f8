// What Kymo adds to PromQL, for the editor: completion, and who decides whether a query is one.
// The editor's grammar is Prometheus' own and takes Kymo's words for errors; then the server is asked.
import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import type { Diagnostic } from '@codemirror/lint';

import { ApiError, ask } from '../api/client';
import { errorPlace } from './promql';

const of = (type: string, names: Record<string, string>): Completion[] =>
  Object.entries(names).map(([label, detail]) => ({
    label,
    type,
    detail,
    info: 'Kymo’s own, not in Prometheus',
  }));

const BOUNDS: [string, string][] = [
  ['gt', 'greater than'],
  ['ge', 'greater or equal to'],
  ['lt', 'less than'],
  ['le', 'less or equal to'],
  ['eq', 'equal to'],
  ['ne', 'not equal to'],
];

export const FUNCTIONS: Completion[] = of('function', {
  increase_exact: 'increase, nothing extrapolated',
  rate_exact: 'rate, nothing extrapolated',
  lag: 'seconds since the last sample',
  tlast_change_over_time: 'when the value changed last',
  mode_over_time: 'most frequent value',
  median_over_time: 'median',
  distinct_over_time: 'number of different values',
  zscore_over_time: 'distance of the last sample from the mean',
  ...Object.fromEntries(
    BOUNDS.flatMap(([word, meaning]) => [
      [`count_${word}_over_time`, `samples ${meaning} a bound`],
      [`share_${word}_over_time`, `share of samples ${meaning} a bound`],
    ]),
  ),
  keep_last_value: 'gaps filled with the value before',
  keep_next_value: 'gaps filled with the value behind',
  interpolate: 'gaps filled with a line',
  union: 'series of all arguments',
  label_set: 'labels set to values',
  label_map: 'values of a label replaced',
  range_avg: 'mean over the whole query',
  range_sum: 'sum over the whole query',
  range_min: 'smallest over the whole query',
  range_max: 'largest over the whole query',
  range_first: 'first of the whole query',
  range_last: 'last of the whole query',
  range_median: 'median over the whole query',
  range_quantile: 'quantile over the whole query',
  range_stddev: 'standard deviation over the whole query',
  range_stdvar: 'variance over the whole query',
  range_mad: 'median distance from the median',
  range_zscore: 'distances from the mean',
  range_normalize: 'between 0 and 1',
  range_linear_regression: 'the line that fits best',
  range_trim_outliers: 'without outliers',
  range_trim_spikes: 'without the largest and smallest',
  range_trim_zscore: 'without what is far from the mean',
  running_sum: 'sum so far',
  running_avg: 'mean so far',
  running_min: 'smallest so far',
  running_max: 'largest so far',
});

export const AGGREGATIONS: Completion[] = of('keyword', {
  median: 'the middle of a group',
  share: 'parts of the sum',
  zscore: 'distances from the mean',
  outliers_iqr: 'series outside of the others',
  topk_max: 'series with the largest maximum',
  topk_min: 'series with the largest minimum',
  topk_avg: 'series with the largest mean',
  topk_last: 'series with the largest last value',
  bottomk_max: 'series with the smallest maximum',
  bottomk_min: 'series with the smallest minimum',
  bottomk_avg: 'series with the smallest mean',
  bottomk_last: 'series with the smallest last value',
});

export const OPERATORS: Completion[] = of('keyword', {
  default: 'where there is no sample',
  if: 'where there is one',
  ifnot: 'where there is none',
  WITH: 'names for parts of the query',
});

const ALL = [...FUNCTIONS, ...AGGREGATIONS, ...OPERATORS];

/** Completes Kymo's words where a word may stand: not in strings, braces and ranges. */
export function completeKymo(context: CompletionContext): CompletionResult | null {
  const word = context.matchBefore(/[A-Za-z_][A-Za-z0-9_]*/);
  if (!word) return null;
  const before = context.state.sliceDoc(0, word.from);
  if (isInside(before)) return null;
  return { from: word.from, options: ALL, validFor: /^[A-Za-z0-9_]*$/ };
}

/** Whether a text ends within a string, braces or a range. */
export function isInside(text: string): boolean {
  let quote = '';
  const open: string[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at] ?? '';
    if (quote !== '') {
      if (c === '\\' && quote !== '`') at += 1;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'" || c === '`') quote = c;
    else if (c === '{' || c === '[') open.push(c);
    else if (c === '}' || c === ']') open.pop();
  }
  return quote !== '' || open.length > 0;
}

/**
 * What is wrong with a query, in the server's eyes: what Prometheus' grammar refuses may be one of Kymo's words.
 * Without an answer the grammar's own findings stand.
 */
export async function askServer(query: string, found: readonly Diagnostic[]): Promise<readonly Diagnostic[]> {
  if (found.length === 0) return found;
  try {
    await ask('/parse_query', { query });
    return [];
  } catch (error) {
    if (!(error instanceof ApiError) || error.kind !== 'bad_request') return found;
    const place = errorPlace(query, error.message);
    return [{ from: place.from, to: place.to, message: place.message, severity: 'error' }];
  }
}
