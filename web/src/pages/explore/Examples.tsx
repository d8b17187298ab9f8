// Nothing was asked yet: what this page is for, and questions that work on what is really stored here.
import { Stack, Text, UnstyledButton } from '@mantine/core';

import { useMetricNames } from '../../api/hooks';
import { selectorsOf } from '../../lib/promql';

const EXAMPLES: [string, string][] = [
  ['Which targets are up', 'up'],
  ['How busy each processor mode is', 'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[1m]))'],
  ['Memory that is available', 'node_memory_MemAvailable_bytes'],
  ['Traffic received per device', 'rate(node_network_receive_bytes_total[1m])'],
  ['Space left per file system', 'node_filesystem_avail_bytes / node_filesystem_size_bytes'],
  ['Samples scraped per target', 'scrape_samples_scraped'],
  ['Slowest scrapes', 'topk(10, scrape_duration_seconds)'],
];

export function Examples({ onChoose }: { onChoose: (query: string) => void }) {
  const names = useMetricNames();
  const known = new Set(names.data ?? []);
  const shown = EXAMPLES.filter(([, query]) =>
    selectorsOf(query).every(({ metric }) => metric !== null && known.has(metric)),
  );
  return (
    <div className="panel examples">
      <Text fw={600}>Ask what is stored here</Text>
      <Text size="sm" c="dimmed">
        Write a query in PromQL above: completion knows the metrics, labels and functions. Enter runs it. The
        address of this page then carries the query and its time range, for sharing.
      </Text>
      {shown.length > 0 ? (
        <Stack gap={2} mt="sm">
          {shown.map(([what, query]) => (
            <UnstyledButton key={query} className="example" onClick={() => onChoose(query)}>
              <span>{what}</span>
              <span className="mono quiet">{query}</span>
            </UnstyledButton>
          ))}
        </Stack>
      ) : null}
      {names.data?.length === 0 ? (
        <Text size="sm" mt="sm">
          Nothing is stored yet. Samples come from targets; the page Targets says which there are.
        </Text>
      ) : null}
    </div>
  );
}
