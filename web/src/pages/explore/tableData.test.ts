import { describe, expect, it } from 'vitest';

import { varyingLabels } from '../../lib/labels';
import { columnsOf, rowsOf, sortRows, type Row } from './tableData';

const rows = rowsOf({
  resultType: 'vector',
  result: [
    { metric: { __name__: 'm', disk: 'sda10', job: 'n' }, value: [10, '3'] },
    { metric: { __name__: 'm', disk: 'sda9', job: 'n' }, value: [10, 'NaN'] },
    { metric: { __name__: 'm', disk: 'sdb1', job: 'n' }, value: [10, '+Inf'] },
  ],
});
const disks = (list: readonly Row[]) => list.map((row) => row.labels['disk']);

describe('rows', () => {
  it('come from every type of answer', () => {
    expect(rowsOf({ resultType: 'scalar', result: [1, '2.5'] })[0]).toMatchObject({
      value: 2.5,
      timeMs: 1_000,
    });
    expect(rowsOf({ resultType: 'string', result: [1, 'hi'] })[0]).toMatchObject({ text: 'hi' });
    expect(
      rowsOf({ resultType: 'matrix', result: [{ metric: {}, values: [[1, '1'], [2, '2']] }] }).map((r) => r.value), // prettier-ignore
    ).toEqual([1, 2]);
    expect(
      rowsOf({ resultType: 'vector', result: [{ metric: {}, histogram: [1, { count: '4', sum: '9' }] }] })[0],
    ).toMatchObject({
      histogram: 'count 4, sum 9',
    });
  });

  it('show what differs, and say once what does not', () => {
    const columns = columnsOf(rows, varyingLabels(rows.map((row) => row.labels)));
    expect(columns).toEqual({ names: ['disk'], constant: 'm{job="n"}' });
    expect(columnsOf(rows.slice(0, 1), []).names).toEqual(['series']);
  });

  it('sort by value with NaN last either way', () => {
    expect(disks(sortRows(rows, '', { column: 'value', falling: true }))).toEqual(['sdb1', 'sda10', 'sda9']);
    expect(disks(sortRows(rows, '', { column: 'value', falling: false }))).toEqual(['sda10', 'sdb1', 'sda9']);
  });

  it('sort names as people count', () => {
    expect(disks(sortRows(rows, '', { column: 'disk', falling: false }))).toEqual(['sda9', 'sda10', 'sdb1']);
  });

  it('filter by every word, leaving the list itself alone', () => {
    expect(disks(sortRows(rows, 'SDA job', null))).toEqual(['sda10', 'sda9']);
    expect(sortRows(rows, 'nothing', null)).toEqual([]);
    expect(disks(rows)).toEqual(['sda10', 'sda9', 'sdb1']);
  });
});
