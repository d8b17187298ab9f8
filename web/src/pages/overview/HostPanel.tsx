// One vital sign of a host: a graph with its legend, or why there is none.
import { Anchor, Skeleton, Text } from '@mantine/core';
import { useMemo, useState } from 'react';
import { Link } from 'react-router';

import { useRangeQueries } from '../../api/asked';
import { useTime } from '../../app/timeControl';
import { useSameList } from '../../app/useSameList';
import { CompactLegend } from '../../graph/Legend';
import { Plot } from '../../graph/Plot';
import { clickLegend, type PlotSeries } from '../../graph/plotData';
import { useColors } from '../../graph/useColors';
import { rangeToParams, type TimeRange } from '../../lib/time';
import type { PanelSpec } from './hosts';

const HEIGHT_PX = 170;

export function HostPanel({
  spec,
  range,
  stepMs,
  refreshMs,
}: {
  spec: PanelSpec;
  range: TimeRange;
  stepMs: number;
  refreshMs: number;
}) {
  const { zoomInto, zoomBack } = useTime();
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const queries = useMemo(() => spec.queries.map((one) => one.query), [spec]);
  const results = useRangeQueries(queries, range, stepMs, refreshMs, true);
  const frames = useSameList(results.map((result) => result.data));
  const error = results.find((result) => result.error !== null)?.error ?? null;
  const stale = results.some((result) => result.stale);

  const merged = useMemo(() => {
    const first = frames.find((frame) => frame !== undefined && frame.frame.columns.length > 0);
    if (!first) return null;
    const series: Omit<PlotSeries, 'slot'>[] = [];
    frames.forEach((frame, i) => {
      const query = spec.queries[i];
      // Answers of different moments share no grid; the late one comes in a moment.
      if (!frame || !query || frame.startMs !== first.startMs || frame.endMs !== first.endMs) return;
      for (const column of frame.frame.columns) {
        const label = query.name(column.labels);
        series.push({ key: `${i}\u0000${label}\u0000${column.key}`, label, values: column.values });
      }
    });
    return { times: first.frame.times, series };
  }, [frames, spec]);

  const keys = useMemo(() => merged?.series.map((one) => one.key) ?? [], [merged]);
  const slots = useColors(keys);
  const series = useMemo(
    () => (merged?.series ?? []).map((one) => ({ ...one, slot: slots.get(one.key) ?? 0 })),
    [merged, slots],
  );
  const visible = useMemo(() => series.filter((one) => !hidden.has(one.key)), [series, hidden]);
  const answered = results.every((result) => result.data !== undefined || result.error !== null);

  return (
    <section className="panel section host-panel" data-testid={`panel-${spec.id}`}>
      <div className="host-panel-head">
        <h3>{spec.title}</h3>
        <Anchor component={Link} to={exploreAll(queries, range, spec.stacked ?? false)} size="xs" c="dimmed">
          Explore
        </Anchor>
      </div>
      {error ? (
        <Text size="xs" c="var(--kymo-bad)" role="alert" className="wrap-anywhere">
          {error.message}
          {merged ? ' What is shown is older.' : ''}
        </Text>
      ) : null}
      {merged ? (
        <div className={stale && error ? 'stale' : undefined}>
          <Plot
            times={merged.times}
            series={visible}
            unit={spec.unit}
            stacked={spec.stacked ?? false}
            height={HEIGHT_PX}
            label={spec.title}
            onZoom={zoomInto}
            onZoomOut={zoomBack}
            {...(spec.ceiling === undefined ? {} : { ceiling: spec.ceiling })}
          />
          <CompactLegend
            series={series}
            hidden={hidden}
            unit={spec.unit}
            onClick={(key, only) => setHidden((old) => clickLegend(old, keys, key, only))}
          />
        </div>
      ) : answered ? (
        <Text size="sm" c="dimmed" className="host-panel-empty">
          {error ? '' : `No data in this time. ${spec.missing}`}
        </Text>
      ) : (
        <Skeleton height={HEIGHT_PX + 60} radius="sm" />
      )}
    </section>
  );
}

function exploreAll(queries: readonly string[], range: TimeRange, stacked: boolean): string {
  const params = new URLSearchParams();
  for (const query of queries) params.append('q', query);
  if (stacked) params.set('stacked', '1');
  return `/explore?${rangeToParams(range, params).toString()}`;
}
