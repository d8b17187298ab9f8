// Targets: where samples come from, whether they do, and why not.
import { Button, Select, SegmentedControl, Skeleton, Stack, Text, TextInput } from '@mantine/core';
import { useMemo, useState } from 'react';

import { useInstant, useKept, useTargets, vectorOf } from '../../api/hooks';
import type { TargetsResult } from '../../api/types';
import { ErrorNote, StateDot } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { useUrlParams } from '../../app/useUrlParams';
import { parseSample } from '../../lib/units';
import {
  countPools,
  rowsOf,
  sampleKey,
  STATES,
  type PoolCounts,
  type StateFilter,
  type TargetFilter,
} from './targetData';
import { TargetList } from './TargetList';
import './targets.css';

export default function Targets() {
  const { refreshMs } = useTime();
  const loaded = useTargets(refreshMs);
  const { data, stale, error } = useKept(loaded);
  return (
    <Stack gap="sm">
      {error ? (
        <ErrorNote
          title="Targets could not be asked for"
          error={error}
          kept={stale}
          onRetry={() => void loaded.refetch()}
        />
      ) : null}
      {data ? (
        <div className={stale ? 'stale' : undefined}>
          <Loaded data={data} />
        </div>
      ) : error ? null : (
        <Skeleton height={420} radius="sm" aria-label="Asking for targets" />
      )}
    </Stack>
  );
}

function useFilter(): [TargetFilter, (change: Partial<TargetFilter>) => void] {
  const [params, setParams] = useUrlParams();
  const state = params.get('state') ?? 'all';
  const filter: TargetFilter = {
    text: params.get('find') ?? '',
    state: (STATES as readonly string[]).includes(state) ? (state as StateFilter) : 'all',
    pool: params.get('pool') ?? '',
  };
  const change = (part: Partial<TargetFilter>) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        const set = (key: string, value: string) => (value === '' ? next.delete(key) : next.set(key, value));
        if (part.text !== undefined) set('find', part.text);
        if (part.state !== undefined) set('state', part.state === 'all' ? '' : part.state);
        if (part.pool !== undefined) set('pool', part.pool);
        return next;
      },
      { replace: true },
    );
  return [filter, change];
}

function Loaded({ data }: { data: TargetsResult }) {
  const { refreshMs } = useTime();
  const [filter, change] = useFilter();
  const [text, setText] = useState(filter.text);
  const scraped = useInstant('scrape_samples_scraped', null, refreshMs);
  const samples = useMemo(() => {
    const found = new Map<string, number>();
    for (const { metric, value } of vectorOf(scraped.data))
      if (value) found.set(sampleKey(metric), parseSample(value[1]));
    return found;
  }, [scraped.data]);
  const pools = useMemo(() => countPools(data), [data]);
  const { state, pool } = filter;
  const rows = useMemo(() => rowsOf(data, { text, state, pool }), [data, text, state, pool]);
  const total = sum(pools);

  if (data.activeTargets.length === 0 && total.dropped === 0) return <Nothing />;
  return (
    <Stack gap="sm">
      <div className="target-bar">
        <SegmentedControl
          size="xs"
          aria-label="State"
          value={state}
          onChange={(value) => change({ state: value })}
          data={[
            { value: 'all', label: `All ${data.activeTargets.length}` },
            { value: 'up', label: `Up ${total.up}` },
            { value: 'down', label: `Down ${total.down}` },
            { value: 'unknown', label: `Not yet ${total.unknown}` },
            { value: 'dropped', label: `Dropped ${total.dropped}` },
          ]}
        />
        <TextInput
          size="xs"
          className="target-find"
          placeholder="Filter by label, address or error"
          aria-label="Filter targets"
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            change({ text: event.currentTarget.value });
          }}
        />
        <Select
          size="xs"
          aria-label="Pool"
          placeholder={`All ${pools.length} pools`}
          data={pools.map((one) => one.pool)}
          value={pool === '' ? null : pool}
          onChange={(value) => change({ pool: value ?? '' })}
          clearable
          searchable
          comboboxProps={{ transitionProps: { duration: 0 } }}
        />
      </div>
      {rows.length > 0 ? (
        <TargetList rows={rows} samples={samples} />
      ) : (
        <div className="panel banner" role="status">
          <Text size="sm">
            {state === 'dropped' && total.dropped > 0
              ? 'Targets were dropped by relabelling, but the server kept none of them to show.'
              : state === 'down' && text === '' && pool === ''
                ? 'No target is down.'
                : 'No target matches.'}
          </Text>
          <Button
            size="compact-xs"
            variant="default"
            mt={6}
            onClick={() => {
              setText('');
              change({ text: '', state: 'all', pool: '' });
            }}
          >
            Show all
          </Button>
        </div>
      )}
    </Stack>
  );
}

function sum(pools: readonly PoolCounts[]): Omit<PoolCounts, 'pool'> {
  const total = { up: 0, down: 0, unknown: 0, dropped: 0 };
  for (const pool of pools) {
    total.up += pool.up;
    total.down += pool.down;
    total.unknown += pool.unknown;
    total.dropped += pool.dropped;
  }
  return total;
}

function Nothing() {
  return (
    <div className="panel section">
      <Text fw={600}>
        <StateDot state="none" /> Nothing is scraped yet
      </Text>
      <Text size="sm" c="dimmed" mt={4}>
        A target is an address that answers with metrics; it is fetched again and again. These lines in the
        configuration make one:
      </Text>
      <pre className="mono teach">{`scrape_configs:
  - job_name: node
    static_configs: [{ targets: ['localhost:9100'] }]`}</pre>
    </div>
  );
}
