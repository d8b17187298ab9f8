import { describe, expect, it } from 'vitest';

import type { PlanNode } from '../../api/types';
import { ownSeconds, planNotes } from './planData';

const leaf: PlanNode = {
  operator: 'select range 5m',
  text: 'x[5m]',
  fixed: false,
  estimate: { series: 2, samples: 40 },
  children: [],
};

const part = (seconds: number, children: PlanNode[]): PlanNode => ({
  operator: 'rate',
  text: 'rate(x[5m])',
  fixed: false,
  measured: { evaluations: 1, series: 1, samples: 12_000, seconds },
  children,
});

describe('a plan', () => {
  it('takes the time of the parts below off', () => {
    expect(ownSeconds(part(3, [part(1, []), part(0.5, [])]))).toBe(1.5);
    expect(ownSeconds(part(1, [part(1.001, [])]))).toBe(0);
    expect(ownSeconds(leaf)).toBeNull();
  });

  it('says what a part gave and read', () => {
    expect(planNotes(part(1, []))).toEqual(['1 series', '12,000 samples']);
    expect(planNotes({ ...part(1, []), shared: true })[0]).toBe('shared by equal parts');
    expect(planNotes(leaf)).toEqual(['about 2 series, 40 samples']);
    const reading = {
      seriesSelected: 2,
      series: 2,
      samples: 1,
      bytes: 2_048,
      seconds: 0.5,
      headSeries: 2,
      blocks: 1,
      chunks: 3,
      framesCached: 1,
      framesRead: 4,
    };
    expect(planNotes({ ...leaf, fixed: true, reading })).toEqual([
      'evaluated once',
      'read 2 series, 1 sample, 2 KiB',
      '2 in memory',
      '1 block, 3 chunks',
      '1 frame cached, 4 from disk',
    ]);
    expect(ownSeconds({ ...leaf, reading })).toBe(0.5);
  });
});
