import { describe, expect, it } from 'vitest';

import type { TimelineEvent } from '../../api/alerts';
import { ackOf, readTimeline } from './timelineData';

const event = (at: string, kind: string, details?: Record<string, unknown>): TimelineEvent => ({
  at,
  kind,
  text: `It was ${kind}.`,
  ...(details ? { details } : {}),
});

describe('an alert’s timeline', () => {
  it('stands by day, the newest first, with marks', () => {
    const days = readTimeline([
      event('2026-11-18T12:00:00Z', 'firing'),
      event('2026-11-20T12:00:00Z', 'delivered'),
      event('2026-11-20T12:00:01Z', 'something_new'),
    ]);
    expect(days.map((day) => day.rows.map((row) => [row.text, row.mark]))).toEqual([
      [
        ['It was something_new.', 'none'],
        ['It was delivered.', 'ok'],
      ],
      [['It was firing.', 'bad']],
    ]);
  });
  it('tells who takes care of it', () => {
    const now = Date.parse('2026-11-20T12:00:00Z');
    const taken = event('2026-11-20T11:00:00Z', 'acknowledged', {
      owner: 'ann',
      comment: 'mine',
      expiresAt: '2026-11-20T13:00:00Z',
    });
    expect(ackOf([], now)).toBeNull();
    expect(ackOf([taken], now)).toMatchObject({ owner: 'ann', comment: 'mine', untilMs: now + 3_600_000 });
    expect(ackOf([taken], now + 7_200_000)).toBeNull();
    expect(ackOf([taken, event('2026-11-20T11:30:00Z', 'ack_ended')], now)).toBeNull();
    expect(ackOf([event('2026-11-20T11:00:00Z', 'acknowledged', { owner: 'ann' })], now)?.owner).toBe('ann');
  });
});
