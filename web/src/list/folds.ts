// Which groups of a list are folded, as the URL says it: `fold=all` or nothing, and by name (`but`) those that are not
// as the others.

export interface Folds {
  all: boolean;
  but: ReadonlySet<string>;
}

export function foldsFrom(params: URLSearchParams): Folds {
  return { all: params.get('fold') === 'all', but: new Set(params.getAll('but')) };
}

export function isFolded(folds: Folds, name: string): boolean {
  return folds.all !== folds.but.has(name);
}

export function toggled(folds: Folds, name: string): Folds {
  const but = new Set(folds.but);
  if (!but.delete(name)) but.add(name);
  return { all: folds.all, but };
}

export function foldsTo(folds: Folds, params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams(params);
  next.delete('fold');
  next.delete('but');
  if (folds.all) next.set('fold', 'all');
  for (const name of folds.but) next.append('but', name);
  return next;
}
