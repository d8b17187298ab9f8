// Which lines an alert's graph draws: what its rule measures for this alert, and the threshold.
import type { PlotSeries } from '../../graph/plotData';
import { seriesText, shortName, varyingLabels, type Labels } from '../../lib/labels';
import type { Frame } from '../../lib/series';

/** More lines than this do not tell which is the alert's. */
export const LINES_MAX = 12;

/**
 * Whether a series can be the one that raised the alert: what both are labelled with agrees, but for labels that the
 * rule itself gives.
 */
export function isOf(series: Labels, alert: Labels, given: Labels): boolean {
  return Object.entries(series).every(
    ([name, value]) => name === '__name__' || name in given || !(name in alert) || alert[name] === value,
  );
}

export type Line = Omit<PlotSeries, 'slot'>;

/** The lines of what is measured that are this alert's; all of them if none is. */
export function linesOf(frame: Frame, alert: Labels, given: Labels): { lines: Line[]; left: number } {
  const own = frame.columns.filter((column) => isOf(column.labels, alert, given));
  const shown = own.length > 0 ? own : frame.columns;
  const varying = varyingLabels(shown.map((column) => column.labels));
  const lines = shown.slice(0, LINES_MAX).map((column): Line => ({
    key: column.key,
    label: shown.length === 1 ? seriesText(column.labels) : shortName(column.labels, varying),
    values: column.values,
  }));
  return { lines, left: shown.length - lines.length };
}

/** A threshold as a line across the graph. */
export function thresholdLine(value: number, words: string, count: number): Line {
  return {
    key: `threshold\u0000${words}`,
    label: words,
    values: new Array<number>(count).fill(value),
    isThreshold: true,
  };
}
