// Trouble, the newest first; or one calm line.
import { Anchor, Button, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';

import { ask, type ApiError } from '../../api/client';
import { useKept } from '../../api/hooks';
import type { RangeResult } from '../../api/types';
import { IconCheck } from '../../app/icons';
import { ErrorNote, StateDot, When } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { conditions, LOOK_BACK_MS, LOOK_STEP_MS, newestFirst, troubleOf, type Trouble } from './trouble';

const SHOWN_MAX = 6;

async function findTrouble(signal: AbortSignal): Promise<Trouble[]> {
  const endMs = Date.now();
  const startMs = endMs - LOOK_BACK_MS;
  const found = await Promise.all(
    conditions().map(async (condition) => {
      const params = {
        query: condition.query,
        start: startMs / 1_000,
        end: endMs / 1_000,
        step: LOOK_STEP_MS / 1_000,
      };
      const { data } = await ask<RangeResult>('/query_range', params, signal);
      return troubleOf(condition, data.result, startMs, endMs, LOOK_STEP_MS);
    }),
  );
  return newestFirst(found.flat());
}

export function TroubleList({ hasHosts, targetCount }: { hasHosts: boolean; targetCount: number | null }) {
  const { refreshMs } = useTime();
  const [all, setAll] = useState(false);
  const loaded = useQuery<Trouble[], ApiError>({
    queryKey: ['trouble'],
    queryFn: ({ signal }) => findTrouble(signal),
    // It looks over a whole day: twice a minute is enough.
    refetchInterval: refreshMs > 0 ? Math.max(refreshMs, 30_000) : false,
  });
  const { data, stale, error } = useKept(loaded);
  if (error && !data)
    return (
      <ErrorNote
        title="Whether something is wrong could not be asked"
        error={error}
        onRetry={() => void loaded.refetch()}
      />
    );
  if (!data)
    return <div className="panel trouble-list waiting" aria-busy="true" aria-label="Asking what is wrong" />;
  if (data.length === 0) {
    return (
      <div className={stale ? 'panel trouble-list stale' : 'panel trouble-list'} role="status">
        <span className="well">
          <IconCheck size={16} />
        </span>
        <Text size="sm">
          {targetCount === 0
            ? 'Nothing is scraped yet.'
            : `No trouble: every target is up${hasHosts ? ', no file system is above 90 %, no host is short of memory or processors' : ''}.`}
        </Text>
      </div>
    );
  }
  const shown = all ? data : data.slice(0, SHOWN_MAX);
  return (
    <section
      className={`panel troubles ${data.some((one) => one.severity === 'bad') ? 'bad' : ''} ${stale ? 'stale' : ''}`}
      aria-label="Trouble, newest first"
    >
      <ul>
        {shown.map((trouble) => (
          <li key={trouble.key}>
            <StateDot state={trouble.severity} />
            <Anchor component={Link} to={trouble.link} className="trouble-what" size="sm">
              {trouble.what}
            </Anchor>
            <span className="trouble-where wrap-anywhere">{trouble.where}</span>
            <span className="quiet trouble-since">
              {trouble.sinceMs === null ? 'for more than a day' : <When ms={trouble.sinceMs} relative />}
            </span>
          </li>
        ))}
      </ul>
      {data.length > SHOWN_MAX ? (
        <Button
          size="compact-xs"
          variant="subtle"
          color="gray"
          ml={10}
          mb={6}
          onClick={() => setAll((old) => !old)}
        >
          {all ? 'Fewer' : `${data.length - SHOWN_MAX} more`}
        </Button>
      ) : null}
    </section>
  );
}
