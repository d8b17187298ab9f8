// Time on the pages: durations as PromQL writes them, ranges as the URL carries them, and how both are read aloud.
// All instants and spans are milliseconds, as numbers.

const UNIT_MS: Record<string, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};
const UNITS_FALLING = ['y', 'w', 'd', 'h', 'm', 's', 'ms'] as const;

/** A range that moves with the clock, or one that stands still. Bounds are inclusive. */
export type TimeRange =
  { kind: 'relative'; spanMs: number } | { kind: 'absolute'; startMs: number; endMs: number };

export interface Interval {
  startMs: number;
  endMs: number;
}

const DAY_MS = 86_400_000;

export const DEFAULT_RANGE: TimeRange = { kind: 'relative', spanMs: 3_600_000 };
export const SPAN_MIN_MS = 1_000;
/** Ten years: beyond it a range is a typing error. */
export const SPAN_MAX_MS = 10 * 31_536_000_000;

/** Reads `1h30m`, `5m`, `250ms`; units must fall, as in PromQL. `null` if it is none. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === '') return null;
  const whole = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(
    trimmed,
  );
  if (!whole) return null;
  let total = 0;
  UNITS_FALLING.forEach((unit, i) => {
    total += Number(whole[i + 1] ?? 0) * (UNIT_MS[unit] ?? 0);
  });
  return Number.isSafeInteger(total) ? total : null;
}

/** The shortest PromQL text of a duration: `1h30m`, `90d`, `0s`. Weeks and years only where they are whole. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = Math.round(ms);
  for (const unit of ['y', 'w'] as const) {
    const size = UNIT_MS[unit] ?? 1;
    if (rest % size === 0) return `${rest / size}${unit}`;
  }
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms'] as const) {
    const size = UNIT_MS[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) {
      text += `${count}${unit}`;
      rest -= count * size;
    }
  }
  return text;
}

/** How long, for a reader: the two largest units that matter (`3d 4h`, `12m 5s`, `420 ms`). */
export function readableSpan(ms: number): string {
  const abs = Math.abs(ms);
  if (abs < 1_000) return `${Math.round(abs)} ms`;
  if (abs < 60_000) return `${trimZeros((abs / 1_000).toFixed(abs < 10_000 ? 1 : 0))} s`;
  const steps: [number, string, number, string][] = [
    [60_000, 'm', 1_000, 's'],
    [3_600_000, 'h', 60_000, 'm'],
    [DAY_MS, 'd', 3_600_000, 'h'],
  ];
  let text = '';
  for (const [big, bigName, small, smallName] of steps) {
    // Rounded first: 59m 59.6s is an hour.
    const rounded = Math.round(abs / small) * small;
    if (rounded < big) break;
    const count = Math.floor(rounded / big);
    const rest = (rounded - count * big) / small;
    text = rest > 0 ? `${count}${bigName} ${rest}${smallName}` : `${count}${bigName}`;
  }
  return text;
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** `5 s ago`, `in 3m`, `just now`: no finer than matters, or it would tick without saying anything. */
export function ago(thenMs: number, nowMs: number): string {
  const span = nowMs - thenMs;
  const abs = Math.abs(span);
  if (abs < 1_000) return 'just now';
  const grain = abs < 60_000 ? 1_000 : abs < DAY_MS ? 60_000 : 3_600_000;
  const coarse = Math.floor(abs / grain) * grain;
  return span > 0 ? `${readableSpan(coarse)} ago` : `in ${readableSpan(coarse)}`;
}

export function resolveRange(range: TimeRange, nowMs: number): Interval {
  return range.kind === 'relative'
    ? { startMs: nowMs - range.spanMs, endMs: nowMs }
    : { startMs: range.startMs, endMs: range.endMs };
}

export function spanOf(range: TimeRange): number {
  return range.kind === 'relative' ? range.spanMs : range.endMs - range.startMs;
}

/**
 * Half a span back or forth. Stepping forward to now, or nearly, lands on the moving range again: time went on since
 * the step back.
 */
export function stepRange(range: TimeRange, direction: -1 | 1, nowMs: number): TimeRange {
  const { startMs, endMs } = resolveRange(range, nowMs);
  const span = endMs - startMs;
  const shift = (direction * span) / 2;
  if (direction === 1 && endMs + shift >= nowMs - span / 20) return { kind: 'relative', spanMs: span };
  return { kind: 'absolute', startMs: Math.round(startMs + shift), endMs: Math.round(endMs + shift) };
}

/** Twice the span: around the middle if it stands still, into the past if it moves. */
export function zoomOut(range: TimeRange, nowMs: number): TimeRange {
  const span = Math.min(spanOf(range) * 2, SPAN_MAX_MS);
  if (range.kind === 'relative') return { kind: 'relative', spanMs: span };
  const middle = (range.startMs + range.endMs) / 2;
  const endMs = Math.min(Math.round(middle + span / 2), nowMs);
  return { kind: 'absolute', startMs: endMs - span, endMs };
}

/** Zooming by drag; `null` when the drag was too short to be meant. */
export function zoomTo(startMs: number, endMs: number): TimeRange | null {
  const from = Math.round(Math.min(startMs, endMs));
  const to = Math.round(Math.max(startMs, endMs));
  return to - from < SPAN_MIN_MS ? null : { kind: 'absolute', startMs: from, endMs: to };
}

/** The URL's `range`, `from`, `to`. Nonsense falls back, so that a mangled link still shows a page. */
export function rangeFromParams(params: URLSearchParams, fallback: TimeRange = DEFAULT_RANGE): TimeRange {
  const from = parseInstant(params.get('from'));
  const to = parseInstant(params.get('to'));
  if (from !== null && to !== null && to - from >= SPAN_MIN_MS && to - from <= SPAN_MAX_MS) {
    return { kind: 'absolute', startMs: from, endMs: to };
  }
  const span = parseDuration(params.get('range') ?? '');
  if (span !== null && span >= SPAN_MIN_MS && span <= SPAN_MAX_MS) return { kind: 'relative', spanMs: span };
  return fallback;
}

export function rangeToParams(range: TimeRange, params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams(params);
  next.delete('range');
  next.delete('from');
  next.delete('to');
  if (range.kind === 'relative') {
    if (range.spanMs !== spanOf(DEFAULT_RANGE)) next.set('range', formatDuration(range.spanMs));
  } else {
    next.set('from', isoInstant(range.startMs));
    next.set('to', isoInstant(range.endMs));
  }
  return next;
}

/** RFC 3339 or Unix seconds. */
export function parseInstant(text: string | null): number | null {
  if (text === null || text.trim() === '') return null;
  const trimmed = text.trim();
  if (/^-?\d+(\.\d+)?$/.test(trimmed)) {
    const ms = Math.round(Number(trimmed) * 1_000);
    return Number.isSafeInteger(ms) ? ms : null;
  }
  const ms = Date.parse(trimmed);
  return Number.isNaN(ms) ? null : ms;
}

/** UTC, without a fraction that says nothing. */
export function isoInstant(ms: number): string {
  return new Date(ms).toISOString().replace(/\.000Z$/, 'Z');
}

const two = (n: number) => String(n).padStart(2, '0');

/** `2026-11-20 06:37:44` in the viewer's zone. */
export function localTime(ms: number): string {
  const d = new Date(ms);
  return `${localDate(ms)} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export function localDate(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

/** What hovering a time shows. */
export function utcTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** The value of `<input type="datetime-local" step="1">`, and back. */
export function toInputValue(ms: number): string {
  return localTime(ms).replace(' ', 'T');
}

export function fromInputValue(text: string): number | null {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

/** Labels of a time axis: as fine as the distance of its ticks asks, the date where the day changes. */
export function axisTimes(ticksMs: number[], stepMs: number): string[] {
  let lastDay = '';
  return ticksMs.map((ms) => {
    const d = new Date(ms);
    const day = `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    const newDay = day !== lastDay;
    const first = lastDay === '';
    lastDay = day;
    if (stepMs >= DAY_MS) return day;
    const clock =
      stepMs < 60_000
        ? `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
        : `${two(d.getHours())}:${two(d.getMinutes())}`;
    return newDay && !first ? `${clock}\n${day}` : clock;
  });
}
