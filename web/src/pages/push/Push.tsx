// Push: who sends samples here, how much, and what was wrong with it.
import { Button, Group, Modal, NativeSelect, Stack, Switch, Text } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { useMemo } from 'react';

import { useFlags } from '../../api/hooks';
import { SOURCES_MAX, usePushSources, type PushSources } from '../../api/push';
import { Answered } from '../../app/Answered';
import { CopyButton, download, StateDot } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { toCsv } from '../../lib/csv';
import { formatValue, fullValue } from '../../lib/units';
import { ChoiceSelect, FilterBar, NothingMatches } from '../../list/FilterBar';
import { choiceField, flagField, textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { HowToPush } from './HowToPush';
import {
  countStates,
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
} from './pushData';
import { SourceTable } from './SourceTable';
import './push.css';

interface Shown extends SourceFilter {
  sort: SourceSort;
  allTenants: boolean;
}

const FIELDS: Fields<Shown> = {
  text: textField('find'),
  protocol: textField('protocol'),
  state: choiceField('state', [...SOURCE_STATES, 'all'], 'all'),
  sort: {
    param: 'sort',
    read: sortFrom,
    write: (sort) => (sortText(sort) === sortText(DEFAULT_SORT) ? '' : sortText(sort)),
  },
  allTenants: flagField('tenants', 'all'),
};

export default function Push() {
  const { refreshMs } = useTime();
  const [shown, change] = useUrlFields(FIELDS);
  const loaded = usePushSources(refreshMs, shown.allTenants);
  return (
    <Answered loaded={loaded} what="push sources" without={<TenantSwitch shown={shown} change={change} />}>
      {(data) => <Loaded data={data} shown={shown} change={change} />}
    </Answered>
  );
}

type Change = (part: Partial<Shown>) => void;

function Loaded({ data, shown, change }: { data: PushSources; shown: Shown; change: Change }) {
  const all = useMemo(() => data.sources.map((source) => readSource(source, data.askedMs)), [data]);
  const totals = useMemo(() => totalsOf(all), [all]);
  const { text, protocol, state } = shown;
  const counts = useMemo(() => countStates(all, { text, protocol }), [all, text, protocol]);
  const { column, falling } = shown.sort;
  const rows = useMemo(
    () => sortSources(filterSources(all, { text, protocol, state }), { column, falling }, data.askedMs),
    [all, text, protocol, state, column, falling, data.askedMs],
  );

  if (all.length === 0) return <Nothing shown={shown} change={change} />;
  return (
    <Stack gap="sm">
      <FilterBar
        stateLabel="State"
        state={state}
        states={[
          { value: 'all', label: 'All', count: counts.all },
          { value: 'failing', label: 'Failing', count: counts.failing },
          { value: 'pushing', label: 'Pushing', count: counts.pushing },
          { value: 'silent', label: 'Silent', count: counts.silent },
        ]}
        onState={(value) => change({ state: value })}
        findLabel="Filter sources"
        placeholder="Filter by client, address or error"
        find={text}
        onFind={(value) => change({ text: value })}
      >
        <ChoiceSelect
          label="Protocol"
          all={totals.protocols.length === 1 ? '1 protocol' : `All ${totals.protocols.length} protocols`}
          value={protocol}
          options={[...new Set([...totals.protocols, protocol])]
            .filter((value) => value !== '')
            .map((value) => ({ value, label: protocolWords(value) }))}
          onChange={(value) => change({ protocol: value })}
        />
        <SortSelect sort={shown.sort} onSort={(sort) => change({ sort })} />
      </FilterBar>
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
        <NothingMatches
          words={
            state === 'failing' && text === '' && protocol === ''
              ? 'No source is failing.'
              : 'No source matches.'
          }
          onShowAll={() => change({ text: '', protocol: '', state: 'all' })}
        />
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
