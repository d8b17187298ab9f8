// While the server reads its journal the API answers 503; this says how far it is.
import { Progress, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';

import { useWalReplay } from '../api/hooks';

/** Whether the server is ready: `false` only when it says so itself. */
export function useReady(): boolean {
  const ready = useQuery({
    queryKey: ['ready'],
    queryFn: async ({ signal }) => (await fetch('/-/ready', { signal })).status !== 503,
    refetchInterval: (query) => (query.state.data === false ? 1_000 : 30_000),
    retry: false,
  });
  return ready.data ?? true;
}

export function replayPercent(progress: { min: number; max: number; current: number }): number {
  const total = progress.max - progress.min + 1;
  return total <= 0 ? 100 : Math.max(0, Math.min(100, ((progress.current - progress.min) / total) * 100));
}

export function StartingBanner() {
  const ready = useReady();
  const replay = useWalReplay(1_000, !ready);
  if (ready) return null;
  const progress = replay.data;
  return (
    <div className="panel banner" role="status">
      <Text size="sm" fw={600}>
        The server is starting: it reads its journal.
      </Text>
      {progress ? (
        <>
          <Progress value={replayPercent(progress)} my={6} aria-label="Journal read" />
          <Text size="xs" c="dimmed" className="tabular">
            {progress.current} of {progress.max} MiB. Pages fill as soon as it is done.
          </Text>
        </>
      ) : null}
    </div>
  );
}
