// Rules: how each is, what it costs, which are shown and in what order.
import type { Rule, RuleGroup } from '../../api/types';
import { goTimeMs } from '../../lib/goTime';
import { matchesText, textOfLabels, wordsOf } from '../../list/match';

export type RuleState = 'failing' | 'firing' | 'pending' | 'inactive' | 'recording';
export const RULE_STATES: readonly RuleState[] = ['failing', 'firing', 'pending', 'inactive', 'recording'];
export type RuleOrder = 'group' | 'cost' | 'name';
export const RULE_ORDERS: readonly RuleOrder[] = ['group', 'cost', 'name'];

/** A group whose evaluation takes more of its interval than this may soon fall behind. */
export const SHARE_WARN = 0.5;

export interface RuleItem {
  key: string;
  /** Of its group. */
  groupKey: string;
  rule: Rule;
  state: RuleState;
  evaluatedMs: number | null;
  /** What part of the interval its evaluation takes; 1 is all of it. */
  share: number;
  intervalMs: number;
}

export interface GroupItem {
  key: string;
  group: RuleGroup;
  share: number;
  evaluatedMs: number | null;
  counts: Record<RuleState, number>;
}

export interface RuleFilter {
  text: string;
  state: RuleState | 'all';
  order: RuleOrder;
}

export function groupKeyOf(group: Pick<RuleGroup, 'file' | 'name'>): string {
  return `${group.file};${group.name}`;
}

/** What fails is failing before it is anything else: its state is old. */
export function stateOf(rule: Rule): RuleState {
  if (rule.health === 'err') return 'failing';
  if (rule.type === 'recording') return 'recording';
  return rule.state === 'firing' || rule.state === 'pending' ? rule.state : 'inactive';
}

export function readRules(groups: readonly RuleGroup[]): { groups: GroupItem[]; rules: RuleItem[] } {
  const rules: RuleItem[] = [];
  const read = groups.map((group): GroupItem => {
    const key = groupKeyOf(group);
    const counts = { failing: 0, firing: 0, pending: 0, inactive: 0, recording: 0 };
    group.rules.forEach((rule, i) => {
      const state = stateOf(rule);
      counts[state] += 1;
      rules.push({
        key: `${key};${i}`,
        groupKey: key,
        rule,
        state,
        evaluatedMs: goTimeMs(rule.lastEvaluation),
        share: group.interval > 0 ? rule.evaluationTime / group.interval : 0,
        intervalMs: group.interval * 1_000,
      });
    });
    return {
      key,
      group,
      share: group.interval > 0 ? group.evaluationTime / group.interval : 0,
      evaluatedMs: goTimeMs(group.lastEvaluation),
      counts,
    };
  });
  read.sort((a, b) => rank(a) - rank(b) || names.compare(a.key, b.key));
  return { groups: read, rules };
}

const names = new Intl.Collator('en', { numeric: true });

/** Groups with trouble first. */
function rank({ counts, share }: GroupItem): number {
  if (counts.failing > 0 || share > 1) return 0;
  return counts.firing > 0 ? 1 : counts.pending > 0 ? 2 : 3;
}

export function filterRules(rules: readonly RuleItem[], filter: RuleFilter): RuleItem[] {
  const words = wordsOf(filter.text);
  const shown = rules.filter(
    ({ rule, state, groupKey }) =>
      (filter.state === 'all' || state === filter.state) &&
      matchesText(words, [
        rule.name,
        groupKey,
        rule.query,
        rule.lastError ?? '',
        textOfLabels(rule.labels ?? {}),
        textOfLabels(rule.annotations ?? {}),
      ]),
  );
  // In a group, rules stand in the order in which they are evaluated.
  if (filter.order === 'cost') shown.sort((a, b) => b.rule.evaluationTime - a.rule.evaluationTime);
  if (filter.order === 'name') shown.sort((a, b) => names.compare(a.rule.name, b.rule.name));
  return shown;
}

/** How many each state would show beside the text chosen. */
export function countRules(rules: readonly RuleItem[], text: string): Record<RuleState | 'all', number> {
  const counts = { all: 0, failing: 0, firing: 0, pending: 0, inactive: 0, recording: 0 };
  for (const { state } of filterRules(rules, { text, state: 'all', order: 'group' })) {
    counts[state] += 1;
    counts.all += 1;
  }
  return counts;
}
