// An alert's past, why nobody was told, and who takes care of it: Kymo's own. `null` where the server keeps no such things.
import { useMutation, useQuery, useQueryClient, type UseMutationResult } from '@tanstack/react-query';

import type { Labels } from '../lib/labels';
import { seriesText } from '../lib/labels';
import { ApiError, ask, send } from './client';
import type { Loaded } from './hooks';

/** Something that happened to an alert, or was decided about it. */
export interface TimelineEvent {
  /** RFC 3339. */
  at: string;
  kind: string;
  /** A sentence. */
  text: string;
  details?: Record<string, unknown>;
}

export interface AlertTimeline {
  fingerprint: string;
  labels: Labels;
  /** The oldest first. */
  events: TimelineEvent[];
}

/** Where one alert stood. */
export interface WhyAlert {
  fingerprint: string;
  labels: Labels;
  step: string;
  text: string;
  at?: string;
  /** The same for each who would be told. */
  receivers?: { receiver: string; step: string; text: string; at?: string }[];
}

export interface Why {
  /** A sentence. */
  answer: string;
  /** How far the alert got that got furthest. */
  step: string;
  alerts: WhyAlert[];
}

export interface WantedAck {
  owner: string;
  comment: string;
  /** As PromQL writes it. */
  duration: string;
}

/** Who takes care of an alert. */
export interface Ack {
  fingerprint: string;
  owner: string;
  comment: string;
  expiresAt: string;
}

/** A silence as Kymo says more of it than Alertmanager. */
export interface SilenceMore {
  id: string;
  /** In force only in these intervals, in Alertmanager's syntax. */
  recurrence?: { time_intervals: unknown[] } | null;
  /** It ends soon although alerts that it holds back still fire. */
  expiringSoon?: boolean;
}

/** `null` where the server knows no such things. */
function useOwn<T>(path: string, refreshMs: number): Loaded<T | null> {
  return useQuery<T | null, ApiError>({
    // Paths of Alertmanager's API are called the same.
    queryKey: ['notifier', 'own', path],
    queryFn: async ({ signal }) => {
      try {
        return (await ask<T>(path, {}, signal)).data;
      } catch (error) {
        if (error instanceof ApiError && error.kind === 'missing') return null;
        throw error;
      }
    },
    refetchInterval: refreshMs > 0 ? refreshMs : false,
  });
}

export const useAcks = (refreshMs: number) => useOwn<{ acks: Ack[] }>('/alerts/acks', refreshMs);
export const useSilencesMore = (refreshMs: number) =>
  useOwn<{ silences: SilenceMore[] }>('/silences', refreshMs);

export const useTimeline = (fingerprint: string, refreshMs: number) =>
  useOwn<AlertTimeline>(`/alerts/${encodeURIComponent(fingerprint)}/timeline`, refreshMs);

/** Where alerts with these labels stood at a moment; nothing is asked for `null`. */
export function useWhy(asked: { labels: Labels; atMs: number } | null): Loaded<Why> {
  return useQuery<Why, ApiError>({
    queryKey: ['notifier', 'why', asked],
    queryFn: async ({ signal }) =>
      (
        await ask<Why>(
          '/alerts/why',
          { time: (asked?.atMs ?? 0) / 1_000, 'match[]': [seriesText(asked?.labels ?? {})] },
          signal,
        )
      ).data,
    enabled: asked !== null,
  });
}

function useChange<V>(change: (wanted: V) => Promise<unknown>): UseMutationResult<unknown, ApiError, V> {
  const client = useQueryClient();
  return useMutation<unknown, ApiError, V>({
    mutationFn: change,
    networkMode: 'always',
    onSettled: () => client.invalidateQueries({ queryKey: ['notifier'] }),
  });
}

const ackPath = (fingerprint: string) => `/alerts/${encodeURIComponent(fingerprint)}/ack`;

export const useAcknowledge = (fingerprint: string) =>
  useChange((wanted: WantedAck) => send('POST', ackPath(fingerprint), wanted));
export const useTakeBackAck = (fingerprint: string) =>
  useChange<null>(() => send('DELETE', ackPath(fingerprint)));
