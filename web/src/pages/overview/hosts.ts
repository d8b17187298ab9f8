// Hosts, as node_exporter's metric names show them, and the questions asked about each.
import type { InstantSeries, Target } from '../../api/types';
import { quote, type Labels } from '../../lib/labels';
import { formatDuration, parseDuration } from '../../lib/time';
import { parseSample, type Unit } from '../../lib/units';

export interface Host {
  /** Identity in the URL. */
  id: string;
  job: string;
  instance: string;
  /** What people call it: its node name where it is known. */
  name: string;
  about: string;
  up: boolean;
}

export function hostId(job: string, instance: string): string {
  return `${job}/${instance}`;
}

/**
 * Hosts among the series of `last_over_time(node_memory_MemTotal_bytes[…])`, named by `node_uname_info`; one that
 * answers nothing any more is not up.
 */
export function readHosts(
  seen: readonly InstantSeries[],
  present: readonly InstantSeries[],
  uname: readonly InstantSeries[],
): Host[] {
  const key = (labels: Labels) => hostId(labels['job'] ?? '', labels['instance'] ?? '');
  const alive = new Set(present.map((series) => key(series.metric)));
  const names = new Map(uname.map((series) => [key(series.metric), series.metric]));
  const hosts = new Map<string, Host>();
  for (const { metric } of seen) {
    const id = key(metric);
    const known = names.get(id);
    hosts.set(id, {
      id,
      job: metric['job'] ?? '',
      instance: metric['instance'] ?? '',
      name: known?.['nodename'] ?? metric['instance'] ?? id,
      about: known
        ? [known['sysname'], known['release'], known['machine']]
            .filter((part) => part !== undefined)
            .join(' ')
        : '',
      up: alive.has(id),
    });
  }
  const list = [...hosts.values()].sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
  // Two hosts of one name are told apart by their address.
  const count = new Map<string, number>();
  for (const host of list) count.set(host.name, (count.get(host.name) ?? 0) + 1);
  return list.map((host) =>
    (count.get(host.name) ?? 0) > 1 ? { ...host, name: `${host.name} (${host.id})` } : host,
  );
}

/** How often a host is scraped, milliseconds. */
export function intervalOf(host: Host, targets: readonly Target[]): number {
  const own = targets.find(
    (target) => target.labels['job'] === host.job && target.labels['instance'] === host.instance,
  );
  return parseDuration(own?.scrapeInterval ?? '') ?? 15_000;
}

/** File systems that hold no files of anybody. */
const REAL_FILES =
  'fstype!~"tmpfs|devtmpfs|squashfs|ramfs|iso9660|nsfs|autofs|fuse.lxcfs",mountpoint!~"/(proc|sys|dev|run)(/.*)?|/var/lib/(docker|containers|kubelet)/.*"';
const REAL_DEVICES = 'device!~"lo|veth.*|br-.*|docker.*|cali.*|cni.*|flannel.*|ifb.*|tap.*"';
const REAL_DISKS = 'device!~"(loop|ram|zram|sr|fd|dm-)\\\\d+"';

export interface PanelQuery {
  query: string;
  /** A line's name from its labels. */
  name: (labels: Labels) => string;
}

export interface PanelSpec {
  id: string;
  title: string;
  unit: Unit;
  queries: PanelQuery[];
  stacked?: boolean;
  ceiling?: number;
  /** What to say if the host does not report it. */
  missing: string;
}

/** The vital signs of one host. */
export function panelsOf(host: Pick<Host, 'job' | 'instance'>, windowMs: number): PanelSpec[] {
  const h = `job=${quote(host.job)},instance=${quote(host.instance)}`;
  const w = formatDuration(windowMs);
  const label = (name: string) => (labels: Labels) => labels[name] ?? '';
  const fixed = (name: string) => () => name;
  return [
    {
      id: 'cpu',
      title: 'CPU by mode',
      unit: 'ratio',
      stacked: true,
      ceiling: 1,
      queries: [
        {
          query: `sum by (mode) (rate(node_cpu_seconds_total{${h},mode!="idle"}[${w}])) / scalar(count(node_cpu_seconds_total{${h},mode="idle"}))`,
          name: label('mode'),
        },
      ],
      missing: 'It reports no node_cpu_seconds_total.',
    },
    {
      id: 'load',
      title: 'Load',
      unit: 'count',
      queries: [
        { query: `node_load1{${h}}`, name: fixed('1 minute') },
        { query: `node_load5{${h}}`, name: fixed('5 minutes') },
        { query: `node_load15{${h}}`, name: fixed('15 minutes') },
        { query: `count(node_cpu_seconds_total{${h},mode="idle"})`, name: fixed('processors') },
      ],
      missing: 'It reports no node_load1.',
    },
    {
      id: 'memory',
      title: 'Memory',
      unit: 'bytes',
      // The last one stands at the bottom.
      stacked: true,
      queries: [
        { query: `node_memory_MemFree_bytes{${h}}`, name: fixed('free') },
        {
          query: `node_memory_Buffers_bytes{${h}} + node_memory_Cached_bytes{${h}} + node_memory_SReclaimable_bytes{${h}}`,
          name: fixed('cache and buffers'),
        },
        {
          query: `node_memory_MemTotal_bytes{${h}} - node_memory_MemFree_bytes{${h}} - node_memory_Buffers_bytes{${h}} - node_memory_Cached_bytes{${h}} - node_memory_SReclaimable_bytes{${h}}`,
          name: fixed('used'),
        },
      ],
      missing: 'It reports no node_memory_MemTotal_bytes.',
    },
    {
      id: 'space',
      title: 'Disk space used',
      unit: 'ratio',
      ceiling: 1,
      queries: [
        {
          query: `1 - node_filesystem_avail_bytes{${h},${REAL_FILES}} / node_filesystem_size_bytes{${h},${REAL_FILES}}`,
          name: label('mountpoint'),
        },
      ],
      missing: 'It reports no node_filesystem_size_bytes.',
    },
    {
      id: 'io',
      title: 'Disk reads and writes',
      unit: 'bytes/s',
      queries: [
        {
          query: `rate(node_disk_read_bytes_total{${h},${REAL_DISKS}}[${w}])`,
          name: (l) => `read ${l['device'] ?? ''}`,
        },
        {
          query: `rate(node_disk_written_bytes_total{${h},${REAL_DISKS}}[${w}])`,
          name: (l) => `write ${l['device'] ?? ''}`,
        },
      ],
      missing: 'It reports no node_disk_read_bytes_total.',
    },
    {
      id: 'busy',
      title: 'Disk busy',
      unit: 'ratio',
      ceiling: 1,
      queries: [
        { query: `rate(node_disk_io_time_seconds_total{${h},${REAL_DISKS}}[${w}])`, name: label('device') },
      ],
      missing: 'It reports no node_disk_io_time_seconds_total.',
    },
    {
      id: 'network',
      title: 'Network',
      unit: 'bytes/s',
      queries: [
        {
          query: `rate(node_network_receive_bytes_total{${h},${REAL_DEVICES}}[${w}])`,
          name: (l) => `received ${l['device'] ?? ''}`,
        },
        {
          query: `rate(node_network_transmit_bytes_total{${h},${REAL_DEVICES}}[${w}])`,
          name: (l) => `sent ${l['device'] ?? ''}`,
        },
      ],
      missing: 'It reports no node_network_receive_bytes_total.',
    },
    {
      id: 'pressure',
      title: 'Pressure: share of time tasks waited',
      unit: 'ratio',
      queries: [
        { query: `rate(node_pressure_cpu_waiting_seconds_total{${h}}[${w}])`, name: fixed('for CPU') },
        { query: `rate(node_pressure_memory_waiting_seconds_total{${h}}[${w}])`, name: fixed('for memory') },
        { query: `rate(node_pressure_io_waiting_seconds_total{${h}}[${w}])`, name: fixed('for disks') },
      ],
      missing:
        'It reports no node_pressure_…: its kernel lacks pressure accounting, or the collector is off.',
    },
  ];
}

/** One number a host, for the table of many. */
export interface VitalSpec {
  id: string;
  title: string;
  unit: Unit;
  query: string;
  /** From here on it is worth a look. */
  warnAt: number;
}

const BY = 'by (job, instance)';

export function vitals(windowMs: number): VitalSpec[] {
  const w = formatDuration(windowMs);
  return [
    {
      id: 'cpu',
      title: 'CPU',
      unit: 'ratio',
      query: `1 - avg ${BY} (rate(node_cpu_seconds_total{mode="idle"}[${w}]))`,
      warnAt: 0.9,
    },
    {
      id: 'load',
      title: 'Load per CPU',
      unit: 'none',
      query: `max ${BY} (node_load5) / count ${BY} (node_cpu_seconds_total{mode="idle"})`,
      warnAt: 2,
    },
    {
      id: 'memory',
      title: 'Memory',
      unit: 'ratio',
      query: `1 - max ${BY} (node_memory_MemAvailable_bytes) / max ${BY} (node_memory_MemTotal_bytes)`,
      warnAt: 0.9,
    },
    {
      id: 'disk',
      title: 'Fullest disk',
      unit: 'ratio',
      query: `max ${BY} (1 - node_filesystem_avail_bytes{${REAL_FILES}} / node_filesystem_size_bytes{${REAL_FILES}})`,
      warnAt: 0.9,
    },
    {
      id: 'in',
      title: 'Received',
      unit: 'bytes/s',
      query: `sum ${BY} (rate(node_network_receive_bytes_total{${REAL_DEVICES}}[${w}]))`,
      warnAt: Infinity,
    },
    {
      id: 'out',
      title: 'Sent',
      unit: 'bytes/s',
      query: `sum ${BY} (rate(node_network_transmit_bytes_total{${REAL_DEVICES}}[${w}]))`,
      warnAt: Infinity,
    },
  ];
}

/** Values of an instant vector by host. */
export function byHost(series: readonly InstantSeries[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { metric, value } of series) {
    if (value) found.set(hostId(metric['job'] ?? '', metric['instance'] ?? ''), parseSample(value[1]));
  }
  return found;
}

export const FULL_DISKS = `1 - node_filesystem_avail_bytes{${REAL_FILES}} / node_filesystem_size_bytes{${REAL_FILES}} > 0.9`;
