// An alerting rule as people type it, and as a rule file says it.
import type { Labels } from './labels';
import { parseLabels } from './matchers';
import { formatDuration, parseDuration } from './time';

/** Texts, as they are typed. */
export interface RuleDraft {
  name: string;
  query: string;
  /** Its `for`; empty: at once. */
  lasts: string;
  /** Its `keep_firing_for`. */
  keeps: string;
  /** `severity=page team=db` */
  labels: string;
  summary: string;
}

export interface NamedRule {
  name: string;
  query: string;
  /** Seconds. */
  duration?: number;
  keepFiringFor?: number;
  labels?: Labels;
  annotations?: Labels;
}

/** Why a draft is no rule; `null` if it is. What its query means, the server says. */
export function draftRuleFault(draft: RuleDraft): string | null {
  if (draft.query.trim() === '') return 'Write a query.';
  if (draft.name.trim() === '') return 'Give it a name.';
  for (const [words, text] of [
    ['How long it must hold', draft.lasts],
    ['How long it goes on', draft.keeps],
  ] as const) {
    if (text.trim() !== '' && parseDuration(text) === null) return `${words} is no duration: 30s, 5m, 1h.`;
  }
  const labels = parseLabels(draft.labels);
  return labels.ok ? null : `Labels: ${labels.error}`;
}

/** Texts of JSON are texts of YAML. */
const quoted = (text: string) => JSON.stringify(text);

function pairs(labels: Labels): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${quoted(name)}: ${quoted(value)}`)
    .join(', ')}}`;
}

/** A rule file with this rule alone. */
export function ruleFileOf(rule: NamedRule, group = 'try'): string {
  const lines = [
    'groups:',
    `  - name: ${quoted(group)}`,
    '    rules:',
    `      - alert: ${quoted(rule.name)}`,
    `        expr: ${quoted(rule.query)}`,
  ];
  if (rule.duration) lines.push(`        for: ${formatDuration(rule.duration * 1_000)}`);
  if (rule.keepFiringFor)
    lines.push(`        keep_firing_for: ${formatDuration(rule.keepFiringFor * 1_000)}`);
  if (Object.keys(rule.labels ?? {}).length > 0) lines.push(`        labels: ${pairs(rule.labels ?? {})}`);
  if (Object.keys(rule.annotations ?? {}).length > 0)
    lines.push(`        annotations: ${pairs(rule.annotations ?? {})}`);
  return `${lines.join('\n')}\n`;
}

/** A draft without fault as a rule; annotations that the form does not show are kept from `old`. */
export function ruleOf(draft: RuleDraft, old?: NamedRule): NamedRule {
  const labels = parseLabels(draft.labels);
  const seconds = (text: string) => (parseDuration(text) ?? 0) / 1_000;
  const annotations = { ...(old?.annotations ?? {}) };
  delete annotations['summary'];
  if (draft.summary.trim() !== '') annotations['summary'] = draft.summary.trim();
  return {
    name: draft.name.trim(),
    query: draft.query.trim(),
    duration: seconds(draft.lasts),
    keepFiringFor: seconds(draft.keeps),
    labels: labels.ok ? labels.value : {},
    annotations,
  };
}
