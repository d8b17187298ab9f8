import { describe, expect, it } from 'vitest';

import type { TimelineEvent } from '../../api/alerts';
import { readTimeline } from './timelineData';

const event = (at: string, kind: string): TimelineEvent => ({
  at,
  kind,
  text: `It was ${kind}.`,
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
});
