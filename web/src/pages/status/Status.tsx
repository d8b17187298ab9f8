// Status: what runs here, how it was told to, and how much it holds.
import { Anchor, Group, Skeleton, Stack, Text, TextInput } from '@mantine/core';
import { useMemo, useState, type ReactNode } from 'react';

import type { ApiError } from '../../api/client';
import {
  useBuildInfo,
  useConfig,
  useFlags,
  useKept,
  useRuntimeInfo,
  useTsdbStatus,
  type Loaded,
} from '../../api/hooks';
import { useKymoStatus, type KymoStatus } from '../../api/kymo';
import type { NameValue, TsdbStatus } from '../../api/types';
import { CopyButton, ErrorNote, Section, UseBar, When } from '../../app/parts';
import { TextLines } from '../../app/TextLines';
import { useTime } from '../../app/timeControl';
import { readableSpan } from '../../lib/time';
import { formatValue, fullValue, type Unit } from '../../lib/units';
import { yamlTokens } from '../../lib/yaml';
import { ActiveQueries } from './ActiveQueries';
import './status.css';

const PARTS: [string, string][] = [
  ['server', 'Server'],
  ['storage', 'Storage'],
  ['memory', 'Memory'],
  ['queries', 'Queries'],
  ['cardinality', 'Cardinality'],
  ['flags', 'Flags'],
  ['config', 'Configuration'],
];

export default function Status() {
  const { refreshMs } = useTime();
  const kymo = useKymoStatus(refreshMs);
  const own = useKept(kymo);
  const parts = PARTS.filter(([id]) => id !== 'memory' || own.data);
  return (
    <Stack gap="sm">
      <nav aria-label="Parts of this page">
        <Group gap="md">
          {parts.map(([id, name]) => (
            <Anchor key={id} href={`#${id}`} size="sm">
              {name}
            </Anchor>
          ))}
        </Group>
      </nav>
      <Server kymo={own.data ?? null} refreshMs={refreshMs} />
      <Storage kymo={own.data ?? null} refreshMs={refreshMs} />
      {own.error ? (
        <ErrorNote title="Kymo’s own status could not be asked for" error={own.error} kept={own.stale} />
      ) : null}
      {own.data ? <Memory status={own.data} /> : null}
      <ActiveQueries refreshMs={refreshMs} />
      <Cardinality refreshMs={refreshMs} />
      <Flags />
      <Config />
    </Stack>
  );
}

/** A panel whose content comes from one request: skeleton, error, or what came, marked when it is old. */
function Panel<T>({
  id,
  title,
  loaded,
  aside,
  children,
}: {
  id: string;
  title: string;
  loaded: Loaded<T>;
  aside?: ReactNode;
  children: (data: T) => ReactNode;
}) {
  const { data, stale, error } = useKept(loaded);
  return (
    <Section id={id} title={title} aside={aside}>
      {error ? (
        <PanelError title={title} error={error} stale={stale} onRetry={() => void loaded.refetch()} />
      ) : null}
      {data !== undefined ? (
        <div className={stale ? 'stale' : undefined}>{children(data)}</div>
      ) : error ? null : (
        <Skeleton height={90} radius="sm" />
      )}
    </Section>
  );
}

function PanelError({
  title,
  error,
  stale,
  onRetry,
}: {
  title: string;
  error: ApiError;
  stale: boolean;
  onRetry: () => void;
}) {
  return (
    <ErrorNote title={`${title}: could not be asked for`} error={error} kept={stale} onRetry={onRetry} />
  );
}

type Fact = [name: string, value: ReactNode, hover?: string];

function Facts({ facts }: { facts: readonly Fact[] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value, hover]) => (
        <div key={name} title={hover}>
          <dt>{name}</dt>
          <dd className="tabular wrap-anywhere">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Server({ kymo, refreshMs }: { kymo: KymoStatus | null; refreshMs: number }) {
  const build = useKept(useBuildInfo());
  const runtime = useRuntimeInfo(refreshMs);
  return (
    <Panel id="server" title="Server" loaded={runtime}>
      {(info) => {
        const facts: Fact[] = [];
        const b = build.data;
        if (b) {
          facts.push([kymo ? 'Kymo' : 'Version', b.kymoVersion ?? b.version]);
          if (b.revision !== '')
            facts.push([
              'Revision',
              `${b.revision.slice(0, 12)}${b.branch === '' ? '' : ` (${b.branch})`}`,
              b.revision,
            ]);
          if (b.buildDate !== '') facts.push(['Built', b.buildDate]);
          if (b.goVersion !== '') facts.push(['Compiler', b.goVersion]);
        }
        const started = Date.parse(info.startTime);
        facts.push(['Started', <When key="w" ms={started} relative />]);
        facts.push([
          'Configuration',
          <span key="c" className={info.reloadConfigSuccess ? undefined : 'trouble'}>
            {info.reloadConfigSuccess ? 'loaded ' : 'the last reload failed; in force since '}
            <When ms={Date.parse(info.lastConfigTime)} relative />
          </span>,
        ]);
        if (info.hostname) facts.push(['Host', info.hostname]);
        facts.push(['Works in', info.CWD]);
        facts.push(['Processors', info.GOMAXPROCS]);
        facts.push([kymo ? 'Threads' : 'Goroutines', info.goroutineCount.toLocaleString('en-US')]);
        return <Facts facts={facts} />;
      }}
    </Panel>
  );
}

function Storage({ kymo, refreshMs }: { kymo: KymoStatus | null; refreshMs: number }) {
  const tsdb = useTsdbStatus(refreshMs);
  const runtime = useKept(useRuntimeInfo(refreshMs));
  return (
    <Panel id="storage" title="Storage" loaded={tsdb}>
      {(status) => (
        <Facts
          facts={storageFacts(status, kymo, runtime.data?.storageRetention, runtime.data?.corruptionCount)}
        />
      )}
    </Panel>
  );
}

function storageFacts(
  tsdb: TsdbStatus,
  kymo: KymoStatus | null,
  retention: string | undefined,
  corruptionCount: number | undefined,
): Fact[] {
  const { headStats } = tsdb;
  const of = (value: number, unit: Unit): [ReactNode, string] => [
    formatValue(value, unit, 4),
    fullValue(value, unit),
  ];
  const count = (value: number) => value.toLocaleString('en-US');
  const facts: Fact[] = [['Series in the head', count(headStats.numSeries)]];
  if (headStats.numLabelPairs !== undefined) facts.push(['Label pairs', count(headStats.numLabelPairs)]);
  facts.push(['Chunks in the head', count(headStats.chunkCount)]);
  if (headStats.maxTime >= headStats.minTime) {
    facts.push(['Head reaches back', readableSpan(headStats.maxTime - headStats.minTime)]);
    facts.push(['Newest sample', <When key="n" ms={headStats.maxTime} relative />]);
  }
  const s = kymo?.storage ?? {};
  const add = (name: string, key: string, unit: Unit | null) => {
    const value = s[key];
    if (value === undefined) return;
    if (unit === null) facts.push([name, count(value)]);
    else facts.push([name, ...of(value, unit)]);
  };
  add('Samples in the head', 'headSamples', null);
  add('Head in memory', 'headBytes', 'bytes');
  add('Blocks', 'blocks', null);
  add('Blocks on disk', 'blockBytes', 'bytes');
  const oldest = s['blockMinTime'];
  if (oldest !== undefined) facts.push(['Oldest sample in blocks', <When key="o" ms={oldest} relative />]);
  add('Journal segments', 'journalSegments', null);
  add('Journal on disk', 'journalBytes', 'bytes');
  add('Tenants', 'tenants', null);
  if (retention !== undefined && retention !== '') facts.push(['Kept for', retention]);
  if (corruptionCount !== undefined) {
    facts.push([
      'Damaged places in the journal',
      <span key="d" className={corruptionCount > 0 ? 'trouble' : undefined}>
        {count(corruptionCount)}
      </span>,
    ]);
  }
  return facts;
}

function Memory({ status }: { status: KymoStatus }) {
  return (
    <Section id="memory" title="Memory">
      <div className="memory" role="table" aria-label="Memory by consumer">
        <div className="memory-row quiet" role="row">
          <span role="columnheader">Who</span>
          <span role="columnheader" className="memory-bar">
            Use of its limit
          </span>
          <span role="columnheader" className="num">
            uses
          </span>
          <span role="columnheader" className="num memory-peak">
            at most so far
          </span>
          <span role="columnheader" className="num">
            may use
          </span>
        </div>
        {status.memory.map((use) => (
          <div key={use.consumer} className="memory-row" role="row">
            <span role="cell">{use.consumer}</span>
            <span role="cell" className="memory-bar">
              {use.limitBytes !== null && use.limitBytes > 0 ? (
                <UseBar share={use.usedBytes / use.limitBytes} label={`Memory of ${use.consumer}`} />
              ) : null}
            </span>
            <Bytes value={use.usedBytes} />
            <Bytes value={use.peakBytes} className="memory-peak" />
            <Bytes value={use.limitBytes} />
          </div>
        ))}
      </div>
    </Section>
  );
}

function Bytes({ value, className = '' }: { value: number | null; className?: string }) {
  return (
    <span
      role="cell"
      className={`num ${className}`}
      title={value === null ? undefined : fullValue(value, 'bytes')}
    >
      {value === null ? '–' : formatValue(value, 'bytes', 3)}
    </span>
  );
}

function Cardinality({ refreshMs }: { refreshMs: number }) {
  const tsdb = useTsdbStatus(refreshMs);
  return (
    <Panel id="cardinality" title="Cardinality: what the head is full of" loaded={tsdb}>
      {(status) => (
        <div className="tops">
          <Top title="Series by metric" rows={status.seriesCountByMetricName} unit="count" />
          <Top title="Values by label" rows={status.labelValueCountByLabelName} unit="count" />
          <Top title="Series by label and value" rows={status.seriesCountByLabelValuePair} unit="count" />
          <Top title="Bytes by label" rows={status.memoryInBytesByLabelName} unit="bytes" />
        </div>
      )}
    </Panel>
  );
}

function Top({ title, rows, unit }: { title: string; rows: readonly NameValue[]; unit: Unit }) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  return (
    <div>
      <h3>{title}</h3>
      {rows.length === 0 ? (
        <Text size="sm" c="dimmed">
          None yet.
        </Text>
      ) : (
        <ol className="top-list">
          {rows.map((row) => (
            <li key={row.name}>
              <span
                className="top-bar-fill"
                style={{ width: `${(row.value / most) * 100}%` }}
                aria-hidden="true"
              />
              <span className="top-name mono" title={row.name}>
                {row.name}
              </span>
              <span className="num" title={fullValue(row.value, unit)}>
                {unit === 'count' ? row.value.toLocaleString('en-US') : formatValue(row.value, unit, 3)}
              </span>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function Flags() {
  const flags = useFlags();
  const [filter, setFilter] = useState('');
  return (
    <Panel
      id="flags"
      title="Flags"
      loaded={flags}
      aside={
        <TextInput
          size="xs"
          placeholder="Filter"
          aria-label="Filter flags"
          value={filter}
          onChange={(event) => setFilter(event.currentTarget.value)}
        />
      }
    >
      {(all) => {
        const shown = Object.keys(all)
          .filter((name) => `${name} ${all[name] ?? ''}`.toLowerCase().includes(filter.trim().toLowerCase()))
          .sort();
        if (shown.length === 0) {
          return (
            <Text size="sm" c="dimmed">
              {filter === '' ? 'The server was started without flags.' : 'No flag matches.'}
            </Text>
          );
        }
        return (
          <dl className="flags mono">
            {shown.map((name) => (
              <div key={name}>
                <dt>--{name}</dt>
                <dd className="wrap-anywhere">
                  {all[name] === '' ? <span className="quiet">(empty)</span> : all[name]}
                </dd>
              </div>
            ))}
          </dl>
        );
      }}
    </Panel>
  );
}

function Config() {
  const config = useConfig();
  return (
    <Panel
      id="config"
      title="Configuration as loaded"
      loaded={config}
      aside={
        config.data ? (
          <CopyButton text={config.data.yaml} label="Copy the configuration" words="Copy" />
        ) : null
      }
    >
      {({ yaml }) => <ConfigText yaml={yaml} />}
    </Panel>
  );
}

function ConfigText({ yaml }: { yaml: string }) {
  const lines = useMemo(
    () =>
      yaml
        .replace(/\n$/, '')
        .split('\n')
        .map((line) =>
          yamlTokens(line).map((token, i) => (
            <span key={i} className={token.kind === 'plain' ? undefined : `yaml-${token.kind}`}>
              {token.text}
            </span>
          )),
        ),
    [yaml],
  );
  if (yaml.trim() === '') {
    return (
      <Text size="sm" c="dimmed">
        The server runs without a configuration file.
      </Text>
    );
  }
  return <TextLines lines={lines} label="Configuration" heightMax={560} numbered />;
}
