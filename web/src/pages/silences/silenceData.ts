// Silences: how each stands, which are shown, and what a form makes of what is typed.
import type { Silence, SilenceState, WantedSilence } from '../../api/alertmanager';
import { goTimeMs } from '../../lib/goTime';
import { fromApi, matchersFault, matchersText, parseMatchers, toApi, type Matcher } from '../../lib/matchers';
import { formatDuration, fromInputValue, parseDuration, toInputValue } from '../../lib/time';
import { matchesText, wordsOf } from '../../list/match';

export const SILENCE_STATES: readonly SilenceState[] = ['active', 'pending', 'expired'];

/** How long somebody wants quiet, mostly. */
export const DURATIONS_MS = [
  30 * 60_000,
  3_600_000,
  2 * 3_600_000,
  8 * 3_600_000,
  86_400_000,
  7 * 86_400_000,
];

/** `30 m`, `2 h`, `1 d`, `1 w`. */
export function durationWords(ms: number): string {
  return formatDuration(ms)
    .replace(/(\d+)([a-z]+)/g, '$1 $2 ')
    .trim();
}

export interface SilenceItem {
  key: string;
  silence: Silence;
  state: SilenceState;
  matchers: Matcher[];
  startsMs: number;
  endsMs: number;
}

/** Those that end next first; then those that begin next; then those that ended last. */
export function readSilences(silences: readonly Silence[]): SilenceItem[] {
  const items = silences.map((silence): SilenceItem => ({
    key: silence.id,
    silence,
    state: silence.status.state,
    matchers: silence.matchers.map(fromApi),
    startsMs: goTimeMs(silence.startsAt) ?? 0,
    endsMs: goTimeMs(silence.endsAt) ?? 0,
  }));
  return items.sort(
    (a, b) =>
      SILENCE_STATES.indexOf(a.state) - SILENCE_STATES.indexOf(b.state) ||
      (a.state === 'active'
        ? a.endsMs - b.endsMs
        : a.state === 'pending'
          ? a.startsMs - b.startsMs
          : b.endsMs - a.endsMs) ||
      (a.key < b.key ? -1 : 1),
  );
}

export interface SilenceFilter {
  text: string;
  state: SilenceState | 'all';
}

/** By words of its conditions (with quotes or without), comment, author and name. */
export function filterSilences(items: readonly SilenceItem[], { text, state }: SilenceFilter): SilenceItem[] {
  const words = wordsOf(text);
  return items.filter(
    ({ silence, matchers, state: own }) =>
      (state === 'all' || own === state) &&
      matchesText(words, [
        ...matchers.map((one) => `${matchersText([one])} ${one.name}${one.op}${one.value}`),
        silence.comment,
        silence.createdBy,
        silence.id,
      ]),
  );
}

export function countSilences(
  items: readonly SilenceItem[],
  text: string,
): Record<SilenceState | 'all', number> {
  const counts = { all: 0, active: 0, pending: 0, expired: 0 };
  for (const { state } of filterSilences(items, { text, state: 'all' })) {
    counts[state] += 1;
    counts.all += 1;
  }
  return counts;
}

/** Intervals in Alertmanager's syntax, read aloud: `sunday 02:00–04:00 Europe/Berlin`. */
export function recurrenceWords(intervals: readonly unknown[]): string {
  const one = (interval: unknown): string => {
    if (typeof interval !== 'object' || interval === null) return '';
    const parts = Object.entries(interval).map(([name, value]): string => {
      if (name === 'times' && Array.isArray(value))
        return value
          .map(
            (time: { start_time?: string; end_time?: string }) =>
              `${time.start_time ?? ''}–${time.end_time ?? ''}`,
          )
          .join(', ');
      return Array.isArray(value) ? value.map(String).join(', ') : String(value);
    });
    return parts.join(' ');
  };
  return intervals
    .map(one)
    .filter((words) => words !== '')
    .join('; ');
}

/** What a form holds: texts, as they are typed. */
export interface Draft {
  /** Of the silence whose place it takes; empty for a new one. */
  id: string;
  matchers: Matcher[];
  /** `<input type="datetime-local">`; empty: now. */
  startsAt: string;
  /** Until a time, or for so long. */
  ends: 'for' | 'until';
  duration: string;
  endsAt: string;
  comment: string;
}

/** A form's beginning from the page's address: `match`, `for`, `comment`. */
export function draftFromParams(params: URLSearchParams): Draft {
  const read = parseMatchers(params.getAll('match').join(','));
  const duration = params.get('for') ?? '';
  return {
    id: '',
    matchers: read.ok && read.value.length > 0 ? read.value : [{ name: '', op: '=', value: '' }],
    startsAt: '',
    ends: 'for',
    duration: parseDuration(duration) === null ? '2h' : duration,
    endsAt: '',
    comment: params.get('comment') ?? '',
  };
}

/** One that is changed keeps its end; one that is over is made anew, from now and for as long as it was. */
export function draftFromSilence(silence: Silence): Draft {
  const startsMs = goTimeMs(silence.startsAt) ?? 0;
  const endsMs = goTimeMs(silence.endsAt) ?? 0;
  const over = silence.status.state === 'expired';
  return {
    id: over ? '' : silence.id,
    matchers: silence.matchers.map(fromApi),
    startsAt: over || silence.status.state === 'active' ? '' : toInputValue(startsMs),
    ends: over ? 'for' : 'until',
    duration: formatDuration(Math.max(60_000, Math.round((endsMs - startsMs) / 60_000) * 60_000)),
    endsAt: toInputValue(endsMs),
    comment: silence.comment,
  };
}

/** When it would begin and end; `null` where what is typed is no time. */
export function draftTimes(draft: Draft, nowMs: number): { startsMs: number; endsMs: number } | null {
  const startsMs = draft.startsAt === '' ? nowMs : fromInputValue(draft.startsAt);
  if (startsMs === null) return null;
  if (draft.ends === 'until') {
    const endsMs = fromInputValue(draft.endsAt);
    return endsMs === null ? null : { startsMs, endsMs };
  }
  const ms = parseDuration(draft.duration.replace(/\s+/g, ''));
  return ms === null || ms === 0 ? null : { startsMs, endsMs: startsMs + ms };
}

/** Why a draft cannot be sent; `null` if it can. */
export function draftFault(draft: Draft, nowMs: number): string | null {
  const fault = matchersFault(draft.matchers);
  if (fault !== null) return fault;
  const times = draftTimes(draft, nowMs);
  if (times === null)
    return draft.ends === 'for' ? 'Say how long: 30m, 2h, 1d12h.' : 'Say when it begins and ends.';
  if (times.endsMs <= times.startsMs) return 'It ends before it begins.';
  return times.endsMs <= nowMs ? 'It would be over already.' : null;
}

export const NOBODY = 'web';

/** What is sent for a draft without fault. One that runs keeps its beginning: changing that would make another of it. */
export function wantedOf(draft: Draft, author: string, nowMs: number, old?: Silence): WantedSilence {
  const { startsMs, endsMs } = draftTimes(draft, nowMs) ?? { startsMs: nowMs, endsMs: nowMs };
  const keepsStart = draft.id !== '' && draft.startsAt === '' && old?.status.state === 'active';
  return {
    ...(draft.id === '' ? {} : { id: draft.id }),
    matchers: draft.matchers.map(toApi),
    startsAt: keepsStart ? old.startsAt : new Date(startsMs).toISOString(),
    endsAt: new Date(endsMs).toISOString(),
    createdBy: author.trim() === '' ? NOBODY : author.trim(),
    comment: draft.comment.trim(),
  };
}

/** A link to the form, filled in. */
export function newSilenceLink(matchers: readonly Matcher[], comment = ''): string {
  const params = new URLSearchParams();
  if (matchers.length > 0) params.set('match', matchersText(matchers));
  if (comment !== '') params.set('comment', comment);
  const text = params.toString();
  return `/silences/new${text === '' ? '' : `?${text}`}`;
}

export const silenceLink = (id: string) => `/silences?${new URLSearchParams({ find: id }).toString()}`;
export const editLink = (id: string) => `/silences/${encodeURIComponent(id)}/edit`;
