// Conditions on an alert's labels, as silences and routes have them: their text, and what people type for them.
import { quote, type Labels } from './labels';
import type { Matcher } from './promql';

export type { Matcher };

/** As Alertmanager's API says one. */
export interface ApiMatcher {
  name: string;
  value: string;
  isRegex: boolean;
  /** Left out by old clients; it means true. */
  isEqual?: boolean;
}

export const MATCH_OPS: readonly Matcher['op'][] = ['=', '!=', '=~', '!~'];

export function fromApi({ name, value, isRegex, isEqual = true }: ApiMatcher): Matcher {
  return { name, value, op: isRegex ? (isEqual ? '=~' : '!~') : isEqual ? '=' : '!=' };
}

export function toApi({ name, value, op }: Matcher): ApiMatcher {
  return { name, value, isRegex: op === '=~' || op === '!~', isEqual: op === '=' || op === '=~' };
}

const PLAIN_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

export function matcherText({ name, op, value }: Matcher): string {
  return `${PLAIN_NAME.test(name) ? name : quote(name)}${op}${quote(value)}`;
}

export function matchersText(matchers: readonly Matcher[]): string {
  return matchers.map(matcherText).join(', ');
}

/** Matchers that hold for exactly these labels; the name first, then by name. */
export function matchersOf(labels: Labels): Matcher[] {
  return Object.keys(labels)
    .sort((a, b) => Number(b === 'alertname') - Number(a === 'alertname') || (a < b ? -1 : 1))
    .map((name) => ({ name, op: '=' as const, value: labels[name] ?? '' }));
}

export type Parsed<T> = { ok: true; value: T } | { ok: false; error: string };

/**
 * Reads `team="db", severity=~page|warn`: with braces or without, parted by commas or blanks, values with quotes or
 * without.
 */
export function parseMatchers(text: string): Parsed<Matcher[]> {
  const matchers: Matcher[] = [];
  let rest = text.trim().replace(/^\{/, '').replace(/\}$/, '');
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '');
    if (rest === '') return { ok: true, value: matchers };
    const head = /^("(?:[^"\\]|\\.)*"|[^\s=!~",{}]+)\s*(=~|!~|!=|=)\s*/.exec(rest);
    if (!head) return { ok: false, error: `no label with a value: ${rest.slice(0, 40)}` };
    rest = rest.slice(head[0].length);
    const body = /^(?:"((?:[^"\\]|\\.)*)"|([^\s",{}]*))/.exec(rest);
    if (!body || (rest.startsWith('"') && body[1] === undefined))
      return { ok: false, error: `a quote is not closed: ${rest.slice(0, 40)}` };
    rest = rest.slice(body[0].length);
    const name = head[1] ?? '';
    matchers.push({
      name: name.startsWith('"') ? unescape(name.slice(1, -1)) : name,
      op: head[2] as Matcher['op'],
      value: body[1] === undefined ? (body[2] ?? '') : unescape(body[1]),
    });
  }
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}

/** Reads `team=db severity="page"`: labels, which have one value each. */
export function parseLabels(text: string): Parsed<Labels> {
  const read = parseMatchers(text);
  if (!read.ok) return read;
  const labels: Labels = {};
  for (const matcher of read.value) {
    if (matcher.op !== '=')
      return { ok: false, error: `${matcherText(matcher)} is no label: write name=value` };
    labels[matcher.name] = matcher.value;
  }
  return { ok: true, value: labels };
}

/** Labels as they are typed: `alertname="Down", team="db"`. */
export function labelsText(labels: Labels): string {
  return matchersText(matchersOf(labels));
}

/** Why the server would refuse matchers; `null` if it would not. Whether a regular expression is one, it says itself. */
export function matchersFault(matchers: readonly Matcher[]): string | null {
  if (matchers.length === 0) return 'Say at least one condition.';
  if (matchers.some(({ name }) => name.trim() === '')) return 'A condition has no label.';
  if (matchers.every(({ op, value }) => (op === '=' && value === '') || (op === '!=' && value !== '')))
    return 'These hold for alerts without any of the labels, too: at least one must ask for a value.';
  return null;
}

/** Labels that all have with the same value. */
export function commonLabels(sets: readonly Labels[]): Labels {
  const [first, ...others] = sets;
  if (!first) return {};
  return Object.fromEntries(
    Object.entries(first).filter(([name, value]) => others.every((other) => other[name] === value)),
  );
}
