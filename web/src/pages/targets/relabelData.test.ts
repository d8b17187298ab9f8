import { describe, expect, it } from 'vitest';

import { changesOf, isUnseen, ruleText } from './relabelData';

describe('ruleText', () => {
  it.each([
    [{ sourceLabels: ['a', 'b'], separator: ';', regex: 'x;y', action: 'drop' }, 'drop if a;b matches x;y'],
    [{ sourceLabels: ['a'], regex: '(.*)', targetLabel: 't', replacement: '$1' }, 'set t to $1 from a'],
    [{ regex: '(.*)', targetLabel: 't', replacement: 'v' }, 'set t to v'],
    [{ sourceLabels: ['a'], regex: 'x', targetLabel: 't' }, 'remove t if a matching x'],
    [{ regex: 'tmp_.*', action: 'labeldrop' }, 'remove labels matching tmp_.*'],
    [{ regex: 'k.*', action: 'labelkeep' }, 'remove labels not matching k.*'],
    [
      { regex: '__meta_(.+)', replacement: '$1', action: 'labelmap' },
      'copy labels matching __meta_(.+) to $1',
    ],
    [
      { sourceLabels: ['a'], modulus: 4, targetLabel: 't', action: 'hashmod' },
      'set t to the hash of a modulo 4',
    ],
    [{ sourceLabels: ['a'], targetLabel: 't', action: 'lowercase' }, 'set t to a in lower case'],
    [{ sourceLabels: ['a'], targetLabel: 'b', action: 'keepequal' }, 'keep if a equals b'],
  ])('%j', (rule, text) => {
    expect(ruleText(rule)).toBe(text);
  });
});

describe('changesOf', () => {
  const rule = {};
  it('names what came, went and changed', () => {
    expect(
      changesOf({ a: '1', b: '2', c: '3' }, { rule, keep: true, output: { a: '1', b: 'x', d: '4' } }),
    ).toEqual([
      { kind: 'changed', text: 'b="2" → "x"' },
      { kind: 'removed', text: '− c="3"' },
      { kind: 'added', text: '+ d="4"' },
    ]);
    expect(changesOf({ a: '1' }, { rule, keep: true, output: { a: '1' } })).toEqual([
      { kind: 'unchanged', text: 'changes nothing' },
    ]);
  });
  it('says what drops, and what is never reached', () => {
    const dropped = { rule, keep: false, output: {} };
    expect(changesOf({ a: '1' }, dropped)[0]?.kind).toBe('dropped');
    expect([0, 1].map((at) => isUnseen([dropped, dropped], at))).toEqual([false, true]);
  });
});
