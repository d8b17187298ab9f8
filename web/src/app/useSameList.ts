// A list that keeps its identity while its items do, so that what is made from it is not made again.
import { useState } from 'react';

export function useSameList<T>(items: readonly T[]): readonly T[] {
  const [kept, setKept] = useState(items);
  const same = items.length === kept.length && items.every((item, i) => Object.is(item, kept[i]));
  if (!same) {
    setKept(items);
    return items;
  }
  return kept;
}
