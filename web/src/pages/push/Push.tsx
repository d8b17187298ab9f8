// Push: who sends samples here, how much, and what was wrong with it.
import {
  Button,
  Group,
  Modal,
  NativeSelect,
  SegmentedControl,
  Select,
  Skeleton,
  Stack,
  Switch,
  Text,
  TextInput,
} from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMemo, useState } from 'react';

import { useFlags, useKept } from '../../api/hooks';
import { SOURCES_MAX, usePushSources, type PushSources } from '../../api/push';
import { CopyButton, download, ErrorNote, StateDot } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { useUrlParams } from '../../app/useUrlParams';
import { toCsv } from '../../lib/csv';
import { formatValue, fullValue } from '../../lib/units';
import { HowToPush } from './HowToPush';
import {
  CSV_HEADER,
  csvRow,
  DEFAULT_SORT,
  filterSources,
  protocolWords,
  readSource,
  SORTS,
  sortFrom,
  sortSources,
  sortText,
  SOURCE_STATES,
  totalsOf,
  type Source,
  type SourceColumn,
  type SourceFilter,
  type SourceSort,
  type SourceState,
} from './pushData';
import { SourceTable } from './SourceTable';
import './push.css';

interface Shown extends SourceFilter {
  sort: SourceSort;
  allTenants: boolean;
}

export default function Push() {
  const { refreshMs } = useTime();
  const [shown, change] = useShown();
  const loaded = usePushSources(refreshMs, shown.allTenants);
  const { data, stale, error } = useKept(loaded);
  return (
    <Stack gap="sm">
      {error ? (
        <ErrorNote
          title="Push sources could not be asked for"
          error={error}
          kept={stale}
          onRetry={() => void loaded.refetch()}
        />
      ) : null}
      {data ? (
        <div className={stale ? 'stale' : undefined}>
          <Loaded data={data} shown={shown} change={change} />
        </div>
      ) : error ? (
        <TenantSwitch shown={shown} change={change} />
      ) : (
        <Skeleton height={420} radius="sm" aria-label="Asking for push sources" />
      )}
    </Stack>
  );
}

type Change = (part: Partial<Shown>) => void;

function useShown(): [Shown, Change] {
  const [params, setParams] = useUrlParams();
  const state = params.get('state') ?? 'all';
  const shown: Shown = {
    text: params.get('find') ?? '',
    protocol: params.get('protocol') ?? '',
    state: (SOURCE_STATES as readonly string[]).includes(state) ? (state as SourceState) : 'all',
    sort: sortFrom(params.get('sort') ?? ''),
    allTenants: params.get('tenants') === 'all',
  };
  const change = (part: Partial<Shown>) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        const set = (key: string, value: string) => (value === '' ? next.delete(key) : next.set(key, value));
        if (part.text !== undefined) set('find', part.text);
        if (part.protocol !== undefined) set('protocol', part.protocol);
        if (part.state !== undefined) set('state', part.state === 'all' ? '' : part.state);
        if (part.sort !== undefined) {
          const text = sortText(part.sort);
          set('sort', text === sortText(DEFAULT_SORT) ? '' : text);
        }
        if (part.allTenants !== undefined) set('tenants', part.allTenants ? 'all' : '');
        return next;
      },
      { replace: true },
    );
  return [shown, change];
}

function Loaded({ data, shown, change }: { data: PushSources; shown: Shown; change: Change }) {
  const [text, setText] = useState(shown.text);
  const all = useMemo(() => data.sources.map((source) => readSource(source, data.askedMs)), [data]);
  const totals = useMemo(() => totalsOf(all), [all]);
  const { protocol, state } = shown;
  const { column, falling } = shown.sort;
  const rows = useMemo(
    () => sortSources(filterSources(all, { text, protocol, state }), { column, falling }, data.askedMs),
    [all, text, protocol, state, column, falling, data.askedMs],
  );

  if (all.length === 0) return <Nothing shown={shown} change={change} />;
  // What a link asks for is offered even if nobody pushes so now.
  const protocols =
    protocol === '' || totals.protocols.includes(protocol)
      ? totals.protocols
      : [...totals.protocols, protocol];
  return (
    <Stack gap="sm">
      <div className="push-bar">
        <SegmentedControl
          size="xs"
          aria-label="State"
          value={state}
          onChange={(value) => change({ state: value })}
          data={[
            { value: 'all', label: `All ${all.length}` },
            { value: 'failing', label: `Failing ${totals.states.failing}` },
            { value: 'pushing', label: `Pushing ${totals.states.pushing}` },
            { value: 'silent', label: `Silent ${totals.states.silent}` },
          ]}
        />
        <TextInput
          size="xs"
          className="push-find"
          placeholder="Filter by client, address or error"
          aria-label="Filter sources"
          value={text}
          onChange={(event) => {
            setText(event.currentTarget.value);
            change({ text: event.currentTarget.value });
          }}
        />
        <Select
          size="xs"
          aria-label="Protocol"
          placeholder={
            totals.protocols.length === 1 ? '1 protocol' : `All ${totals.protocols.length} protocols`
          }
          data={protocols.map((value) => ({ value, label: protocolWords(value) }))}
          value={protocol === '' ? null : protocol}
          onChange={(value) => change({ protocol: value ?? '' })}
          clearable
          comboboxProps={{ transitionProps: { duration: 0 } }}
        />
        <SortSelect sort={shown.sort} onSort={(sort) => change({ sort })} />
      </div>
      <Summary
        rows={rows}
        all={all}
        samplesPerSecond={totals.samplesPerSecond}
        shown={shown}
        change={change}
      />
      {rows.length > 0 ? (
        <SourceTable
          sources={rows}
          withTenants={shown.allTenants || totals.tenants > 1}
          sort={shown.sort}
          onSort={(sort) => change({ sort })}
        />
      ) : (
        <div className="panel banner" role="status">
          <Text size="sm">
            {state === 'failing' && text === '' && protocol === ''
              ? 'No source is failing.'
              : 'No source matches.'}
          </Text>
          <Button
            size="compact-xs"
            variant="default"
            mt={6}
            onClick={() => {
              setText('');
              change({ text: '', protocol: '', state: 'all' });
            }}
          >
            Show all
          </Button>
        </div>
      )}
      {all.length >= SOURCES_MAX ? (
        <Text size="xs" c="dimmed">
          These are the {SOURCES_MAX.toLocaleString('en-US')} that were heard of last; the server remembers no
          more.
        </Text>
      ) : null}
    </Stack>
  );
}

/** Cards have no headings to sort by. */
function SortSelect({ sort, onSort }: { sort: SourceSort; onSort: (sort: SourceSort) => void }) {
  return (
    <NativeSelect
      size="xs"
      className="push-sort"
      aria-label="Sort by"
      value={sort.column}
      onChange={(event) => {
        const column = event.currentTarget.value as SourceColumn;
        onSort({ column, falling: SORTS[column].numeric });
      }}
      data={Object.entries(SORTS).map(([value, { title }]) => ({
        value,
        label: `By ${title.toLowerCase()}`,
      }))}
    />
  );
}

function Summary({
  rows,
  all,
  samplesPerSecond,
  shown,
  change,
}: {
  rows: readonly Source[];
  all: readonly Source[];
  samplesPerSecond: number;
  shown: Shown;
  change: Change;
}) {
  const [helping, help] = useDisclosure(false);
  const csv = () => toCsv(CSV_HEADER, rows.map(csvRow));
  return (
    <Group justify="space-between" gap="xs">
      <Group gap="md">
        <Text size="xs" c="dimmed" className="tabular" data-testid="push-total">
          {rows.length === all.length ? all.length : `${rows.length} of ${all.length}`}
          {all.length === 1 ? ' source' : ' sources'}
          {', '}
          <span title={fullValue(samplesPerSecond, '/s')}>
            {formatValue(samplesPerSecond, '/s', 3).replace('/s', ' samples/s')}
          </span>
          {rows.length === all.length ? '' : ' in all'}
        </Text>
        <TenantSwitch shown={shown} change={change} />
      </Group>
      <Group gap={6}>
        <Button size="compact-xs" variant="default" onClick={help.open}>
          How to push
        </Button>
        <CopyButton text={csv} label="Copy the rows as CSV" words="Copy" />
        <Button
          size="compact-xs"
          variant="default"
          onClick={() => download('push-sources.csv', 'text/csv', csv())}
        >
          CSV
        </Button>
      </Group>
      <Modal
        opened={helping}
        onClose={help.close}
        title="How to push"
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
        transitionProps={{ duration: 0 }}
      >
        <HowToPush />
      </Modal>
    </Group>
  );
}

/** Offered only where the server would answer. */
function TenantSwitch({ shown, change }: { shown: Shown; change: Change }) {
  const flags = useFlags();
  if (flags.data?.['enable-admin-api'] !== 'true' && !shown.allTenants) return null;
  return (
    <Switch
      size="xs"
      label="All tenants"
      checked={shown.allTenants}
      onChange={(event) => change({ allTenants: event.currentTarget.checked })}
    />
  );
}

function Nothing({ shown, change }: { shown: Shown; change: Change }) {
  return (
    <div className="panel section">
      <Group justify="space-between">
        <Text fw={600}>
          <StateDot state="none" /> Nothing was pushed since the server was started
        </Text>
        <TenantSwitch shown={shown} change={change} />
      </Group>
      <Text size="sm" c="dimmed" mt={4} mb="md">
        This page shows who sends samples here instead of being scraped: by remote write, from InfluxDB’s,
        StatsD’s and other clients, from jobs and scripts. Any of these makes a source:
      </Text>
      <HowToPush />
    </div>
  );
}
