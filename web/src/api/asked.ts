// Several queries, asked side by side. Each keeps its last good answer through errors and edits, says how
// long it runs, and can be cancelled.
import { keepPreviousData, useQueries, useQueryClient, type QueryKey } from '@tanstack/react-query';
import { useCallback, useEffect, useState } from 'react';

import { ask, type Answer, type ApiError } from './client';
import { askRange, type RangeAnswer } from './hooks';
import type { InstantResult } from './types';
import type { TimeRange } from '../lib/time';

export interface Asked<T> {
  query: string;
  data: T | undefined;
  error: ApiError | null;
  running: boolean;
  /** What is shown answers an earlier question, or the last attempt failed. */
  stale: boolean;
  cancelled: boolean;
  cancel: () => void;
}

interface Question<T> {
  query: string;
  key: QueryKey;
  run: (signal: AbortSignal) => Promise<T>;
}

function useAsked<T>(questions: Question<T>[], refreshMs: number): Asked<T>[] {
  const client = useQueryClient();
  const results = useQueries({
    queries: questions.map((question) => ({
      queryKey: question.key,
      queryFn: ({ signal }: { signal: AbortSignal }) => question.run(signal),
      enabled: question.query.trim() !== '',
      placeholderData: keepPreviousData,
      refetchInterval: refreshMs > 0 ? refreshMs : (false as const),
      gcTime: 30_000,
    })),
  });

  const [kept, setKept] = useState<(T | undefined)[]>([]);
  const next = results.map((result, i) =>
    results.length === kept.length ? (result.data ?? kept[i]) : result.data,
  );
  if (next.length !== kept.length || next.some((value, i) => value !== kept[i])) setKept(next);

  const [cancelled, setCancelled] = useState<ReadonlySet<string>>(new Set());
  const fetching = results.map((result) => result.isFetching);
  const running = questions.filter((_, i) => fetching[i]).map((question) => JSON.stringify(question.key));
  const restarted = running.filter((key) => cancelled.has(key));
  const [cancelling, setCancelling] = useState<string | null>(null);
  if (cancelling === null && restarted.length > 0) {
    setCancelled(new Set([...cancelled].filter((key) => !restarted.includes(key))));
  }
  const cancel = useCallback(
    (key: QueryKey) => {
      const text = JSON.stringify(key);
      setCancelling(text);
      void client.cancelQueries({ queryKey: key, exact: true }).then(() => {
        setCancelled((old) => new Set([...old, text]));
        setCancelling(null);
      });
    },
    [client],
  );

  return questions.map((question, i) => {
    const result = results[i];
    const error = (result?.error ?? null) as ApiError | null;
    const data = result?.data ?? next[i];
    return {
      query: question.query,
      data: question.query.trim() === '' ? undefined : data,
      error,
      running: result?.isFetching ?? false,
      stale: data !== undefined && (error !== null || (result?.isPlaceholderData ?? false)),
      cancelled: cancelled.has(JSON.stringify(question.key)),
      cancel: () => cancel(question.key),
    };
  });
}

export function useRangeQueries(
  queries: readonly string[],
  range: TimeRange,
  stepMs: number,
  refreshMs: number,
  enabled: boolean,
): Asked<RangeAnswer>[] {
  return useAsked(
    queries.map((query) => ({
      query: enabled ? query : '',
      key: ['range', query, range, stepMs],
      run: (signal) => askRange(query, range, stepMs, signal),
    })),
    range.kind === 'relative' ? refreshMs : 0,
  );
}

/** Range queries evaluated anew, with what each part of their plans did. */
export function useTracedQueries(
  queries: readonly string[],
  range: TimeRange,
  stepMs: number,
  enabled: boolean,
): Asked<RangeAnswer>[] {
  return useAsked(
    queries.map((query) => ({
      query: enabled ? query : '',
      key: ['trace', query, range, stepMs],
      run: (signal) => askRange(query, range, stepMs, signal, { trace: '1', nocache: '1' }),
    })),
    0,
  );
}

export function useInstantQueries(
  queries: readonly string[],
  range: TimeRange,
  refreshMs: number,
  enabled: boolean,
): Asked<Answer<InstantResult>>[] {
  const atMs = range.kind === 'absolute' ? range.endMs : null;
  return useAsked(
    queries.map((query) => ({
      query: enabled ? query : '',
      key: ['instant', query, atMs],
      run: (signal) => ask<InstantResult>('/query', { query, time: (atMs ?? Date.now()) / 1_000 }, signal),
    })),
    atMs === null ? refreshMs : 0,
  );
}

/** How long something has been on, milliseconds, counting while it is. */
export function useElapsed(on: boolean): number {
  const [elapsed, setElapsed] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const begun = performance.now();
    const timer = setInterval(() => setElapsed(performance.now() - begun), 100);
    return () => {
      clearInterval(timer);
      setElapsed(0);
    };
  }, [on]);
  return on ? elapsed : 0;
}
