// Discovery: everything that was found, what became of it, and which rule decided that.
import { Select, SegmentedControl, Skeleton, Stack, Text, TextInput, UnstyledButton } from '@mantine/core';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useMemo, useRef, useState } from 'react';

import { useKept, useTargets } from '../../api/hooks';
import type { TargetsResult } from '../../api/types';
import { IconDown, IconRight } from '../../app/icons';
import { ErrorNote, StateDot, WarnNote } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { useUrlParams } from '../../app/useUrlParams';
import { ruleText } from '../targets/relabelData';
import { RelabelSteps } from '../targets/RelabelSteps';
import { LabelList } from '../targets/TargetList';
import {
  allFound,
  countFound,
  FATES,
  filterFound,
  type Fate,
  type Found,
  type FoundFilter,
  type PoolFound,
} from './discoveryData';
import '../targets/targets.css';
import './discovery.css';

export default function Discovery() {
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

function useFilter(): [FoundFilter, (part: Partial<FoundFilter>) => void] {
  const [params, setParams] = useUrlParams();
  const fate = params.get('fate') ?? 'all';
  const filter: FoundFilter = {
    text: params.get('find') ?? '',
    pool: params.get('pool') ?? '',
    fate: (FATES as readonly string[]).includes(fate) ? (fate as Fate) : 'all',
  };
  const change = (part: Partial<FoundFilter>) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        const set = (key: string, value: string) => (value === '' ? next.delete(key) : next.set(key, value));
        if (part.text !== undefined) set('find', part.text);
        if (part.pool !== undefined) set('pool', part.pool);
        if (part.fate !== undefined) set('fate', part.fate === 'all' ? '' : part.fate);
        return next;
      },
      { replace: true },
    );
  return [filter, change];
}

function Loaded({ data }: { data: TargetsResult }) {
  const [filter, change] = useFilter();
  const [text, setText] = useState(filter.text);
  const found = useMemo(() => allFound(data), [data]);
  const pools = useMemo(() => countFound(data, found), [data, found]);
  const { pool, fate } = filter;
  const shown = useMemo(() => filterFound(found, { text, pool, fate }), [found, text, pool, fate]);
  const total = (kind: Fate) => pools.reduce((sum, one) => sum + one[kind], 0);
  const unkept = pools.reduce((sum, one) => sum + (pool === '' || one.pool === pool ? one.unkept : 0), 0);
  return (
    <Stack gap="sm">
      {data.discoveryFailures?.map((failure) => (
        <WarnNote key={failure}>{failure}</WarnNote>
      ))}
      <Pools pools={pools} chosen={pool} onChoose={(next) => change({ pool: next })} />
      <div className="target-bar">
        <SegmentedControl
          size="xs"
          aria-label="What became of them"
          value={fate}
          onChange={(value) => change({ fate: value })}
          data={[
            { value: 'all', label: 'All' },
            { value: 'scraped', label: `Scraped ${total('scraped')}` },
            { value: 'dropped', label: `Dropped ${total('dropped')}` },
            { value: 'invalid', label: `Invalid ${total('invalid')}` },
          ]}
        />
        <TextInput
          size="xs"
          className="target-find"
          placeholder="Filter by label before or after relabelling, or by error"
          aria-label="Filter what was discovered"
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
      {unkept > 0 && fate !== 'scraped' && fate !== 'invalid' ? (
        <Text size="xs" c="dimmed">
          {`${unkept.toLocaleString('en-US')} more were dropped and not kept to show (keep_dropped_targets).`}
        </Text>
      ) : null}
      {shown.length > 0 ? (
        <FoundList found={shown} />
      ) : (
        <div className="panel banner" role="status">
          <Text size="sm">{found.length === 0 ? 'Nothing was discovered.' : 'Nothing matches.'}</Text>
        </div>
      )}
    </Stack>
  );
}

function Pools({
  pools,
  chosen,
  onChoose,
}: {
  pools: readonly PoolFound[];
  chosen: string;
  onChoose: (pool: string) => void;
}) {
  // Beyond this the list of choices serves better.
  if (pools.length > 24) return null;
  return (
    <div className="pool-chips">
      {pools.map((one) => (
        <UnstyledButton
          key={one.pool}
          className="panel pool-chip"
          aria-pressed={one.pool === chosen}
          onClick={() => onChoose(one.pool === chosen ? '' : one.pool)}
        >
          <Text size="sm" fw={600} className="wrap-anywhere">
            {one.pool}
          </Text>
          <Text size="xs" c="dimmed" className="tabular">
            {`${one.scraped} scraped, ${one.dropped} dropped`}
            {one.invalid > 0 ? (
              <Text span inherit c="var(--kymo-bad)">
                {`, ${one.invalid} invalid`}
              </Text>
            ) : null}
          </Text>
        </UnstyledButton>
      ))}
    </div>
  );
}

function FoundList({ found }: { found: readonly Found[] }) {
  const host = useRef<HTMLDivElement>(null);
  const [offset, setOffset] = useState(0);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  useLayoutEffect(() => {
    const top = host.current?.getBoundingClientRect().top ?? 0;
    setOffset(top + window.scrollY);
  }, []);
  const virtual = useWindowVirtualizer({
    count: found.length,
    estimateSize: () => 42,
    overscan: 12,
    scrollMargin: offset,
    getItemKey: (i) => found[i]?.key ?? i,
  });
  const toggle = (key: string) =>
    setOpen((old) => {
      const next = new Set(old);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  return (
    <div ref={host} className="panel target-list" role="list" aria-label="Discovered">
      <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map((item) => {
          const one = found[item.index];
          if (!one) return null;
          return (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              role="listitem"
              className="target-item"
              style={{ transform: `translateY(${item.start - offset}px)` }}
            >
              <FoundRow found={one} open={open.has(one.key)} onToggle={() => toggle(one.key)} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

const DOTS = { scraped: 'ok', dropped: 'none', invalid: 'bad' } as const;

function FoundRow({ found, open, onToggle }: { found: Found; open: boolean; onToggle: () => void }) {
  const address = found.discovered['__address__'] ?? '(no address)';
  return (
    <div className="found-row">
      <div className="found-line">
        <UnstyledButton
          className="target-open"
          aria-expanded={open}
          aria-label={`What relabelling did to ${address}`}
          onClick={onToggle}
        >
          {open ? <IconDown size={14} /> : <IconRight size={14} />}
        </UnstyledButton>
        <span className="target-state">
          <StateDot state={DOTS[found.fate]} />
          {found.fate}
        </span>
        <span className="wrap-anywhere">{found.pool}</span>
        <span>
          <span className="mono wrap-anywhere">{address}</span>
          <Why found={found} />
        </span>
      </div>
      {open ? (
        <div className="found-details">
          <div>
            <Text size="xs" fw={600} c="dimmed">
              What relabelling did
            </Text>
            <RelabelSteps pool={found.pool} labels={found.discovered} />
          </div>
          <LabelList title="Labels before relabelling" labels={found.discovered} />
          {found.labels ? <LabelList title="Labels of its series" labels={found.labels} /> : null}
        </div>
      ) : null}
    </div>
  );
}

function Why({ found }: { found: Found }) {
  if (found.error !== undefined) return <div className="found-why invalid">{found.error}</div>;
  if (found.fate !== 'dropped') return null;
  return (
    <div className="found-why">
      {found.droppedBy
        ? `rule ${found.droppedBy.index + 1}: ${ruleText(found.droppedBy.rule)}`
        : 'dropped by relabelling'}
    </div>
  );
}
