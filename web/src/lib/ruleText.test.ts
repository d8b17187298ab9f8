import { expect, it } from 'vitest';

import { tryLink } from '../pages/tryrule/tryLink';

import { draftRuleFault, ruleFileOf, ruleOf, type RuleDraft } from './ruleText';

const draft = (change: Partial<RuleDraft> = {}): RuleDraft => ({
  name: 'Load',
  query: 'load > 5\n  and on () up{job="x"}',
  lasts: '5m',
  keeps: '',
  labels: 'severity=page team="a b"',
  summary: '',
  ...change,
});

it('a rule is written so that YAML reads the same', () => {
  expect(ruleFileOf(ruleOf(draft({ summary: 'say "{{ $value }}": now', keeps: '1h' })))).toBe(`groups:
  - name: "try"
    rules:
      - alert: "Load"
        expr: "load > 5\\n  and on () up{job=\\"x\\"}"
        for: 5m
        keep_firing_for: 1h
        labels: {"severity": "page", "team": "a b"}
        annotations: {"summary": "say \\"{{ $value }}\\": now"}
`);
  expect(ruleFileOf(ruleOf(draft({ lasts: '', labels: '', query: 'up == 0' })), 'a: b')).toBe(`groups:
  - name: "a: b"
    rules:
      - alert: "Load"
        expr: "up == 0"
`);
});

it('annotations that the form does not show stay', () => {
  const old = { name: 'Load', query: 'x', annotations: { summary: 'old', runbook_url: 'https://r' } };
  expect(ruleOf(draft({ summary: 'new' }), old).annotations).toEqual({
    summary: 'new',
    runbook_url: 'https://r',
  });
  expect(ruleOf(draft(), old).annotations).toEqual({ runbook_url: 'https://r' });
});

it('what is no rule is said', () => {
  const check = (change: Partial<RuleDraft>, words: string | null) => {
    const fault = draftRuleFault(draft(change));
    if (words === null) expect(fault).toBeNull();
    else expect(fault).toContain(words);
  };
  check({}, null);
  check({ query: ' ' }, 'a query');
  check({ name: '' }, 'a name');
  check({ lasts: 'soon' }, 'must hold is no duration');
  check({ keeps: '5' }, 'goes on is no duration');
  check({ labels: 'severity' }, 'Labels:');
});

it('a link fills the form in', () => {
  const link = tryLink({ ...ruleOf(draft({ summary: 'full' })) });
  const params = new URL(link, 'http://kymo').searchParams;
  expect(Object.fromEntries(params)).toEqual({
    name: 'Load',
    q: 'load > 5\n  and on () up{job="x"}',
    for: '5m',
    labels: 'severity="page", team="a b"',
    summary: 'full',
  });
});
