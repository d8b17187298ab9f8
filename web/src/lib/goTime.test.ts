import { expect, it } from 'vitest';

import { goTimeMs } from './goTime';

it('knows Go’s zero time, and reads nanoseconds', () => {
  const check = (text: string | undefined, ms: number | null) => expect(goTimeMs(text)).toBe(ms);
  check('0001-01-01T00:00:00Z', null);
  check('', null);
  check(undefined, null);
  check('2026-11-20T16:39:29.157641639Z', Date.UTC(2026, 10, 20, 16, 39, 29, 157));
});
