// The answers as graphs: queries of one unit share a graph, so that every axis means one thing.
import { Skeleton, Stack, Text } from '@mantine/core';
import { useMemo, useState } from 'react';

import type { RangeAnswer } from '../../api/hooks';
import { useTime } from '../../app/timeControl';
import { useSameList } from '../../app/useSameList';
import { Legend } from '../../graph/Legend';
import { Plot } from '../../graph/Plot';
import { clickLegend, type PlotSeries } from '../../graph/plotData';
import { useColors } from '../../graph/useColors';
import { shortName, varyingLabels } from '../../lib/labels';
import { unitOfQuery } from '../../lib/promql';
import type { TimeRange } from '../../lib/time';
import { unitWords, type Unit } from '../../lib/units';
import { EmptyReason } from './EmptyReason';
import type { Asked } from '../../api/asked';

/** More lines than this nobody reads; the table has them all. */
const SERIES_MAX = 500;

interface Group {
  unit: Unit;
  times: number[];
  letters: string[];
  series: Omit<PlotSeries, 'slot'>[];
  cut: number;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRST';

function groupByUnit(queries: readonly string[], answers: readonly (RangeAnswer | undefined)[]): Group[] {
  const several = answers.filter((answer) => answer !== undefined).length > 1;
  const groups = new Map<string, Group>();
  answers.forEach((answer, i) => {
    const frame = answer?.frame;
    const query = queries[i] ?? '';
    if (!frame || frame.columns.length === 0) return;
    const letter = LETTERS[i] ?? '?';
    const { unit } = unitOfQuery(query);
    // Answers on another grid (one is still the earlier range) do not share an axis.
    const key = `${unit}|${frame.times[0] ?? 0}|${frame.times.length}|${frame.stepMs}`;
    const group = groups.get(key) ?? { unit, times: frame.times, letters: [], series: [], cut: 0 };
    groups.set(key, group);
    group.letters.push(letter);
    const varying = varyingLabels(frame.columns.map((column) => column.labels));
    for (const column of frame.columns) {
      if (group.series.length >= SERIES_MAX) {
        group.cut += 1;
        continue;
      }
      const name = shortName(column.labels, varying);
      const label = name === '{}' ? query.trim() : name;
      group.series.push({
        key: `${letter}\u0000${column.key}`,
        label: several ? `${letter} · ${label}` : label,
        values: column.values,
      });
    }
  });
  return [...groups.values()];
}

export interface ResultProps<T> {
  results: readonly Asked<T>[];
  range: TimeRange;
  onQuery: (i: number, query: string) => void;
}

export function ResultGraphs({
  results,
  range,
  stacked,
  onQuery,
}: ResultProps<RangeAnswer> & { stacked: boolean }) {
  const answers = useSameList(results.map((result) => result.data));
  const queries = useSameList(results.map((result) => result.query));
  const groups = useMemo(() => groupByUnit(queries, answers), [queries, answers]);
  const waiting = results.some((result) => result.data === undefined && result.running);
  return (
    <Stack gap="lg" className="results-body">
      {groups.map((group) => (
        <GraphOfUnit
          key={`${group.unit}|${group.letters.join('')}`}
          group={group}
          stacked={stacked}
          height={groups.length === 1 ? 380 : 260}
          stale={results.some((result, i) => result.stale && group.letters.includes(LETTERS[i] ?? ''))}
          several={groups.length > 1}
        />
      ))}
      {results.map((result, i) =>
        result.data?.frame.columns.length === 0 && !result.stale ? (
          <EmptyReason
            key={result.query}
            letter={results.length > 1 ? (LETTERS[i] ?? '?') : null}
            query={result.query}
            range={range}
            onQuery={(query) => onQuery(i, query)}
          />
        ) : null,
      )}
      {results.some((result) => result.data === undefined && (result.error !== null || result.cancelled)) &&
      groups.length === 0 ? (
        <Text size="sm" c="dimmed" p="lg">
          No answer to draw yet.
        </Text>
      ) : null}
      {groups.length === 0 && waiting ? (
        <Skeleton height={380} radius="sm" aria-label="Waiting for the answer" />
      ) : null}
    </Stack>
  );
}

function GraphOfUnit({
  group,
  stacked,
  height,
  stale,
  several,
}: {
  group: Group;
  stacked: boolean;
  height: number;
  stale: boolean;
  several: boolean;
}) {
  const { zoomInto, zoomBack } = useTime();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const keys = useMemo(() => group.series.map((one) => one.key), [group]);
  const slots = useColors(keys);
  const series = useMemo(
    () => group.series.map((one) => ({ ...one, slot: slots.get(one.key) ?? 0 })),
    [group, slots],
  );
  const visible = useMemo(() => series.filter((one) => !hidden.has(one.key)), [series, hidden]);
  return (
    <figure className="graph-figure">
      {several || stale || group.cut > 0 ? (
        <figcaption>
          {several ? (
            <Text size="xs" c="dimmed" span>
              {group.letters.join(', ')} · {unitWords(group.unit)}
            </Text>
          ) : null}
          {stale ? (
            <Text size="xs" c="var(--kymo-warn)" span>
              Earlier answer
            </Text>
          ) : null}
          {group.cut > 0 ? (
            <Text size="xs" c="var(--kymo-warn)" span>
              {SERIES_MAX} of {(SERIES_MAX + group.cut).toLocaleString('en-US')} series are drawn. The table
              has all; topk(20, …) would choose.
            </Text>
          ) : null}
        </figcaption>
      ) : null}
      <div className={stale ? 'stale' : undefined}>
        <Plot
          times={group.times}
          series={visible}
          unit={group.unit}
          stacked={stacked}
          height={height}
          label={`${visible.length} series, ${unitWords(group.unit)}`}
          onZoom={zoomInto}
          onZoomOut={zoomBack}
        />
      </div>
      <Legend
        series={series}
        hidden={hidden}
        unit={group.unit}
        onClick={(key, only) => setHidden((old) => clickLegend(old, keys, key, only))}
      />
    </figure>
  );
}
