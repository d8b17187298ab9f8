// Who pushes samples here: Kymo's own.
import { useQuery } from '@tanstack/react-query';

import { ask, type ApiError } from './client';
import type { Loaded } from './hooks';

/** A client, or a listener, and what came from it since the server was started. */
export interface PushSource {
  /** A word, such as `remote_write`. */
  protocol: string;
  tenant: string;
  /** Empty for a listener. */
  address: string;
  /** Empty if the client does not name itself. */
  userAgent: string;
  /** RFC 3339, as all times here. */
  firstSeen: string;
  lastSeen: string;
  requests: number;
  samples: number;
  /** A mean that forgets within minutes. */
  samplesPerSecond: number;
  /** Samples that were not written. */
  refused: number;
  /** Requests of which nothing was written. */
  errors: number;
  bytes: number;
  lastError?: string;
  lastErrorTime?: string;
}

export interface PushSources {
  sources: PushSource[];
  /** When the answer came, by the browser's clock. */
  askedMs: number;
}

/** The server remembers no more. */
export const SOURCES_MAX = 1_000;

export function usePushSources(refreshMs: number, allTenants: boolean): Loaded<PushSources> {
  return useQuery<PushSources, ApiError>({
    queryKey: ['status', 'push-sources', allTenants],
    queryFn: async ({ signal }) => {
      const params = allTenants ? { all_tenants: '1' } : {};
      const { data } = await ask<PushSource[]>('/status/push_sources', params, signal);
      return { sources: data, askedMs: Date.now() };
    },
    refetchInterval: refreshMs > 0 ? refreshMs : false,
  });
}
