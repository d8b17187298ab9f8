// What a page shows of a request: the answer, the last good one through errors, or that it is on its way.
import { Skeleton, Stack } from '@mantine/core';
import type { ReactNode } from 'react';

import { useKept, type Loaded } from '../api/hooks';
import { ErrorNote } from './parts';

export function Answered<T>({
  loaded,
  what,
  without,
  children,
}: {
  loaded: Loaded<T>;
  /** In the plural: `targets`. */
  what: string;
  /** Stands beneath the error while nothing was ever answered. */
  without?: ReactNode;
  children: (data: T) => ReactNode;
}) {
  const { data, stale, error } = useKept(loaded);
  return (
    <Stack gap="sm">
      {error ? (
        <ErrorNote
          title={`${what.charAt(0).toUpperCase()}${what.slice(1)} could not be asked for`}
          error={error}
          kept={stale}
          onRetry={() => void loaded.refetch()}
        />
      ) : null}
      {data !== undefined ? (
        <div className={stale ? 'stale' : undefined}>{children(data)}</div>
      ) : error ? (
        without
      ) : (
        <Skeleton height={420} radius="sm" aria-label={`Asking for ${what}`} />
      )}
    </Stack>
  );
}
