// The answers at one instant as tables: sorted, filtered, copied, taken along as CSV.
import { Anchor, Button, Group, Skeleton, Stack, Text, TextInput, UnstyledButton } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useMemo, useRef, useState } from 'react';
import { Link, useSearchParams } from 'react-router';

import type { Answer } from '../../api/client';
import type { InstantResult } from '../../api/types';
import { CopyButton, download, When } from '../../app/parts';
import { toCsv } from '../../lib/csv';
import { seriesText, varyingLabels } from '../../lib/labels';
import { unitOfQuery } from '../../lib/promql';
import { formatValue, fullValue, unitWords } from '../../lib/units';
import { EmptyReason } from './EmptyReason';
import type { ResultProps } from './ResultGraphs';
import { columnsOf, rowsOf, sortRows, type Row, type Sort } from './tableData';

const LETTERS = 'ABCDEFGHIJKLMNOPQRST';
const ROW_PX = 30;
const CARD_PX = 46;
const HEIGHT_MAX_PX = 620;

export function ResultTable({ results, range, onQuery }: ResultProps<Answer<InstantResult>>) {
  return (
    <Stack gap="lg" className="results-body">
      {results.map((result, i) => {
        const letter = results.length > 1 ? (LETTERS[i] ?? '?') : null;
        if (result.query.trim() === '') return null;
        if (!result.data) {
          return result.running ? (
            <Skeleton key={i} height={200} radius="sm" aria-label="Waiting for the answer" />
          ) : null;
        }
        const rows = rowsOf(result.data.data);
        if (rows.length === 0 && !result.stale) {
          return (
            <EmptyReason
              key={i}
              letter={letter}
              query={result.query}
              range={range}
              onQuery={(q) => onQuery(i, q)}
            />
          );
        }
        return (
          <div key={i} className={result.stale ? 'stale' : undefined}>
            {result.stale ? (
              <Text size="xs" c="var(--kymo-warn)">
                Earlier answer
              </Text>
            ) : null}
            <OneTable letter={letter} query={result.query} data={result.data.data} />
          </div>
        );
      })}
    </Stack>
  );
}

function OneTable({ letter, query, data }: { letter: string | null; query: string; data: InstantResult }) {
  const [filter, setFilter] = useState('');
  const [sort, setSort] = useState<Sort | null>(null);
  const narrow = useMediaQuery('(max-width: 48em)', false, { getInitialValueInEffect: false });
  const { unit } = useMemo(() => unitOfQuery(query), [query]);
  const rows = useMemo(() => rowsOf(data), [data]);
  const columns = useMemo(() => columnsOf(rows, varyingLabels(rows.map((row) => row.labels))), [rows]);
  const shown = useMemo(() => sortRows(rows, filter, sort), [rows, filter, sort]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (narrow ? CARD_PX : ROW_PX),
    overscan: 12,
    ...(narrow ? { measureElement: (element: Element) => element.getBoundingClientRect().height } : {}),
  });
  const csv = () =>
    toCsv(
      ['series', 'time', 'value'],
      shown.map((row) => [seriesText(row.labels), new Date(row.timeMs).toISOString(), row.text]),
    );
  const template = `${columns.names.map((_, i) => (i === 0 ? 'minmax(160px, 2fr)' : 'minmax(90px, 1fr)')).join(' ')} minmax(120px, auto)`;
  const first = rows[0];

  return (
    <div>
      <Group justify="space-between" gap="xs" mb={6}>
        <Group gap="sm">
          {letter === null ? null : <span className="query-letter">{letter}</span>}
          <TextInput
            size="xs"
            placeholder="Filter"
            aria-label="Filter rows"
            value={filter}
            onChange={(event) => setFilter(event.currentTarget.value)}
          />
          <Text size="xs" c="dimmed" className="tabular">
            {shown.length === rows.length ? rows.length : `${shown.length} of ${rows.length}`} rows
            {first ? (
              <>
                {' '}
                at <When ms={first.timeMs} />
              </>
            ) : null}
          </Text>
        </Group>
        <Group gap={6}>
          <CopyButton text={csv} label="Copy the rows as CSV" words="Copy" />
          <Button size="compact-xs" variant="default" onClick={() => download('kymo.csv', 'text/csv', csv())}>
            CSV
          </Button>
        </Group>
      </Group>
      {columns.constant === '' ? null : (
        <Text size="xs" c="dimmed" className="mono wrap-anywhere" mb={6}>
          All: {columns.constant}
        </Text>
      )}
      <div className="grid-table" role="table" aria-rowcount={shown.length} aria-label={`Result of ${query}`}>
        {narrow ? null : (
          <div className="grid-row grid-head" role="row" style={{ gridTemplateColumns: template }}>
            {columns.names.map((name) => (
              <HeadCell key={name} name={name} sort={sort} onSort={setSort} />
            ))}
            <HeadCell name="value" title={unitWords(unit)} sort={sort} onSort={setSort} numeric />
          </div>
        )}
        <div ref={scroller} className="grid-scroll" style={{ maxHeight: HEIGHT_MAX_PX }}>
          <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
            {virtual.getVirtualItems().map((item) => {
              const row = shown[item.index];
              if (!row) return null;
              return (
                <div
                  key={row.key}
                  ref={narrow ? virtual.measureElement : null}
                  data-index={item.index}
                  role="row"
                  className={narrow ? 'grid-card' : 'grid-row'}
                  style={{
                    position: 'absolute',
                    top: 0,
                    left: 0,
                    right: 0,
                    transform: `translateY(${item.start}px)`,
                    ...(narrow ? {} : { gridTemplateColumns: template, height: ROW_PX }),
                  }}
                >
                  <Cells row={row} names={columns.names} narrow={narrow} />
                  <span role="cell" className="num" title={fullValue(row.value, unit)}>
                    {row.histogram ?? formatValue(row.value, unit, 6)}
                  </span>
                </div>
              );
            })}
          </div>
        </div>
      </div>
    </div>
  );
}

function Cells({ row, names, narrow }: { row: Row; names: readonly string[]; narrow: boolean }) {
  const [params] = useSearchParams();
  const link = () => {
    const next = new URLSearchParams();
    for (const key of ['range', 'from', 'to']) {
      const value = params.get(key);
      if (value !== null) next.set(key, value);
    }
    next.set('q', seriesText(row.labels));
    return `/explore?${next.toString()}`;
  };
  const linked = Object.keys(row.labels).length > 0;
  if (narrow) {
    return (
      <span role="cell" className="mono wrap-anywhere">
        {linked ? (
          <Anchor component={Link} to={link()} inherit>
            {names[0] === 'series'
              ? seriesText(row.labels)
              : names.map((name) => `${name}=${row.labels[name] ?? ''}`).join('  ')}
          </Anchor>
        ) : (
          'value'
        )}
      </span>
    );
  }
  return names.map((name, i) => {
    const text = name === 'series' ? (linked ? seriesText(row.labels) : 'value') : (row.labels[name] ?? '');
    return (
      <span key={name} role="cell" className="grid-cell" title={text}>
        {i === 0 && linked ? (
          <Anchor component={Link} to={link()} inherit>
            {text === '' ? '–' : text}
          </Anchor>
        ) : (
          text
        )}
      </span>
    );
  });
}

function HeadCell({
  name,
  title,
  sort,
  onSort,
  numeric = false,
}: {
  name: string;
  title?: string;
  sort: Sort | null;
  onSort: (sort: Sort | null) => void;
  numeric?: boolean;
}) {
  const active = sort?.column === name ? sort : null;
  const next: Sort | null =
    active === null
      ? { column: name, falling: numeric }
      : active.falling === numeric
        ? { column: name, falling: !numeric }
        : null;
  return (
    <span
      role="columnheader"
      aria-sort={active === null ? 'none' : active.falling ? 'descending' : 'ascending'}
      className={numeric ? 'num' : undefined}
    >
      <UnstyledButton className="head-button" onClick={() => onSort(next)} title={title}>
        {name === '__name__' ? 'metric' : name}
        {active === null ? '' : active.falling ? ' ↓' : ' ↑'}
      </UnstyledButton>
    </span>
  );
}
