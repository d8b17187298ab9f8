// Sources of pushes: how each is, what it is called, and which are shown in what order.
import type { PushSource } from '../../api/push';
import { goTimeMs } from '../../lib/goTime';
import { matchesText, wordsOf } from '../../list/match';

export type SourceState = 'failing' | 'pushing' | 'silent';
export const SOURCE_STATES: readonly SourceState[] = ['failing', 'pushing', 'silent'];

/** What went wrong so shortly before the last push is taken to go wrong still. */
const FAILING_MS = 60_000;
/** Nobody is called silent earlier. */
const SILENT_MS = 300_000;
/** Who pushes once an hour is silent after some hours. */
const SILENT_GAPS = 5;
/** Sources heard of within this are shown as equally recent: rows must not change places at every refresh. */
const RECENT_MS = 60_000;

export interface Source extends PushSource {
  key: string;
  state: SourceState;
  firstSeenMs: number;
  lastSeenMs: number;
  lastErrorMs: number | null;
}

export function readSource(source: PushSource, nowMs: number): Source {
  const firstSeenMs = goTimeMs(source.firstSeen) ?? nowMs;
  const lastSeenMs = goTimeMs(source.lastSeen) ?? nowMs;
  const lastErrorMs = goTimeMs(source.lastErrorTime);
  const gapMs = source.requests > 1 ? (lastSeenMs - firstSeenMs) / (source.requests - 1) : 0;
  const failing = lastErrorMs !== null && lastSeenMs - lastErrorMs <= FAILING_MS;
  const silent = nowMs - lastSeenMs > Math.max(SILENT_MS, SILENT_GAPS * gapMs);
  return {
    ...source,
    key: [source.protocol, source.tenant, source.address, source.userAgent].join('\u0001'),
    state: failing ? 'failing' : silent ? 'silent' : 'pushing',
    firstSeenMs,
    lastSeenMs,
    lastErrorMs,
  };
}

const PROTOCOL_WORDS: Record<string, string> = {
  remote_write: 'Remote write',
  remote_write2: 'Remote write 2.0',
  otlp: 'OTLP',
  influx: 'InfluxDB lines',
  pushgateway: 'Pushgateway',
  statsd: 'StatsD',
  graphite: 'Graphite',
  json: 'JSON',
  csv: 'CSV',
  prometheus: 'Exposition text',
  datadog: 'Datadog',
  opentsdb: 'OpenTSDB',
  zabbix: 'Zabbix',
};

/** As people write it; one that is not known here, as the server does. */
export function protocolWords(protocol: string): string {
  return PROTOCOL_WORDS[protocol] ?? protocol;
}

/** What Kymo writes by itself of what was pushed before. */
const OWN_WORDS: Record<string, string> = {
  'statsd aggregate': 'Aggregates, written by Kymo',
  'pushgateway groups again': 'Groups, written again by Kymo',
};

/** Whether Kymo writes it itself; who sent it is a source of its own. */
export function isOwn(source: PushSource): boolean {
  return source.address === '' && `${source.protocol} ${source.userAgent}` in OWN_WORDS;
}

/** What a client calls itself, else where it is. */
export function nameOf(source: PushSource): string {
  if (isOwn(source)) return OWN_WORDS[`${source.protocol} ${source.userAgent}`] ?? '';
  if (source.userAgent !== '') return source.userAgent;
  return source.address === '' ? `${protocolWords(source.protocol)} listener` : source.address;
}

/** `1 sample`, `2,000 samples`. */
export function many(count: number, one: string, more = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : more}`;
}

/** What a protocol brought, over time. */
export function queryOf(protocol: string): string {
  return `sum by (protocol) (rate(kymo_push_samples_total{protocol=${JSON.stringify(protocol)}}[5m]))`;
}

export interface SourceFilter {
  text: string;
  /** Empty means all. */
  protocol: string;
  state: SourceState | 'all';
}

export type SourceColumn = 'client' | 'protocol' | 'samples' | 'rate' | 'refused' | 'errors' | 'seen';
export interface SourceSort {
  column: SourceColumn;
  falling: boolean;
}

/** The columns that can be sorted by; numbers begin with the largest. */
export const SORTS: Record<SourceColumn, { title: string; numeric: boolean }> = {
  client: { title: 'Client', numeric: false },
  protocol: { title: 'Protocol', numeric: false },
  samples: { title: 'Samples', numeric: true },
  rate: { title: 'Rate', numeric: true },
  refused: { title: 'Refused', numeric: true },
  errors: { title: 'Failed', numeric: true },
  seen: { title: 'Last seen', numeric: true },
};
export const DEFAULT_SORT: SourceSort = { column: 'seen', falling: true };

/** `-rate`, `client`: as the URL carries it. */
export function sortText(sort: SourceSort): string {
  return `${sort.falling ? '-' : ''}${sort.column}`;
}

export function sortFrom(text: string): SourceSort {
  const falling = text.startsWith('-');
  const column = falling ? text.slice(1) : text;
  return Object.hasOwn(SORTS, column) ? { column: column as SourceColumn, falling } : DEFAULT_SORT;
}

export function filterSources(sources: readonly Source[], filter: SourceFilter): Source[] {
  const words = wordsOf(filter.text);
  return sources.filter(
    (source) =>
      (filter.protocol === '' || source.protocol === filter.protocol) &&
      (filter.state === 'all' || source.state === filter.state) &&
      matchesText(words, [
        nameOf(source),
        source.address,
        source.tenant,
        source.protocol,
        protocolWords(source.protocol),
        source.lastError ?? '',
      ]),
  );
}

/** How many each state would show beside the text and the protocol chosen. */
export function countStates(
  sources: readonly Source[],
  filter: Omit<SourceFilter, 'state'>,
): Record<SourceState | 'all', number> {
  const counts = { all: 0, failing: 0, pushing: 0, silent: 0 };
  for (const source of filterSources(sources, { ...filter, state: 'all' })) {
    counts[source.state] += 1;
    counts.all += 1;
  }
  return counts;
}

const collator = new Intl.Collator('en', { numeric: true });

export function sortSources(sources: readonly Source[], sort: SourceSort, nowMs: number): Source[] {
  const sign = sort.falling ? -1 : 1;
  const recent = (source: Source) =>
    nowMs - source.lastSeenMs <= RECENT_MS ? Number.POSITIVE_INFINITY : source.lastSeenMs;
  const numbers: Record<string, (source: Source) => number> = {
    samples: (source) => source.samples,
    rate: (source) => source.samplesPerSecond,
    refused: (source) => source.refused,
    errors: (source) => source.errors,
    seen: recent,
  };
  const texts: Record<string, (source: Source) => string> = {
    client: nameOf,
    protocol: (source) => protocolWords(source.protocol),
  };
  const number = numbers[sort.column];
  const text = texts[sort.column] ?? nameOf;
  return [...sources].sort((a, b) => {
    const order = number ? compare(number(a), number(b)) : collator.compare(text(a), text(b));
    return order === 0 ? tie(a, b) : sign * order;
  });
}

function compare<T extends number | string>(a: T, b: T): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Never two rows in an order that chance decides: trouble first, then by name. */
function tie(a: Source, b: Source): number {
  return (
    Number(b.state === 'failing') - Number(a.state === 'failing') ||
    collator.compare(nameOf(a), nameOf(b)) ||
    compare(a.key, b.key)
  );
}

export interface Totals {
  samplesPerSecond: number;
  /** By their words, each once. */
  protocols: string[];
  tenants: number;
}

export function totalsOf(sources: readonly Source[]): Totals {
  let samplesPerSecond = 0;
  for (const source of sources) {
    samplesPerSecond += source.samplesPerSecond;
  }
  const protocols = [...new Set(sources.map((source) => source.protocol))];
  protocols.sort((a, b) => collator.compare(protocolWords(a), protocolWords(b)));
  return {
    samplesPerSecond,
    protocols,
    tenants: new Set(sources.map((source) => source.tenant)).size,
  };
}

export const CSV_HEADER = [
  'client',
  'address',
  'protocol',
  'tenant',
  'state',
  'requests',
  'samples',
  'samples_per_second',
  'refused_samples',
  'failed_requests',
  'bytes',
  'first_seen',
  'last_seen',
  'last_error',
  'last_error_time',
];

export function csvRow(source: Source): string[] {
  return [
    source.userAgent,
    source.address,
    source.protocol,
    source.tenant,
    source.state,
    String(source.requests),
    String(source.samples),
    String(source.samplesPerSecond),
    String(source.refused),
    String(source.errors),
    String(source.bytes),
    source.firstSeen,
    source.lastSeen,
    source.lastError ?? '',
    source.lastErrorTime ?? '',
  ];
}
