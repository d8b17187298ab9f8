// The heading of a group of rows, and the button that folds all of them.
import { Button } from '@mantine/core';
import type { ReactNode } from 'react';

import { StateDot } from '../app/parts';
import { OpenButton } from './RowList';
import type { FoldControl } from './useFolds';
import './list.css';

export function GroupHead({
  title,
  label,
  dot,
  folded,
  onToggle,
  children,
}: {
  title: ReactNode;
  /** What is folded, for screen readers. */
  label: string;
  dot: 'ok' | 'bad' | 'warn' | 'none';
  folded: boolean;
  onToggle: () => void;
  children?: ReactNode;
}) {
  return (
    <div className="group-head">
      <OpenButton open={!folded} label={label} onToggle={onToggle} />
      <StateDot state={dot} />
      <h2 className="wrap-anywhere">{title}</h2>
      {children}
    </div>
  );
}

/** Only where there is something to fold. */
export function FoldAll({ groups, control }: { groups: number; control: FoldControl }) {
  if (groups < 2) return null;
  const fold = !control.folds.all;
  return (
    <Button size="compact-xs" variant="default" onClick={() => control.foldAll(fold)}>
      {fold ? 'Fold all' : 'Unfold all'}
    </Button>
  );
}
