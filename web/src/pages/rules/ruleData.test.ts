import { describe, expect, it } from 'vitest';

import type { Rule, RuleGroup } from '../../api/types';
import { countRules, filterRules, readRules, stateOf, type RuleFilter } from './ruleData';

function rule(name: string, change: Partial<Rule> = {}): Rule {
  return {
    type: 'alerting',
    name,
    query: `${name}_total > 1`,
    health: 'ok',
    state: 'inactive',
    evaluationTime: 0.001,
    lastEvaluation: '2026-11-20T12:00:00.123456789Z',
    ...change,
  };
}

function group(name: string, rules: Rule[], change: Partial<RuleGroup> = {}): RuleGroup {
  return {
    name,
    file: 'rules.yml',
    rules,
    interval: 10,
    limit: 0,
    evaluationTime: 0.1,
    lastEvaluation: '0001-01-01T00:00:00Z',
    ...change,
  };
}

const read = readRules([
  group('calm', [rule('Quiet', { labels: { severity: 'page' } }), rule('sum', { type: 'recording' })]),
  group('noisy', [rule('Loud', { state: 'firing', evaluationTime: 2 }), rule('Soon', { state: 'pending' })]),
  group('late', [rule('Slow')], { evaluationTime: 12 }),
  group('torn', [rule('Torn', { health: 'err', lastError: 'many-to-many matching', state: 'firing' })]),
]);

describe('rules', () => {
  it('fail before they are anything else', () => {
    expect(stateOf(rule('a', { health: 'err', state: 'firing' }))).toBe('failing');
    expect(stateOf(rule('a', { type: 'recording' }))).toBe('recording');
    expect(stateOf(rule('a', { state: 'unknown' }))).toBe('inactive');
  });
  it('cost a share of their interval', () => {
    expect(read.rules.find((one) => one.rule.name === 'Loud')?.share).toBeCloseTo(0.2);
    expect(read.groups.find((one) => one.group.name === 'late')?.share).toBeCloseTo(1.2);
  });
  it('stand in groups, those in trouble first', () => {
    expect(read.groups.map((one) => one.group.name)).toEqual(['late', 'torn', 'noisy', 'calm']);
    expect(read.groups[0]?.evaluatedMs).toBeNull();
  });
  it('are filtered by state and text, and ordered', () => {
    const check = (part: Partial<RuleFilter>, expected: string[]) =>
      expect(
        filterRules(read.rules, { text: '', state: 'all', order: 'group', ...part }).map(
          (one) => one.rule.name,
        ),
      ).toEqual(expected);
    check({}, ['Quiet', 'sum', 'Loud', 'Soon', 'Slow', 'Torn']);
    check({ state: 'failing' }, ['Torn']);
    check({ text: 'MANY-to-many' }, ['Torn']);
    check({ text: 'severity=page' }, ['Quiet']);
    check({ text: 'rules.yml;noisy' }, ['Loud', 'Soon']);
    check({ order: 'name', state: 'firing' }, ['Loud']);
    expect(filterRules(read.rules, { text: '', state: 'all', order: 'cost' })[0]?.rule.name).toBe('Loud');
    expect(countRules(read.rules, '')).toEqual({
      all: 6,
      failing: 1,
      firing: 1,
      pending: 1,
      inactive: 2,
      recording: 1,
    });
    expect(countRules(read.rules, 'loud').all).toBe(1);
  });
});
