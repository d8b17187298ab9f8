// The routing tree as a list of lines, and which of them an alert passes.
import type { FailedNotification, RouteNode, RoutingTree } from '../../api/routing';
import { goTimeMs } from '../../lib/goTime';
import { fromApi, matchersText } from '../../lib/matchers';
import { formatDuration } from '../../lib/time';

/** `ends`: the alert ends here; `passed`: on the way to such a node; `missed`: neither; `none`: no alert is asked for. */
export type Passing = 'ends' | 'passed' | 'missed' | 'none';

/** How an alert passes each node, by id; `ends` are the nodes where it ends. */
export function passingOf(root: RouteNode, ends: readonly number[] | null): Map<number, Passing> {
  const found = new Map<number, Passing>();
  const visit = (node: RouteNode): boolean => {
    const below = node.routes.map(visit).some(Boolean);
    const here = ends?.includes(node.id) ?? false;
    found.set(node.id, ends === null ? 'none' : here ? 'ends' : below ? 'passed' : 'missed');
    return here || below;
  };
  visit(root);
  return found;
}

export function matchersWords(node: RouteNode): string {
  return matchersText(node.matchers.map(fromApi));
}

const span = (seconds: number) => formatDuration(seconds * 1_000);

/** What a node says about alerts that end there, where it differs from the node above. */
export function routeFacts(node: RouteNode, above: RouteNode | null): string[] {
  const facts: string[] = [];
  const grouped = groupWords(node.groupBy);
  if (above === null || grouped !== groupWords(above.groupBy)) facts.push(grouped);
  if (above === null || node.groupWait !== above.groupWait) facts.push(`waits ${span(node.groupWait)}`);
  if (above === null || node.groupInterval !== above.groupInterval)
    facts.push(`tells of changes every ${span(node.groupInterval)}`);
  if (above === null || node.repeatInterval !== above.repeatInterval)
    facts.push(`repeats after ${span(node.repeatInterval)}`);
  if (node.muteTimeIntervals.length > 0) facts.push(`mute in ${node.muteTimeIntervals.join(', ')}`);
  if (node.activeTimeIntervals.length > 0) facts.push(`only in ${node.activeTimeIntervals.join(', ')}`);
  return facts;
}

function groupWords(groupBy: readonly string[] | null): string {
  if (groupBy === null) return 'each alert by itself';
  return groupBy.length === 0 ? 'all in one group' : `grouped by ${groupBy.join(', ')}`;
}

export interface ReceiverHealth {
  name: string;
  integrations: string[];
  /** How many routes lead to it. */
  routeCount: number;
  failedCount: number;
  last: { atMs: number | null; integration: string; error: string } | null;
}

/** Those who could not be told first, then in the file's order. `failed` has the newest first. */
export function receiverHealth(tree: RoutingTree, failed: readonly FailedNotification[]): ReceiverHealth[] {
  const routes = new Map<string, number>();
  const count = (node: RouteNode) => {
    routes.set(node.receiver, (routes.get(node.receiver) ?? 0) + 1);
    node.routes.forEach(count);
  };
  count(tree.route);
  const found = tree.receivers.map(({ name, integrations }): ReceiverHealth => {
    const own = failed.filter((one) => one.receiver === name);
    const [last] = own;
    return {
      name,
      integrations,
      routeCount: routes.get(name) ?? 0,
      failedCount: own.length,
      last: last ? { atMs: goTimeMs(last.time), integration: last.integration, error: last.error } : null,
    };
  });
  return found.sort((a, b) => (b.last?.atMs ?? 0) - (a.last?.atMs ?? 0));
}
