// Queries that run, and the end of one: Kymo's own.
import { useQuery } from '@tanstack/react-query';

import { ApiError, ask } from './client';
import type { Loaded } from './hooks';

export interface ActiveQuery {
  id: number;
  query: string;
  class: string;
  state: 'waiting' | 'running';
  user: string;
  source: string;
  ageSeconds: number;
  memoryBytes: number;
  seriesSelected: number;
  seriesRead: number;
}

/** Looked at more often than other things: queries are short. */
const REFRESH_MS = 5_000;

export function useActiveQueries(refreshMs: number): Loaded<ActiveQuery[]> {
  return useQuery<ActiveQuery[], ApiError>({
    queryKey: ['status', 'active-queries'],
    queryFn: async ({ signal }) => (await ask<ActiveQuery[]>('/status/active_queries', {}, signal)).data,
    refetchInterval: refreshMs > 0 ? Math.min(refreshMs, REFRESH_MS) : false,
  });
}

/** Ends a query; that it has ended meanwhile is no fault. */
export async function kill(id: number): Promise<void> {
  const response = await fetch(`/api/v1/status/active_queries/${id}`, { method: 'DELETE' });
  if (!response.ok && response.status !== 404)
    throw new ApiError('server', response.status, '', `The server answered ${response.status}.`);
}
