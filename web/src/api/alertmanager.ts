// Alertmanager's API v2: alerts with what became of them, and silences. `null` where the server has none.
import { useMutation, useQuery, useQueryClient, type UseMutationResult } from '@tanstack/react-query';

import type { Labels } from '../lib/labels';
import { matcherText, type ApiMatcher, type Matcher } from '../lib/matchers';
import { ApiError, kindOf, unreachable } from './client';
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

export type SilenceState = 'active' | 'pending' | 'expired';

export interface Silence {
  id: string;
  status: { state: SilenceState };
  matchers: ApiMatcher[];
  startsAt: string;
  endsAt: string;
  updatedAt: string;
  createdBy: string;
  comment: string;
}

/** A silence as it is asked for; with an `id` it takes that one's place. */
export type WantedSilence = Omit<Silence, 'id' | 'status' | 'updatedAt'> & { id?: string };

async function askNotifier<T>(
  path: string,
  { signal, method = 'GET', body: sent }: { signal?: AbortSignal; method?: string; body?: unknown } = {},
): Promise<T> {
  let response: Response;
  let body: string;
  try {
    response = await fetch(`/api/v2${path}`, {
      method,
      headers: {
        Accept: 'application/json',
        ...(sent === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
      ...(signal ? { signal } : {}),
    });
    body = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw unreachable();
  }
  if (!response.ok)
    throw new ApiError(kindOf(response.status, ''), response.status, '', faultOf(body, response.status));
  return (body === '' ? null : JSON.parse(body)) as T;
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

function useNotifier<T>(path: string, refreshMs: number, enabled = true): Loaded<T | null> {
  return useQuery<T | null, ApiError>({
    queryKey: ['notifier', path],
    queryFn: async ({ signal }) => {
      try {
        return await askNotifier<T>(path, { signal });
      } catch (error) {
        if (error instanceof ApiError && error.kind === 'missing') return null;
        throw error;
      }
    },
    refetchInterval: refreshMs > 0 ? refreshMs : false,
    enabled,
  });
}

export const useNotifiedAlerts = (refreshMs: number) => useNotifier<NotifiedAlert[]>('/alerts', refreshMs);
export const useSilences = (refreshMs: number) => useNotifier<Silence[]>('/silences', refreshMs);
/** `null` where there is none of this name. */
export const useSilence = (id: string | null) =>
  useNotifier<Silence>(`/silence/${encodeURIComponent(id ?? '')}`, 0, id !== null);

/** Alerts for which all matchers hold, whatever became of them. */
export function useMatchingAlerts(
  matchers: readonly Matcher[],
  enabled: boolean,
): Loaded<NotifiedAlert[] | null> {
  const filters = matchers.map((matcher) => ['filter', matcherText(matcher)]);
  return useNotifier(`/alerts?${new URLSearchParams(filters).toString()}`, 15_000, enabled);
}

/** A change: whatever the notifier said before is asked for anew. */
function useChange<V, R>(change: (wanted: V) => Promise<R>): UseMutationResult<R, ApiError, V> {
  const client = useQueryClient();
  return useMutation<R, ApiError, V>({
    mutationFn: change,
    networkMode: 'always',
    onSettled: () => client.invalidateQueries({ queryKey: ['notifier'] }),
  });
}

/** Answers the silence's name. */
export const useSetSilence = () =>
  useChange(
    async (wanted: WantedSilence) =>
      (await askNotifier<{ silenceID: string }>('/silences', { method: 'POST', body: wanted })).silenceID,
  );

export const useExpireSilence = () =>
  useChange((id: string) => askNotifier<null>(`/silence/${encodeURIComponent(id)}`, { method: 'DELETE' }));
