// Requests as hooks. A key names what is asked, not when: refreshing replaces the answer in place, so an error
// never erases what was on screen.
import { keepPreviousData, useQuery, type UseQueryResult } from '@tanstack/react-query';
import { useState } from 'react';

import type { Labels } from '../lib/labels';
import { toFrame, type Frame } from '../lib/series';
import { alignInterval } from '../lib/step';
import { resolveRange, type TimeRange } from '../lib/time';
import { ask, type Answer, ApiError } from './client';
import type {
  Alert,
  BuildInfo,
  InstantResult,
  InstantSeries,
  MetricMetadata,
  RangeResult,
  RelabelStep,
  RuleGroups,
  RuntimeInfo,
  TargetsResult,
  TsdbStatus,
  WalReplay,
} from './types';

export type Loaded<T> = UseQueryResult<T, ApiError>;

/** Ends a refresh when the page is not looked at; 0 means never. */
const every = (refreshMs: number) => (refreshMs > 0 ? refreshMs : false);

export interface RangeAnswer {
  frame: Frame;
  answer: Answer<RangeResult>;
  startMs: number;
  endMs: number;
}

/** Asks for a range now; what "now" means is decided when the request leaves. */
export async function askRange(
  query: string,
  range: TimeRange,
  stepMs: number,
  signal?: AbortSignal,
  more: Record<string, string> = {},
): Promise<RangeAnswer> {
  const wanted = resolveRange(range, Date.now());
  const { startMs, endMs } = alignInterval(wanted.startMs, wanted.endMs, stepMs);
  const answer = await ask<RangeResult>(
    '/query_range',
    { query, start: startMs / 1_000, end: endMs / 1_000, step: stepMs / 1_000, ...more },
    signal,
  );
  return { frame: toFrame(answer.data.result, startMs, endMs, stepMs), answer, startMs, endMs };
}

export function useRange(
  query: string,
  range: TimeRange,
  stepMs: number,
  refreshMs: number,
  enabled = true,
): Loaded<RangeAnswer> {
  return useQuery<RangeAnswer, ApiError>({
    queryKey: ['range', query, range, stepMs],
    queryFn: ({ signal }) => askRange(query, range, stepMs, signal),
    enabled: enabled && query.trim() !== '',
    placeholderData: keepPreviousData,
    refetchInterval: every(range.kind === 'relative' ? refreshMs : 0),
    gcTime: 30_000,
  });
}

export function useInstant(
  query: string,
  atMs: number | null,
  refreshMs: number,
  enabled = true,
): Loaded<Answer<InstantResult>> {
  return useQuery<Answer<InstantResult>, ApiError>({
    queryKey: ['instant', query, atMs],
    queryFn: ({ signal }) =>
      ask<InstantResult>('/query', { query, time: (atMs ?? Date.now()) / 1_000 }, signal),
    enabled: enabled && query.trim() !== '',
    placeholderData: keepPreviousData,
    refetchInterval: every(atMs === null ? refreshMs : 0),
    gcTime: 30_000,
  });
}

/** An instant vector's series; nothing for other types. */
export function vectorOf(answer: Answer<InstantResult> | undefined): InstantSeries[] {
  return answer?.data.resultType === 'vector' ? answer.data.result : [];
}

function useStatus<T>(path: string, refreshMs = 0, enabled = true): Loaded<T> {
  return useQuery<T, ApiError>({
    queryKey: ['status', path],
    queryFn: async ({ signal }) => (await ask<T>(path, {}, signal)).data,
    refetchInterval: every(refreshMs),
    enabled,
  });
}

/** With what is wrong with discovery, which the server says as warnings. */
export function useTargets(refreshMs: number): Loaded<TargetsResult> {
  return useQuery<TargetsResult, ApiError>({
    queryKey: ['status', '/targets'],
    queryFn: async ({ signal }) => {
      const { data, warnings } = await ask<TargetsResult>('/targets', {}, signal);
      return { ...data, discoveryFailures: warnings };
    },
    refetchInterval: every(refreshMs),
  });
}
/** What each relabelling rule of a pool makes of labels. */
export function useRelabelSteps(pool: string, labels: Labels): Loaded<RelabelStep[]> {
  const text = JSON.stringify(labels);
  return useQuery<RelabelStep[], ApiError>({
    queryKey: ['relabel-steps', pool, text],
    queryFn: async ({ signal }) =>
      (
        await ask<{ steps: RelabelStep[] }>(
          '/targets/relabel_steps',
          { scrapePool: pool, labels: text },
          signal,
        )
      ).data.steps,
    staleTime: 15_000,
  });
}

export const useBuildInfo = () => useStatus<BuildInfo>('/status/buildinfo');
export const useRuntimeInfo = (refreshMs = 0) => useStatus<RuntimeInfo>('/status/runtimeinfo', refreshMs);
export const useTsdbStatus = (refreshMs = 0) => useStatus<TsdbStatus>('/status/tsdb', refreshMs);
export const useFlags = () => useStatus<Record<string, string>>('/status/flags');
export const useConfig = () => useStatus<{ yaml: string }>('/status/config');
export const useWalReplay = (refreshMs: number, enabled: boolean) =>
  useStatus<WalReplay>('/status/walreplay', refreshMs, enabled);
export const useAlerts = (refreshMs: number) => useStatus<{ alerts: Alert[] }>('/alerts', refreshMs);
export const useRules = (refreshMs: number) => useStatus<RuleGroups>('/rules', refreshMs);

/** Names of all metrics; asked once a minute at most. */
export function useMetricNames(enabled = true): Loaded<string[]> {
  return useQuery<string[], ApiError>({
    queryKey: ['metric-names'],
    queryFn: async ({ signal }) => (await ask<string[]>('/label/__name__/values', {}, signal)).data,
    staleTime: 60_000,
    enabled,
  });
}

export function useMetadata(enabled = true): Loaded<Record<string, MetricMetadata[]>> {
  return useQuery<Record<string, MetricMetadata[]>, ApiError>({
    queryKey: ['metadata'],
    queryFn: async ({ signal }) =>
      (await ask<Record<string, MetricMetadata[]>>('/metadata', {}, signal)).data,
    staleTime: 60_000,
    enabled,
  });
}

export interface Kept<T> {
  data: T | undefined;
  /** The data is not the answer to what is asked now: the last request failed. */
  stale: boolean;
  error: ApiError | null;
}

/** The last answer that was good, through errors of the same or of the next question. */
export function useKept<T>(loaded: Loaded<T>): Kept<T> {
  const [last, setLast] = useState<T | undefined>(undefined);
  if (loaded.data !== undefined && loaded.data !== last) setLast(loaded.data);
  const data = loaded.data ?? last;
  return { data, stale: loaded.error !== null && data !== undefined, error: loaded.error };
}
