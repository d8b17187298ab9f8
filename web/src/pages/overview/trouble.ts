// What is wrong, found by asking for conditions over the last day: a condition that holds now is trouble, and
// where its unbroken run began is since when.
import type { RawSeries } from '../../lib/series';
import type { Labels } from '../../lib/labels';
import { formatValue, parseSample } from '../../lib/units';
import { exploreLink } from '../../lib/urlState';
import { FULL_DISKS } from './hosts';

export interface Condition {
  id: string;
  /** Answers only series for which it holds. */
  query: string;
  severity: 'bad' | 'warn';
  say: (labels: Labels, value: number) => { what: string; where: string };
  link: (labels: Labels) => string;
}

export interface Trouble {
  key: string;
  severity: 'bad' | 'warn';
  what: string;
  where: string;
  /** When its run began; null if it reaches beyond what was asked. */
  sinceMs: number | null;
  link: string;
}

export const LOOK_BACK_MS = 24 * 3_600_000;
export const LOOK_STEP_MS = 300_000;

const where = (labels: Labels) => {
  const instance = labels['instance'] ?? '';
  return labels['job'] === undefined ? instance : `${labels['job']} ${instance}`;
};

export function conditions(): Condition[] {
  return [
    {
      id: 'down',
      query: 'up == 0',
      severity: 'bad',
      say: (labels) => ({ what: 'Target is down', where: where(labels) }),
      link: (labels) =>
        `/targets?${new URLSearchParams({ state: 'down', find: labels['instance'] ?? '' }).toString()}`,
    },
    {
      id: 'disk',
      query: FULL_DISKS,
      severity: 'warn',
      say: (labels, value) => ({
        what: `${labels['mountpoint'] ?? 'A file system'} is ${formatValue(value, 'ratio', 3)} full`,
        where: where(labels),
      }),
      link: () => exploreLink(FULL_DISKS, { range: '1d' }),
    },
    {
      id: 'readonly',
      query: 'node_filesystem_device_error == 1',
      severity: 'warn',
      say: (labels) => ({
        what: `${labels['mountpoint'] ?? 'A file system'} cannot be read`,
        where: where(labels),
      }),
      link: () => exploreLink('node_filesystem_device_error == 1', { range: '1d' }),
    },
    {
      id: 'memory',
      query: '1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > 0.9',
      severity: 'warn',
      say: (labels, value) => ({
        what: `Memory is ${formatValue(value, 'ratio', 3)} used`,
        where: where(labels),
      }),
      link: () =>
        exploreLink('1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', { range: '1d' }),
    },
    {
      id: 'cpu',
      query: '1 - avg by (job, instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) > 0.95',
      severity: 'warn',
      say: (labels, value) => ({
        what: `Processors are ${formatValue(value, 'ratio', 3)} busy`,
        where: where(labels),
      }),
      link: () =>
        exploreLink('1 - avg by (job, instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))', {
          range: '1d',
        }),
    },
  ];
}

/** The run of samples that reaches `endMs`, if one does. */
export function currentRun(
  values: readonly (readonly [number, string])[],
  endMs: number,
  stepMs: number,
): { sinceMs: number; value: number } | null {
  const last = values[values.length - 1];
  if (!last || last[0] * 1_000 < endMs - stepMs / 2) return null;
  let first = values.length - 1;
  while (first > 0) {
    const gap = ((values[first]?.[0] ?? 0) - (values[first - 1]?.[0] ?? 0)) * 1_000;
    if (gap > stepMs * 1.5) break;
    first -= 1;
  }
  return { sinceMs: (values[first]?.[0] ?? 0) * 1_000, value: parseSample(last[1]) };
}

/** Trouble of one condition, from its range answer. */
export function troubleOf(
  condition: Condition,
  result: readonly RawSeries[],
  startMs: number,
  endMs: number,
  stepMs: number,
): Trouble[] {
  return result.flatMap((series) => {
    const run = currentRun(series.values ?? [], endMs, stepMs);
    if (!run) return [];
    const { what, where: place } = condition.say(series.metric, run.value);
    return [
      {
        key: `${condition.id}\u0001${place}\u0001${what.replace(/[\d.]+ %/, '')}`,
        severity: condition.severity,
        what,
        where: place,
        sinceMs: run.sinceMs - startMs < stepMs / 2 ? null : run.sinceMs,
        link: condition.link(series.metric),
      },
    ];
  });
}

/** Newest first; what began before all that was asked comes last. */
export function newestFirst(list: readonly Trouble[]): Trouble[] {
  return [...list].sort(
    (a, b) =>
      (b.sinceMs ?? 0) - (a.sinceMs ?? 0) ||
      a.severity.localeCompare(b.severity) ||
      a.where.localeCompare(b.where),
  );
}
