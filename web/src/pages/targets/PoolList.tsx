// A list of targets under the headings of their pools, with what filters it: what Targets and Discovery have in common.
import { Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';

import { ChoiceSelect, FilterBar, NothingMatches, type StateChoice } from '../../list/FilterBar';
import { FoldAll } from '../../list/GroupHead';
import { groupRows } from '../../list/groups';
import { RowList, useOpenRows } from '../../list/RowList';
import { useFolds } from '../../list/useFolds';
import { NoPools, PoolHead, PoolNone } from './PoolParts';
import type { PoolCounts } from './pools';
import './targets.css';

export interface PoolListFilter<S extends string> {
  text: string;
  /** Empty means all. */
  pool: string;
  state: S | 'all';
}

export function PoolList<S extends string, R extends { key: string }>({
  label,
  findLabel,
  placeholder,
  stateLabel,
  states,
  filter,
  onFilter,
  pools,
  items,
  poolOf,
  unkept,
  nothing,
  withLink,
  children,
}: {
  /** What is listed, for screen readers. */
  label: string;
  findLabel: string;
  placeholder: string;
  stateLabel: string;
  states: readonly StateChoice<S | 'all'>[];
  filter: PoolListFilter<S>;
  onFilter: (part: Partial<PoolListFilter<S>>) => void;
  pools: readonly PoolCounts[];
  /** What the filter leaves. */
  items: readonly R[];
  poolOf: (item: R) => string;
  /** How many dropped targets would be here, had the server kept them. */
  unkept: number;
  /** Why the list is empty, where there is more to say than that nothing matches. */
  nothing: string | null;
  /** Whether a pool without targets leads to Discovery. */
  withLink: boolean;
  children: (item: R, open: boolean, onToggle: () => void) => ReactNode;
}) {
  const control = useFolds();
  const { isOpen, toggle } = useOpenRows();
  const { text, pool, state } = filter;
  const rows = groupRows(
    pools.filter((one) => pool === '' || one.pool === pool),
    (one) => one.pool,
    items,
    poolOf,
    control.folds,
    text === '' && state === 'all',
  );
  if (pools.length === 0) return <NoPools />;
  return (
    <div className="list-page">
      <FilterBar
        stateLabel={stateLabel}
        state={state}
        states={states}
        onState={(value) => onFilter({ state: value })}
        findLabel={findLabel}
        placeholder={placeholder}
        find={text}
        onFind={(value) => onFilter({ text: value })}
      >
        <ChoiceSelect
          label="Pool"
          all={pools.length === 1 ? '1 pool' : `All ${pools.length.toLocaleString('en-US')} pools`}
          value={pool}
          options={pools.map((one) => one.pool)}
          onChange={(value) => onFilter({ pool: value })}
        />
      </FilterBar>
      <Group justify="space-between" gap="xs">
        <Text size="xs" c="dimmed" className="tabular">
          {unkept > 0 && items.length > 0
            ? `${unkept.toLocaleString('en-US')} more were dropped and not kept to show (keep_dropped_targets).`
            : ''}
        </Text>
        <FoldAll groups={rows.filter((row) => row.kind === 'group').length} control={control} />
      </Group>
      {rows.length > 0 ? (
        <RowList rows={rows} label={label} rowPx={45}>
          {(row) =>
            row.kind === 'group' ? (
              <PoolHead
                counts={row.group}
                folded={row.folded}
                onToggle={() => control.toggle(row.group.pool)}
              />
            ) : row.kind === 'none' ? (
              <PoolNone counts={row.group} withLink={withLink} />
            ) : (
              children(row.item, isOpen(row.key), () => toggle(row.key))
            )
          }
        </RowList>
      ) : (
        <NothingMatches
          words={
            unkept > 0
              ? 'Targets were dropped by relabelling, but the server kept none of them to show.'
              : (nothing ?? 'Nothing matches.')
          }
          onShowAll={() => onFilter({ text: '', pool: '', state: 'all' })}
        />
      )}
    </div>
  );
}
