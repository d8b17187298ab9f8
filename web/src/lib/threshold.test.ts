import { expect, it } from 'vitest';

import { measuredOf } from './threshold';

it('a rule’s query is what it measures, and against what', () => {
  const check = (query: string, expected: string) => {
    const { query: measured, op, threshold, against } = measuredOf(query);
    expect(op === null ? measured : `${measured} | ${op} | ${threshold ?? against ?? ''}`).toBe(expected);
  };
  check('up{job="x"} == 0', 'up{job="x"} | == | 0');
  check('rate(a[5m]) >= 1e3', 'rate(a[5m]) | >= | 1000');
  check('(1 - a / b > 0.9)', '1 - a / b | > | 0.9');
  check('5 < load', 'load | > | 5');
  check('time() - x > 2 * (60 * 60)', 'time() - x | > | 7200');
  check('x > 1h30m', 'x | > | 5400');
  check('x < -3', 'x | < | -3');
  check('used > on (job) quota * 0.9', 'used | > | quota * 0.9');
  check('a > 1 and b < 2', 'a | > | 1');
  check('(a > 1 or b < 2) unless c', 'a | > | 1');
  check('sum by (job) (up) != 3', 'sum by (job) (up) | != | 3');
  check('a > bool 1', 'a > bool 1');
  check(' absent(up) ', 'absent(up)');
  check('sum(', 'sum(');
  check('', '');
});
