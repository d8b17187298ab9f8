// An alert's past as it is read: days and marks.
import type { TimelineEvent } from '../../api/alerts';
import { goTimeMs } from '../../lib/goTime';
import { localDate } from '../../lib/time';

/** How an event is marked: trouble, somebody was told, quiet, or anything else. */
export type Mark = 'bad' | 'ok' | 'warn' | 'none';

const MARKS: Record<string, Mark> = {
  firing: 'bad',
  received: 'bad',
  attempt_failed: 'bad',
  given_up: 'bad',
  nobody_to_tell: 'bad',
  pending: 'warn',
  notifying: 'warn',
  silence_ends_soon: 'warn',
  resolved: 'ok',
  ended: 'ok',
  delivered: 'ok',
  acknowledged: 'ok',
};

export const markOf = (kind: string): Mark => MARKS[kind] ?? 'none';

export interface TimelineRow {
  key: string;
  atMs: number;
  mark: Mark;
  text: string;
}

export interface TimelineDay {
  /** `2026-11-20`, in the viewer's zone. */
  day: string;
  rows: TimelineRow[];
}

/** By day, the newest first: what happened last is what one came for. */
export function readTimeline(events: readonly TimelineEvent[]): TimelineDay[] {
  const rows = events
    .map((event, i): TimelineRow => {
      const atMs = goTimeMs(event.at) ?? 0;
      return { key: `${i}|${event.at}|${event.kind}`, atMs, mark: markOf(event.kind), text: event.text };
    })
    .reverse();
  const days: TimelineDay[] = [];
  for (const row of rows) {
    const day = localDate(row.atMs);
    const last = days[days.length - 1];
    if (last?.day === day) last.rows.push(row);
    else days.push({ day, rows: [row] });
  }
  return days;
}
