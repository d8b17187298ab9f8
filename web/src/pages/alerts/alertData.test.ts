import { describe, expect, it } from 'vitest';

import type { NotifiedAlert } from '../../api/alertmanager';
import type { Alert, RuleGroup } from '../../api/types';
import { fingerprint } from '../../lib/fingerprint';
import type { Labels } from '../../lib/labels';
import {
  countAlerts,
  filterAlerts,
  findAlert,
  fingerprintOf,
  groupAlerts,
  groupLabels,
  readAlerts,
  ruleNamed,
  type AlertFilter,
} from './alertData';

const alert = (labels: Labels, state: Alert['state'], activeAt: string): Alert => ({
  labels,
  annotations: { summary: `of ${labels['instance'] ?? ''}` },
  state,
  activeAt,
  value: '1e+00',
});

const group: RuleGroup = {
  name: 'targets',
  file: 'a.yml',
  interval: 15,
  limit: 0,
  evaluationTime: 0,
  lastEvaluation: '',
  rules: [
    {
      type: 'alerting',
      name: 'Down',
      query: 'up == 0',
      health: 'ok',
      evaluationTime: 0,
      lastEvaluation: '',
      alerts: [
        alert({ alertname: 'Down', instance: 'old' }, 'firing', '2026-11-20T07:00:00Z'),
        alert({ alertname: 'Down', instance: 'new' }, 'firing', '2026-11-20T08:00:00Z'),
        alert({ alertname: 'Down', instance: 'soon' }, 'pending', '2026-11-20T09:00:00Z'),
      ],
    },
  ],
};

function notified(
  labels: Labels,
  change: Partial<NotifiedAlert['status']> = {},
  receiver = 'mail',
): NotifiedAlert {
  return {
    labels,
    annotations: {},
    startsAt: '2026-11-20T06:00:00Z',
    endsAt: '',
    updatedAt: '',
    fingerprint: '',
    receivers: [{ name: receiver }],
    status: { state: 'active', silencedBy: [], inhibitedBy: [], mutedBy: [], ...change },
  };
}

describe('alerts', () => {
  const items = readAlerts(
    [group],
    [
      notified({ alertname: 'Down', instance: 'old', dc: 'eu' }, { silencedBy: ['s1'] }),
      notified({ alertname: 'Down', instance: 'new' }),
      notified({ alertname: 'Disk', instance: 'far' }, {}, 'pager'),
      notified({ alertname: 'Disk', instance: 'hid' }, { inhibitedBy: ['x'] }, 'pager'),
    ],
  );
  const names = (part: Partial<AlertFilter>) =>
    filterAlerts(items, { text: '', state: 'all', receiver: '', ...part }).map(
      (one) => one.labels['instance'],
    );

  it('are those of the rules, and those that came from elsewhere, the newest trouble first', () => {
    expect(names({})).toEqual(['new', 'far', 'soon', 'old', 'hid']);
    expect(items.map((one) => one.rule?.rule.name)).toEqual(['Down', undefined, 'Down', 'Down', undefined]);
  });
  it('are found by the name in a link', () => {
    const [first, second] = items;
    if (!first || !second) throw new Error('none');
    expect(fingerprintOf(first)).toBe(fingerprint(first.labels));
    expect(findAlert(items, fingerprintOf(second))).toBe(second);
    expect(findAlert([{ ...first, fingerprint: 'abc' }], 'abc')?.key).toBe(first.key);
    expect(findAlert(items, 'no such')).toBeUndefined();
    expect(ruleNamed([group], 'Down')?.rule.query).toBe('up == 0');
    expect(ruleNamed([group], 'Up')).toBeNull();
  });
  it('show without a notifier', () => {
    expect(readAlerts([group], null).map((one) => one.state)).toEqual(['firing', 'firing', 'pending']);
  });
  it('are filtered by state, receiver and label', () => {
    expect(names({ state: 'silenced' })).toEqual(['old']);
    expect(names({ state: 'inhibited' })).toEqual(['hid']);
    expect(names({ receiver: 'pager' })).toEqual(['far', 'hid']);
    expect(names({ text: 'alertname="down" new' })).toEqual(['new']);
    expect(countAlerts(items, { text: '', receiver: 'mail' })).toEqual({
      all: 2,
      firing: 1,
      pending: 0,
      silenced: 1,
      inhibited: 0,
      muted: 0,
    });
  });
  it('are grouped by a label, the newest trouble first', () => {
    expect(groupLabels(items)).toEqual(['alertname', 'instance']);
    expect(groupAlerts(items, 'alertname').map((one) => [one.key, one.counts.firing])).toEqual([
      ['Down', 1],
      ['Disk', 1],
    ]);
    expect(groupAlerts(items, 'no_such').map((one) => one.key)).toEqual(['']);
  });
});
