// A link to the page on which a rule is tried, filled in.
import { labelsText } from '../../lib/matchers';
import type { NamedRule } from '../../lib/ruleText';
import { formatDuration } from '../../lib/time';

export function tryLink(rule: NamedRule): string {
  const fields = {
    name: rule.name,
    q: rule.query,
    for: rule.duration ? formatDuration(rule.duration * 1_000) : '',
    keep: rule.keepFiringFor ? formatDuration(rule.keepFiringFor * 1_000) : '',
    labels: labelsText(rule.labels ?? {}),
    summary: rule.annotations?.['summary'] ?? '',
  };
  const params = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ''));
  return `/rules/try?${params.toString()}`;
}
