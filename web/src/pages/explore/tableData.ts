// Rows of a result table, from any type of answer.
import type { InstantResult } from '../../api/types';
import { seriesKey, seriesText, type Labels } from '../../lib/labels';
import { parseSample } from '../../lib/units';

export interface Row {
  key: string;
  labels: Labels;
  timeMs: number;
  value: number;
  /** The value as the server wrote it. */
  text: string;
  /** A native histogram in short; it has no single value. */
  histogram?: string;
}

export function rowsOf(data: InstantResult): Row[] {
  switch (data.resultType) {
    case 'scalar':
    case 'string': {
      const [time, text] = data.result;
      const value = data.resultType === 'scalar' ? parseSample(text) : NaN;
      const row: Row = { key: 'value', labels: {}, timeMs: time * 1_000, value, text };
      return [data.resultType === 'string' ? { ...row, histogram: text } : row];
    }
    case 'vector':
      return data.result.flatMap((series): Row[] => {
        const base = { key: seriesKey(series.metric), labels: series.metric };
        if (series.value) {
          const [time, text] = series.value;
          return [{ ...base, timeMs: time * 1_000, value: parseSample(text), text }];
        }
        if (series.histogram) {
          const [time, { count, sum }] = series.histogram;
          const histogram = `count ${count}, sum ${sum}`;
          return [{ ...base, timeMs: time * 1_000, value: parseSample(count), text: histogram, histogram }];
        }
        return [];
      });
    case 'matrix':
      return data.result.flatMap((series) =>
        (series.values ?? []).map(([time, text]) => ({
          key: `${seriesKey(series.metric)}@${time}`,
          labels: series.metric,
          timeMs: time * 1_000,
          value: parseSample(text),
          text,
        })),
      );
  }
}

/** More label columns than this do not fit; then the whole series is one column. */
const COLUMNS_MAX = 5;

/** The labels that differ become columns; what all rows share is said once, above. */
export function columnsOf(
  rows: readonly Row[],
  varying: readonly string[],
): { names: string[]; constant: string } {
  if (rows.length < 2 || varying.length === 0 || varying.length > COLUMNS_MAX)
    return { names: ['series'], constant: '' };
  const shared: Labels = { ...rows[0]?.labels };
  for (const name of varying) {
    // Labels not worth a column of their own vary, so they are not shared either.
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a copy of its own
    delete shared[name];
  }
  const names = varying.includes('__name__')
    ? ['__name__', ...varying.filter((n) => n !== '__name__')]
    : [...varying];
  return { names, constant: Object.keys(shared).length === 0 ? '' : seriesText(shared) };
}

export interface Sort {
  column: string;
  falling: boolean;
}

const collator = new Intl.Collator('en', { numeric: true });

export function sortRows(rows: readonly Row[], filter: string, sort: Sort | null): Row[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const found = rows.filter((row) => {
    if (words.length === 0) return true;
    const text = `${seriesText(row.labels)} ${row.text}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  if (sort === null) return found;
  const sign = sort.falling ? -1 : 1;
  if (sort.column === 'value') {
    // NaN has no place in an order: last either way.
    return found.sort((a, b) => {
      if (Number.isNaN(a.value) || Number.isNaN(b.value))
        return Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
      return sign * (a.value === b.value ? 0 : a.value < b.value ? -1 : 1);
    });
  }
  const textOf = (row: Row) =>
    sort.column === 'series' ? seriesText(row.labels) : (row.labels[sort.column] ?? '');
  return found.sort((a, b) => sign * collator.compare(textOf(a), textOf(b)));
}
