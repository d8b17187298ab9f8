import { describe, expect, it } from 'vitest';

import type { Silence, SilenceState } from '../../api/alertmanager';
import {
  countSilences,
  draftFault,
  draftFromParams,
  draftFromSilence,
  durationWords,
  filterSilences,
  newSilenceLink,
  readSilences,
  recurrenceWords,
  wantedOf,
  type Draft,
} from './silenceData';

const NOW = Date.parse('2026-11-20T12:00:00Z');
const at = (hours: number) => new Date(NOW + hours * 3_600_000).toISOString();

const silence = (id: string, state: SilenceState, from: number, to: number, value = 'db'): Silence => ({
  id,
  status: { state },
  matchers: [{ name: 'team', value, isRegex: value.includes('.'), isEqual: true }],
  startsAt: at(from),
  endsAt: at(to),
  updatedAt: at(from),
  createdBy: 'ann',
  comment: `about ${id}`,
});

const items = readSilences([
  silence('old', 'expired', -9, -8),
  silence('late', 'active', -1, 5, 'd.*'),
  silence('recent', 'expired', -9, -1),
  silence('soon', 'active', -1, 1),
  silence('next', 'pending', 2, 3),
]);

describe('silences', () => {
  it('stand in the order in which something happens to them', () => {
    expect(items.map((one) => one.key)).toEqual(['soon', 'late', 'next', 'recent', 'old']);
  });
  it('are filtered by state, conditions and words', () => {
    const check = (text: string, state: SilenceState | 'all', expected: string[]) =>
      expect(filterSilences(items, { text, state }).map((one) => one.key)).toEqual(expected);
    check('', 'active', ['soon', 'late']);
    check('team=db', 'all', ['soon', 'next', 'recent', 'old']);
    check('team=~"d.*"', 'all', ['late']);
    check('ann about next', 'all', ['next']);
    check('recent', 'active', []);
    expect(countSilences(items, 'team=db')).toEqual({ all: 4, active: 1, pending: 1, expired: 2 });
  });
});

describe('the form of a silence', () => {
  const draft = (change: Partial<Draft> = {}): Draft => ({
    ...draftFromParams(new URLSearchParams('match=team%3Ddb')),
    ...change,
  });

  it('begins with what a link says', () => {
    const link = newSilenceLink([{ name: 'team', op: '=~', value: 'd.*' }], 'new disks');
    const read = draftFromParams(new URL(link, 'http://kymo').searchParams);
    expect(read.matchers).toEqual([{ name: 'team', op: '=~', value: 'd.*' }]);
    expect(read.comment).toBe('new disks');
    expect(draftFromParams(new URLSearchParams('match=%22&for=nonsense'))).toMatchObject({
      matchers: [{ name: '', op: '=', value: '' }],
      duration: '2h',
    });
    expect(newSilenceLink([])).toBe('/silences/new');
  });
  it('says what is wrong with it', () => {
    expect(draftFault(draft(), NOW)).toBeNull();
    expect(draftFault(draft({ matchers: [] }), NOW)).toContain('at least one');
    expect(draftFault(draft({ duration: 'long' }), NOW)).toContain('how long');
    expect(draftFault(draft({ ends: 'until', endsAt: '' }), NOW)).toContain('when');
    expect(draftFault(draft({ ends: 'until', endsAt: '2026-11-20T12:00:00+14:00' }), NOW)).toContain(
      'ends before',
    );
    expect(
      draftFault(
        draft({ ends: 'until', startsAt: '2026-11-18T12:00:00Z', endsAt: '2026-11-19T12:00:00Z' }),
        NOW,
      ),
    ).toContain('over already');
  });
  it('makes a silence from now', () => {
    expect(wantedOf(draft({ duration: '1d 12h', comment: ' new disks ' }), ' ann ', NOW)).toEqual({
      matchers: [{ name: 'team', value: 'db', isRegex: false, isEqual: true }],
      startsAt: at(0),
      endsAt: at(36),
      createdBy: 'ann',
      comment: 'new disks',
    });
    expect(wantedOf(draft(), '', NOW).createdBy).toBe('web');
  });
  it('changes one that runs without touching its beginning, and makes one that is over anew', () => {
    const running = silence('x', 'active', -1, 5);
    const changed = wantedOf(draftFromSilence(running), 'ann', NOW, running);
    expect(changed).toMatchObject({ id: 'x', startsAt: running.startsAt, endsAt: running.endsAt });
    const over = silence('y', 'expired', -9, -7);
    const again = wantedOf(draftFromSilence(over), 'ann', NOW, over);
    expect(again).toMatchObject({ startsAt: at(0), endsAt: at(2) });
    expect(again.id).toBeUndefined();
  });
});

it('recurrences read like words', () => {
  const sunday = {
    weekdays: ['sunday'],
    times: [{ start_time: '02:00', end_time: '04:00' }],
    location: 'Europe/Berlin',
  };
  expect(recurrenceWords([sunday, { months: ['1:3'] }, null])).toBe('sunday 02:00–04:00 Europe/Berlin; 1:3');
});

it('durations read like words', () => {
  expect([1_800_000, 7_200_000, 86_400_000, 604_800_000, 5_400_000].map(durationWords)).toEqual([
    '30 m',
    '2 h',
    '1 d',
    '1 w',
    '1 h 30 m',
  ]);
});
