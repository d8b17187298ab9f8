// Alerts: what the rules say of them beside what the notifier does with them, filtered, counted and grouped.
import type { NotifiedAlert } from '../../api/alertmanager';
import type { Alert, Rule, RuleGroup } from '../../api/types';
import { fingerprint } from '../../lib/fingerprint';
import { goTimeMs } from '../../lib/goTime';
import { seriesKey, type Labels } from '../../lib/labels';
import { matchesText, textOfLabels, wordsOf } from '../../list/match';

export type AlertState = 'firing' | 'pending' | 'silenced' | 'inhibited' | 'muted';
export const ALERT_STATES: readonly AlertState[] = ['firing', 'pending', 'silenced', 'inhibited', 'muted'];

export interface AlertItem {
  key: string;
  labels: Labels;
  annotations: Labels;
  state: AlertState;
  sinceMs: number | null;
  /** Its condition does not hold any more; it goes on for `keep_firing_for`. */
  keptSinceMs: number | null;
  /** Of its rule's query; empty if the rule is not ours. */
  value: string;
  rule: { rule: Rule; group: RuleGroup } | null;
  receivers: string[];
  /** The notifier's name for it; empty if it does not know it (yet). */
  fingerprint: string;
  silencedBy: string[];
  inhibitedBy: string[];
  mutedBy: string[];
  /** Where the rule is, for one that another server sent. */
  generatorUrl: string;
}

/** Alerts of the rules, joined with those of the notifier (`null`: there is none); what only the latter has came from elsewhere. */
export function readAlerts(
  groups: readonly RuleGroup[],
  notified: readonly NotifiedAlert[] | null,
): AlertItem[] {
  const left = new Map<string, NotifiedAlert>();
  for (const one of notified ?? []) left.set(seriesKey(one.labels), one);
  const items: AlertItem[] = [];
  // On its way to the notifier an alert may gain labels (`external_labels`); all gain the same.
  let gained: Labels = {};
  let searches = 0;
  const take = (alert: Alert): NotifiedAlert | undefined => {
    let key = seriesKey(alert.labels);
    if (!left.has(key)) key = seriesKey({ ...alert.labels, ...gained });
    if (!left.has(key) && Object.keys(gained).length === 0 && searches < SEARCHES_MAX) {
      searches += 1;
      const more = withMore(left, alert.labels);
      if (more) {
        gained = Object.fromEntries(Object.entries(more.labels).filter(([name]) => !(name in alert.labels)));
        key = seriesKey(more.labels);
      }
    }
    const known = left.get(key);
    left.delete(key);
    return known;
  };
  for (const group of groups) {
    for (const rule of group.rules) {
      for (const alert of rule.alerts ?? []) {
        const known = alert.state === 'firing' ? take(alert) : undefined;
        items.push(
          ofRule(`${group.file};${group.name};${seriesKey(alert.labels)}`, alert, rule, group, known),
        );
      }
    }
  }
  for (const [key, one] of left) items.push(fromElsewhere(`elsewhere;${key}`, one));
  return items.sort(
    (a, b) =>
      RANK[a.state] - RANK[b.state] || (b.sinceMs ?? 0) - (a.sinceMs ?? 0) || (a.key < b.key ? -1 : 1),
  );
}

const RANK: Record<AlertState, number> = { firing: 0, pending: 1, silenced: 2, inhibited: 3, muted: 4 };

/** Thousands of alerts that the notifier does not know yet must not each be sought among all. */
const SEARCHES_MAX = 50;

function withMore(left: ReadonlyMap<string, NotifiedAlert>, labels: Labels): NotifiedAlert | undefined {
  const pairs = Object.entries(labels);
  for (const one of left.values()) {
    if (one.labels['alertname'] === labels['alertname'] && pairs.every(([name, value]) => one.labels[name] === value)) return one; // prettier-ignore
  }
  return undefined;
}

function stateOf(status: NotifiedAlert['status']): AlertState {
  if (status.silencedBy.length > 0) return 'silenced';
  if (status.inhibitedBy.length > 0) return 'inhibited';
  return (status.mutedBy ?? []).length > 0 ? 'muted' : 'firing';
}

function fateOf(known: NotifiedAlert | undefined) {
  return {
    receivers: known?.receivers.map((one) => one.name) ?? [],
    fingerprint: known?.fingerprint ?? '',
    silencedBy: known?.status.silencedBy ?? [],
    inhibitedBy: known?.status.inhibitedBy ?? [],
    mutedBy: known?.status.mutedBy ?? [],
    generatorUrl: known?.generatorURL ?? '',
  };
}

function ofRule(
  key: string,
  alert: Alert,
  rule: Rule,
  group: RuleGroup,
  known: NotifiedAlert | undefined,
): AlertItem {
  return {
    key,
    labels: alert.labels,
    annotations: alert.annotations,
    state: alert.state === 'pending' ? 'pending' : known ? stateOf(known.status) : 'firing',
    sinceMs: goTimeMs(alert.activeAt),
    keptSinceMs: goTimeMs(alert.keepFiringSince),
    value: alert.value,
    rule: { rule, group },
    ...fateOf(known),
  };
}

function fromElsewhere(key: string, one: NotifiedAlert): AlertItem {
  return {
    key,
    labels: one.labels,
    annotations: one.annotations,
    state: stateOf(one.status),
    sinceMs: goTimeMs(one.startsAt),
    keptSinceMs: null,
    value: '',
    rule: null,
    ...fateOf(one),
  };
}

/** Its name in links. */
export function fingerprintOf(item: AlertItem): string {
  return item.fingerprint === '' ? fingerprint(item.labels) : item.fingerprint;
}

export function alertLink(item: AlertItem): string {
  return `/alerts/${fingerprintOf(item)}`;
}

/** The alert of a link; one that is pending has no name at the notifier yet. */
export function findAlert(items: readonly AlertItem[], name: string): AlertItem | undefined {
  return (
    items.find((item) => item.fingerprint === name) ?? items.find((item) => fingerprint(item.labels) === name)
  );
}

/** The rule of this name that raises alerts, for an alert that is over. */
export function ruleNamed(groups: readonly RuleGroup[], name: string | undefined): AlertItem['rule'] {
  for (const group of groups) {
    const rule = group.rules.find((one) => one.type === 'alerting' && one.name === name);
    if (rule) return { rule, group };
  }
  return null;
}

export interface AlertFilter {
  text: string;
  state: AlertState | 'all';
  /** Empty means all. */
  receiver: string;
}

export function filterAlerts(items: readonly AlertItem[], filter: AlertFilter): AlertItem[] {
  const words = wordsOf(filter.text);
  return items.filter(
    (item) =>
      (filter.state === 'all' || item.state === filter.state) &&
      (filter.receiver === '' || item.receivers.includes(filter.receiver)) &&
      matchesText(words, [
        textOfLabels(item.labels),
        textOfLabels(item.annotations),
        item.rule?.group.name ?? '',
      ]),
  );
}

/** How many each state would show beside the text and the receiver chosen. */
export function countAlerts(
  items: readonly AlertItem[],
  filter: Omit<AlertFilter, 'state'>,
): Record<AlertState | 'all', number> {
  const counts = { all: 0, firing: 0, pending: 0, silenced: 0, inhibited: 0, muted: 0 };
  for (const { state } of filterAlerts(items, { ...filter, state: 'all' })) {
    counts[state] += 1;
    counts.all += 1;
  }
  return counts;
}

/** Alerts with one value of the label they are grouped by; `''` has those without the label. */
export interface AlertGroup {
  key: string;
  counts: Record<AlertState, number>;
  newestMs: number;
}

/** Groups, those with the newest trouble first. */
export function groupAlerts(items: readonly AlertItem[], by: string): AlertGroup[] {
  const groups = new Map<string, AlertGroup>();
  for (const item of items) {
    const key = item.labels[by] ?? '';
    const group = groups.get(key) ?? {
      key,
      counts: { firing: 0, pending: 0, silenced: 0, inhibited: 0, muted: 0 },
      newestMs: 0,
    };
    groups.set(key, group);
    group.counts[item.state] += 1;
    if (item.state === 'firing') group.newestMs = Math.max(group.newestMs, item.sinceMs ?? 0);
  }
  return [...groups.values()].sort(
    (a, b) => b.newestMs - a.newestMs || b.counts.pending - a.counts.pending || a.key.localeCompare(b.key),
  );
}

/** What they can be grouped by: labels that some carry, the usual ones first. */
export function groupLabels(items: readonly AlertItem[]): string[] {
  const found = new Set(items.flatMap((item) => Object.keys(item.labels)));
  found.delete('alertname');
  return ['alertname', ...[...found].sort()];
}
