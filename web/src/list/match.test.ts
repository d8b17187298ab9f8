import { describe, expect, it } from 'vitest';

import { matchesText, textOfLabels, wordsOf } from './match';

describe('a filter', () => {
  const check = (filter: string, parts: string[], expected: boolean) =>
    expect(matchesText(wordsOf(filter), parts)).toBe(expected);

  it('wants each of its words somewhere', () => {
    check('', [], true);
    check('  REFUSED  node ', ['node:1', 'connection refused'], true);
    check('refused kafka', ['node:1', 'connection refused'], false);
  });
  it('reads labels with quotes and without', () => {
    const parts = [textOfLabels({ job: 'node', zone: 'a b' })];
    check('job=node', parts, true);
    check('job="node"', parts, true);
    check('job=nod"', parts, false);
  });
});
