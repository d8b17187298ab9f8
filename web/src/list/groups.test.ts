import { expect, it } from 'vitest';

import { foldsFrom } from './folds';
import { groupRows } from './groups';

it('a list has headings, which fold', () => {
  const items = [
    { key: '1', of: 'a' },
    { key: '2', of: 'a' },
  ];
  const check = (search: string, withEmpty: boolean, keys: string[]) => {
    const folds = foldsFrom(new URLSearchParams(search));
    const rows = groupRows(['a', 'b'], (group) => group, items, (item) => item.of, folds, withEmpty); // prettier-ignore
    expect(rows.map((row) => row.key)).toEqual(keys);
  };
  check('', true, ['group-a', '1', '2', 'group-b', 'none-b']);
  check('', false, ['group-a', '1', '2']);
  check('but=a', true, ['group-a', 'group-b', 'none-b']);
  check('fold=all', true, ['group-a', 'group-b']);
});
