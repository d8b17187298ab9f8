// The folds of a list's groups, kept in the URL.
import { useUrlParams } from '../app/useUrlParams';
import { foldsFrom, foldsTo, toggled, type Folds } from './folds';

export interface FoldControl {
  folds: Folds;
  toggle: (name: string) => void;
  foldAll: (all: boolean) => void;
}

export function useFolds(): FoldControl {
  const [params, setParams] = useUrlParams();
  const set = (by: (old: Folds) => Folds) =>
    setParams((old) => foldsTo(by(foldsFrom(old)), old), { replace: true });
  return {
    folds: foldsFrom(params),
    toggle: (name) => set((old) => toggled(old, name)),
    foldAll: (all) => set(() => ({ all, but: new Set() })),
  };
}
