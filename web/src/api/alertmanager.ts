// Alertmanager's API v2: alerts with what became of them. `null` where the server has none.
import { useQuery } from '@tanstack/react-query';

import type { Labels } from '../lib/labels';
import { ApiError, kindOf } from './client';
import type { Loaded } from './hooks';

export interface NotifiedAlert {
  labels: Labels;
  annotations: Labels;
  startsAt: string;
  endsAt: string;
  updatedAt: string;
  fingerprint: string;
  generatorURL?: string;
  receivers: { name: string }[];
  status: {
    state: 'active' | 'suppressed' | 'unprocessed';
    silencedBy: string[];
    inhibitedBy: string[];
    mutedBy?: string[];
  };
}

async function askNotifier<T>(path: string, signal: AbortSignal): Promise<T> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(`/api/v2${path}`, { headers: { Accept: 'application/json' }, signal });
    body = await response.text();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(
      'unreachable',
      0,
      'network',
      'The server does not answer. Is it running, and is the network up?',
    );
  }
  if (!response.ok)
    throw new ApiError(kindOf(response.status, ''), response.status, '', faultOf(body, response.status));
  return JSON.parse(body) as T;
}

/** Faults are JSON strings, or objects with a message. */
function faultOf(body: string, status: number): string {
  try {
    const fault: unknown = JSON.parse(body);
    if (typeof fault === 'string') return fault;
    if (typeof fault === 'object' && fault !== null && 'message' in fault) return String(fault.message);
  } catch {
    // Plain text, then.
  }
  return body.trim() === '' || body.startsWith('<')
    ? `The server answered ${status} without a reason.`
    : body.slice(0, 300);
}

function useNotifier<T>(path: string, refreshMs: number): Loaded<T | null> {
  return useQuery<T | null, ApiError>({
    queryKey: ['notifier', path],
    queryFn: async ({ signal }) => {
      try {
        return await askNotifier<T>(path, signal);
      } catch (error) {
        if (error instanceof ApiError && error.kind === 'missing') return null;
        throw error;
      }
    },
    refetchInterval: refreshMs > 0 ? refreshMs : false,
  });
}

export const useNotifiedAlerts = (refreshMs: number) => useNotifier<NotifiedAlert[]>('/alerts', refreshMs);
