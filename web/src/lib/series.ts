// Answers of the query API as columns: one shared time axis, one column of values a series, gaps as null.
import type { Labels } from './labels';
import { seriesKey } from './labels';
import { parseSample } from './units';

export interface RawSeries {
  metric: Labels;
  values?: [number, string][];
  histograms?: unknown[];
}

export interface Column {
  key: string;
  labels: Labels;
  values: (number | null)[];
}

export interface Frame {
  /** Unix seconds, as uPlot wants them; a full grid from start to end. */
  times: number[];
  columns: Column[];
  stepMs: number;
}

/** Puts a range answer on its grid. A sample that is missing, or is NaN, is a gap. */
export function toFrame(result: readonly RawSeries[], startMs: number, endMs: number, stepMs: number): Frame {
  const count = Math.floor((endMs - startMs) / stepMs) + 1;
  const times = Array.from({ length: count }, (_, i) => (startMs + i * stepMs) / 1_000);
  const columns = result.map((series) => {
    const values = new Array<number | null>(count).fill(null);
    for (const [time, sample] of series.values ?? []) {
      const at = Math.round((time * 1_000 - startMs) / stepMs);
      const value = parseSample(sample);
      if (at >= 0 && at < count && Number.isFinite(value)) values[at] = value;
    }
    return { key: seriesKey(series.metric), labels: series.metric, values };
  });
  return { times, columns, stepMs };
}

export interface Summary {
  last: number | null;
  min: number;
  max: number;
  mean: number;
  count: number;
}

export function summarize(values: readonly (number | null)[]): Summary | null {
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (value === null) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    count += 1;
  }
  if (count === 0) return null;
  return { last: values[values.length - 1] ?? null, min, max, mean: sum / count, count };
}

/**
 * Stacks columns: each stands on the ones after it, positive and negative apart. A gap adds nothing to the pile
 * and stays a gap itself.
 */
export function stack(columns: readonly (readonly (number | null)[])[]): (number | null)[][] {
  const length = columns[0]?.length ?? 0;
  const above = new Array<number>(length).fill(0);
  const below = new Array<number>(length).fill(0);
  const stacked = columns.map(() => new Array<number | null>(length).fill(null));
  for (let c = columns.length - 1; c >= 0; c -= 1) {
    const column = columns[c];
    const out = stacked[c];
    if (!column || !out) continue;
    for (let i = 0; i < length; i += 1) {
      const value = column[i];
      if (value === null || value === undefined) continue;
      const pile = value >= 0 ? above : below;
      pile[i] = (pile[i] ?? 0) + value;
      out[i] = pile[i] ?? null;
    }
  }
  return stacked;
}

/**
 * The y-range: from zero, unless zero would hide the signal (it moves within a tenth of its distance from zero).
 */
export function yRange(min: number, max: number, fromZero: boolean | 'auto' = 'auto'): [number, number] {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const span = max - min;
  const nearest = Math.min(Math.abs(min), Math.abs(max));
  const crosses = min <= 0 && max >= 0;
  const zero = fromZero === 'auto' ? crosses || span === 0 || span >= nearest / 10 : fromZero;
  if (zero) {
    const low = Math.min(0, min);
    const high = Math.max(0, max);
    if (low === high) return [0, 1];
    return [low < 0 ? low * 1.05 : 0, high > 0 ? high * 1.05 : 0];
  }
  const pad = span === 0 ? Math.abs(min) * 0.05 || 1 : span * 0.08;
  return [min - pad, max + pad];
}
