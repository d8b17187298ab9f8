// Lists with headings, flat, so that ten thousand rows scroll as well as ten.
import { isFolded, type Folds } from './folds';

export type GroupRow<G, R> =
  | { kind: 'group'; key: string; group: G; folded: boolean }
  /** Stands for the rows of a group that has none. */
  | { kind: 'none'; key: string; group: G }
  | { kind: 'item'; key: string; item: R };

/** Groups in their order, each with its items in theirs; one without items only `withEmpty`. */
export function groupRows<G, R extends { key: string }>(
  groups: readonly G[],
  nameOf: (group: G) => string,
  items: readonly R[],
  groupOf: (item: R) => string,
  folds: Folds,
  withEmpty = false,
): GroupRow<G, R>[] {
  const byGroup = new Map<string, R[]>();
  for (const item of items) {
    const own = byGroup.get(groupOf(item));
    if (own) own.push(item);
    else byGroup.set(groupOf(item), [item]);
  }
  const rows: GroupRow<G, R>[] = [];
  for (const group of groups) {
    const name = nameOf(group);
    const own = byGroup.get(name);
    if (!own && !withEmpty) continue;
    const folded = isFolded(folds, name);
    rows.push({ kind: 'group', key: `group-${name}`, group, folded });
    if (folded) continue;
    for (const item of own ?? []) rows.push({ kind: 'item', key: item.key, item });
    if (!own) rows.push({ kind: 'none', key: `none-${name}`, group });
  }
  return rows;
}
