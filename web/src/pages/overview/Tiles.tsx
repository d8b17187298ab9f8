// The numbers that say how much is watched, and how near its limits the server is.
import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

import { useAlerts, useInstant, useKept, useRuntimeInfo, useTsdbStatus, vectorOf } from '../../api/hooks';
import { useKymoStatus } from '../../api/kymo';
import type { TargetsResult } from '../../api/types';
import { UseBar } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { parseDuration } from '../../lib/time';
import { formatValue, fullValue, parseSample } from '../../lib/units';
import { exploreLink } from '../../lib/urlState';
import { samplesPerSecond } from './rates';

export function Tiles({ targets, stale }: { targets: TargetsResult | undefined; stale: boolean }) {
  const { refreshMs } = useTime();
  const tsdb = useKept(useTsdbStatus(refreshMs));
  const runtime = useKept(useRuntimeInfo(refreshMs));
  const kymo = useKept(useKymoStatus(refreshMs));
  const alerts = useKept(useAlerts(refreshMs));
  const perRound = useKept(
    useInstant('sum by (job) (scrape_samples_post_metric_relabeling)', null, refreshMs),
  );
  const pushed = useKept(useInstant('sum(rate(kymo_push_samples_total[1m]))', null, refreshMs));

  const up = targets?.activeTargets.filter((target) => target.health === 'up').length ?? 0;
  const down = targets?.activeTargets.filter((target) => target.health === 'down').length ?? 0;
  const unknown = (targets?.activeTargets.length ?? 0) - up - down;
  const rounds = new Map(
    vectorOf(perRound.data).flatMap(({ metric, value }) =>
      value ? [[metric['job'] ?? '', parseSample(value[1])] as const] : [],
    ),
  );
  const scraped =
    targets && perRound.data ? samplesPerSecond(targets.activeTargets, rounds, parseDuration) : null;
  const push = vectorOf(pushed.data)[0]?.value;
  const pushRate = push ? parseSample(push[1]) : 0;
  const firing = alerts.data?.alerts.filter((alert) => alert.state === 'firing').length ?? 0;
  const storage = kymo.data?.storage;
  const disk = storage ? (storage['blockBytes'] ?? 0) + (storage['journalBytes'] ?? 0) : null;
  const process = kymo.data?.memory[0];

  return (
    <div className={stale ? 'tiles stale' : 'tiles'}>
      <Tile
        name="Targets"
        to="/targets"
        value={targets ? `${up} up` : null}
        under={
          down > 0 ? (
            <Anchor component={Link} to="/targets?state=down" size="xs" className="tile-bad">
              {down} down
            </Anchor>
          ) : targets?.activeTargets.length === 0 ? (
            'none yet'
          ) : unknown > 0 ? (
            `${unknown} not yet scraped`
          ) : (
            'none down'
          )
        }
      />
      <Tile
        name="Active series"
        to="/status#cardinality"
        value={tsdb.data ? formatValue(tsdb.data.headStats.numSeries, 'count', 4) : null}
        hover={
          tsdb.data
            ? `${tsdb.data.headStats.numSeries.toLocaleString('en-US')} series in the head`
            : undefined
        }
        under="in the head"
      />
      <Tile
        name="Samples per second"
        to={exploreLink('sum by (job) (scrape_samples_post_metric_relabeling)')}
        value={scraped === null ? null : formatValue(scraped + pushRate, '/s', 3)}
        hover={scraped === null ? undefined : fullValue(scraped + pushRate, '/s')}
        under={pushRate > 0 ? `${formatValue(pushRate, '/s', 3)} of it pushed` : 'scraped'}
      />
      {disk === null ? null : (
        <Tile
          name="Storage"
          to="/status#storage"
          value={formatValue(disk, 'bytes', 3)}
          hover={fullValue(disk, 'bytes')}
          under={runtime.data?.storageRetention ? `kept for ${runtime.data.storageRetention}` : 'on disk'}
        />
      )}
      {process ? (
        <Tile
          name="Memory"
          to="/status#memory"
          value={formatValue(process.usedBytes, 'bytes', 3)}
          hover={fullValue(process.usedBytes, 'bytes')}
          under={
            process.limitBytes !== null && process.limitBytes > 0 ? (
              <span className="tile-use">
                <UseBar share={process.usedBytes / process.limitBytes} label="Memory used of its limit" />
                of {formatValue(process.limitBytes, 'bytes', 3)}
              </span>
            ) : null
          }
        />
      ) : null}
      {firing > 0 ? (
        <Tile
          name="Alerts"
          to="/alerts"
          value={`${firing} firing`}
          under={<span className="tile-bad">see which</span>}
        />
      ) : null}
    </div>
  );
}

function Tile({
  name,
  to,
  value,
  under,
  hover,
}: {
  name: string;
  to: string;
  value: string | null;
  under: ReactNode;
  hover?: string | undefined;
}) {
  return (
    <div className="panel tile">
      <Link to={to} className="tile-name">
        {name}
      </Link>
      <div className="tile-value tabular" title={hover}>
        {value ?? <span className="tile-wait" aria-label="Asking" />}
      </div>
      <div className="tile-under quiet tabular">{value === null ? '\u00a0' : under}</div>
    </div>
  );
}
