// Overview: is it well here, and if not, what, and since when.
import { Skeleton, Stack, Text } from '@mantine/core';
import { useMemo } from 'react';

import { useInstant, useKept, useTargets, vectorOf } from '../../api/hooks';
import { ErrorNote } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { formatDuration, spanOf } from '../../lib/time';
import { HostPart } from './HostPart';
import { readHosts } from './hosts';
import { Tiles } from './Tiles';
import { TroubleList } from './TroubleList';
import './overview.css';

/** Hosts that vanished longer ago than this are not listed. */
const SEEN_MAX_MS = 24 * 3_600_000;

export default function Overview() {
  const { range, refreshMs } = useTime();
  const window = formatDuration(Math.max(300_000, Math.min(spanOf(range), SEEN_MAX_MS)));
  const atMs = range.kind === 'absolute' ? range.endMs : null;
  const targets = useTargets(refreshMs);
  const seen = useInstant(`last_over_time(node_memory_MemTotal_bytes[${window}])`, atMs, refreshMs);
  const present = useInstant('node_memory_MemTotal_bytes', atMs, refreshMs);
  const uname = useInstant(`last_over_time(node_uname_info[${window}])`, atMs, refreshMs);
  const seenKept = useKept(seen);
  const hosts = useMemo(
    () => readHosts(vectorOf(seenKept.data), vectorOf(present.data), vectorOf(uname.data)),
    [seenKept.data, present.data, uname.data],
  );
  const kept = useKept(targets);

  return (
    <Stack gap="sm">
      {kept.error ? (
        <ErrorNote
          title="The server could not be asked"
          error={kept.error}
          kept={kept.stale}
          onRetry={() => void targets.refetch()}
        />
      ) : null}
      <TroubleList hasHosts={hosts.length > 0} targetCount={kept.data?.activeTargets.length ?? null} />
      <Tiles targets={kept.data} stale={kept.stale} />
      {seenKept.data === undefined ? (
        seenKept.error === null ? (
          <Skeleton height={420} radius="sm" aria-label="Asking for hosts" />
        ) : (
          <ErrorNote
            title="Hosts could not be asked for"
            error={seenKept.error}
            onRetry={() => void seen.refetch()}
          />
        )
      ) : hosts.length > 0 ? (
        <HostPart hosts={hosts} targets={kept.data?.activeTargets ?? []} stale={seenKept.stale} />
      ) : (
        <NoHosts />
      )}
    </Stack>
  );
}

function NoHosts() {
  return (
    <div className="panel section">
      <Text fw={600}>No host reports here in this time</Text>
      <Text size="sm" c="dimmed" mt={4}>
        Hosts show by node_exporter’s metrics: Kymo’s own host collector gives them for the machine it runs
        on, and node_exporter for any other. One of these in the configuration fills this page:
      </Text>
      <pre className="mono teach">{`host_collector: { enabled: true }

scrape_configs:
  - job_name: node
    static_configs: [{ targets: ['host.example:9100'] }]`}</pre>
    </div>
  );
}
