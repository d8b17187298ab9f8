// What a graph draws, made from columns: pure, so that it can be tested without a canvas.
import { stack, yRange } from '../lib/series';
import { tickBase, type Unit } from '../lib/units';

export interface PlotSeries {
  key: string;
  label: string;
  /** Palette slot. */
  slot: number;
  values: (number | null)[];
  /** A line that others are compared with: dashed, and of its own colour. */
  isThreshold?: boolean;
}

/** The columns as uPlot draws them; stacked ones stand on each other. */
export function drawnValues(series: readonly PlotSeries[], stacked: boolean): (number | null)[][] {
  const columns = series.map((one) => one.values);
  return stacked ? stack(columns) : columns;
}

/** Points with a gap on both sides: a line has no length there, so they are drawn as dots. */
export function isolatedPoints(values: readonly (number | null)[]): number[] {
  const found: number[] = [];
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] === null) continue;
    const alone = (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null;
    if (alone) found.push(i);
  }
  return found;
}

export function extent(columns: readonly (readonly (number | null)[])[]): [number, number] {
  let min = Infinity;
  let max = -Infinity;
  for (const column of columns) {
    for (const value of column) {
      if (value === null) continue;
      if (value < min) min = value;
      if (value > max) max = value;
    }
  }
  return [min, max];
}

export function plotRange(
  columns: readonly (readonly (number | null)[])[],
  unit: Unit,
  stacked: boolean,
  ceiling?: number,
): [number, number] {
  const [min, max] = extent(columns);
  const [low, high] = yRange(min, max, stacked || unit === 'bool' || ceiling !== undefined ? true : 'auto');
  return [low, ceiling !== undefined && ceiling > low ? Math.max(ceiling, max) : high];
}

export interface Reading {
  series: PlotSeries;
  value: number;
}

/** What stands under the crosshair, largest first. */
export function readingsAt(series: readonly PlotSeries[], index: number): Reading[] {
  const found: Reading[] = [];
  for (const one of series) {
    const value = one.values[index];
    if (value !== null && value !== undefined) found.push({ series: one, value });
  }
  return found.sort((a, b) => b.value - a.value);
}

/** Distances between ticks that are round in the unit. */
export function tickIncrements(unit: Unit): number[] {
  const list: number[] = [];
  switch (tickBase(unit)) {
    case 2:
      for (let power = 0; power <= 62; power += 1) list.push(2 ** power);
      return list;
    case 60: {
      for (let power = -9; power <= -1; power += 1)
        for (const digit of [1, 2, 5]) list.push(digit * 10 ** power);
      list.push(
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1_800,
        3_600,
        7_200,
        10_800,
        21_600,
        43_200,
        86_400,
      );
      for (let days = 2; days <= 1 << 20; days *= 2) list.push(days * 86_400);
      return list;
    }
    default:
      for (let power = -12; power <= 18; power += 1)
        for (const digit of [1, 2, 2.5, 5]) list.push(digit * 10 ** power);
      return list;
  }
}

/** Which series are shown after a click on one of the legend's names. */
export function clickLegend(
  hidden: ReadonlySet<string>,
  keys: readonly string[],
  key: string,
  only: boolean,
): Set<string> {
  if (only) {
    const alone = !hidden.has(key) && keys.every((other) => other === key || hidden.has(other));
    return alone ? new Set() : new Set(keys.filter((other) => other !== key));
  }
  const next = new Set(hidden);
  if (next.has(key)) next.delete(key);
  else next.add(key);
  // Hiding the last one would leave an empty graph: show them all again.
  return keys.every((other) => next.has(other)) ? new Set() : next;
}
