import { describe, expect, it } from 'vitest';

import { didYouMean, distance, searchNames } from './suggest';

const names = [
  'node_cpu_seconds_total',
  'node_memory_MemFree_bytes',
  'up',
  'process_cpu_seconds_total',
  'go_goroutines',
];

describe('did you mean', () => {
  it.each([
    ['node_cpu_second_total', 'node_cpu_seconds_total'],
    ['node_cpu_secodns_total', 'node_cpu_seconds_total'],
    ['node_memory_memfree_bytes', 'node_memory_MemFree_bytes'],
    ['node_cpu_seconds', 'node_cpu_seconds_total'],
    ['pu', 'up'],
  ])('%s → %s', (wrong, right) => expect(didYouMean(wrong, names)[0]).toBe(right));

  it('is silent where nothing is near', () => expect(didYouMean('kafka_lag', names)).toEqual([]));

  it('counts a swap of neighbours as one step and gives up early', () => {
    expect(distance('abcd', 'abdc', 3)).toBe(1);
    expect(distance('abc', 'xyz', 2)).toBe(3);
    expect(distance('', 'ab', 5)).toBe(2);
  });
});

describe('search', () => {
  it('wants every word, wherever it stands', () => {
    expect(searchNames('cpu seconds', names, 10)).toEqual([
      'node_cpu_seconds_total',
      'process_cpu_seconds_total',
    ]);
    expect(searchNames('mem free', names, 10)).toEqual(['node_memory_MemFree_bytes']);
    expect(searchNames('cpu kafka', names, 10)).toEqual([]);
  });
  it('puts what begins so first, and the exact name before all', () => {
    expect(searchNames('up', ['cleanup', 'up', 'upper'], 10)).toEqual(['up', 'upper', 'cleanup']);
  });
  it('stops at the limit', () => expect(searchNames('', names, 2)).toHaveLength(2));
});
