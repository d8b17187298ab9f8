import { expect, it } from 'vitest';

import type { Alert } from '../../api/types';
import { sortAlerts } from './alertData';

it('firing comes before pending, the newest first', () => {
  const alert = (name: string, state: Alert['state'], activeAt: string): Alert => ({
    labels: { alertname: name },
    annotations: {},
    state,
    activeAt,
    value: '1',
  });
  const sorted = sortAlerts([
    alert('pending', 'pending', '2026-11-20T09:00:00Z'),
    alert('old', 'firing', '2026-11-20T07:00:00Z'),
    alert('new', 'firing', '2026-11-20T08:00:00Z'),
  ]);
  expect(sorted.map((a) => a.labels['alertname'])).toEqual(['new', 'old', 'pending']);
});
