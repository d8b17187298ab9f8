import { describe, expect, it } from 'vitest';

import type { RouteNode } from '../../api/routing';
import { passingOf, receiverHealth, routeFacts } from './tree';

const node = (id: number, receiver: string, change: Partial<RouteNode> = {}): RouteNode => ({
  id,
  receiver,
  matchers: [],
  groupBy: ['alertname'],
  groupWait: 30,
  groupInterval: 300,
  repeatInterval: 14_400,
  muteTimeIntervals: [],
  activeTimeIntervals: [],
  continue: false,
  routes: [],
  ...change,
});

const pager = node(2, 'pager', { groupBy: null, groupWait: 0.5, muteTimeIntervals: ['night'] });
const db = node(1, 'db', { routes: [pager] });
const root = node(0, 'mail', { routes: [db, node(3, 'log', { groupBy: [] })] });

describe('the routing tree', () => {
  it('shows the way of an alert', () => {
    const check = (ends: number[] | null, expected: string[]) =>
      expect([...passingOf(root, ends).entries()].sort(([a], [b]) => a - b).map(([, how]) => how)).toEqual(
        expected,
      );
    check(null, ['none', 'none', 'none', 'none']);
    check([0], ['ends', 'missed', 'missed', 'missed']);
    check([2, 3], ['passed', 'passed', 'ends', 'ends']);
  });
  it('says of a node what its parent does not', () => {
    expect(routeFacts(root, null)).toEqual([
      'grouped by alertname',
      'waits 30s',
      'tells of changes every 5m',
      'repeats after 4h',
    ]);
    expect(routeFacts(db, root)).toEqual([]);
    expect(routeFacts(pager, db)).toEqual(['each alert by itself', 'waits 500ms', 'mute in night']);
  });
  it('counts what did not reach a receiver', () => {
    const failure = { integration: 'webhook', groupKey: '{}', alerts: 1, attempts: 3 };
    const failed = [
      { ...failure, time: '2026-11-20T10:00:00Z', receiver: 'pager', error: 'new' },
      { ...failure, time: '2026-11-20T09:00:00Z', receiver: 'pager', error: 'old' },
    ];
    const receivers = ['mail', 'pager', 'unused'].map((name) => ({ name, integrations: [] }));
    const health = receiverHealth({ route: root, receivers }, failed);
    expect(health.map((one) => [one.name, one.routeCount, one.failedCount, one.last?.error])).toEqual([
      ['pager', 1, 2, 'new'],
      ['mail', 1, 0, undefined],
      ['unused', 0, 0, undefined],
    ]);
  });
});
