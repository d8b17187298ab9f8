import { expect, it } from 'vitest';

import { foldsFrom, foldsTo, isFolded, toggled } from './folds';

it('groups are folded one by one, or all but some, and a link says which', () => {
  const check = (search: string, fold: string, expected: string, folded: string[]) => {
    const folds = toggled(foldsFrom(new URLSearchParams(search)), fold);
    expect(foldsTo(folds, new URLSearchParams(search)).toString()).toBe(expected);
    expect(['a', 'b'].filter((name) => isFolded(folds, name))).toEqual(folded);
  };
  check('find=x', 'a', 'find=x&but=a', ['a']);
  check('but=a', 'a', '', []);
  check('fold=all', 'a', 'fold=all&but=a', ['b']);
  check('fold=all&but=a', 'b', 'fold=all&but=a&but=b', []);
});
