// What rules would have done in the past: asked of the server, which says now and then how far it is. Kymo's own.
import { useCallback, useEffect, useRef, useState } from 'react';

import type { Labels } from '../lib/labels';
import { ApiError, readAnswer, unreachable } from './client';

export interface BacktestRule {
  group: string;
  name: string;
  type: 'alerting' | 'recording';
  evaluations: number;
  failedEvaluations: number;
  lastError?: string;
  /** Spans are seconds. */
  alerting?: {
    alerts: number;
    pendingOnly: number;
    flaps: number;
    firing: number;
    timeToFire: { p50: number | null; max: number | null };
    for: number;
    pages: number;
  };
}

export interface BacktestAlert {
  rule: string;
  labels: Labels;
  peak: string;
  pendingAt: string;
  firedAt: string | null;
  resolvedAt: string | null;
}

export interface BacktestPages {
  total: number;
  perDay: number;
  receivers: { receiver: string; pages: number; repeats: number; resolved: number }[];
  days: { day: string; pages: number }[];
}

export interface BacktestReport {
  from: string;
  to: string;
  rules: BacktestRule[];
  alerts: BacktestAlert[];
  alertCount: number;
  pages: BacktestPages;
  compare?: {
    onlyInOldCount: number;
    onlyInNewCount: number;
    movedCount: number;
    sameCount: number;
    oldPages: BacktestPages;
  };
}

export interface BacktestRequest {
  /** A rule file. */
  groups: string;
  compare?: string;
  /** Unix seconds. */
  from: number;
  to: number;
  limit: number;
}

/** Lines of JSON: how far it is, and at last the answer. */
async function askBacktest(
  request: BacktestRequest,
  onProgress: (part: number) => void,
  signal: AbortSignal,
): Promise<BacktestReport> {
  let response: Response;
  let rest = '';
  try {
    response = await fetch('/api/v1/rules/backtest?progress=1', {
      method: 'POST',
      headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
      body: JSON.stringify(request),
      signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done) break;
      rest += value;
      const lines = rest.split('\n');
      // The last line that ends is the answer, if it is no progress.
      while (lines.length > 1) {
        const part = progressOf(lines[0] ?? '');
        if (part === null) break;
        onProgress(part);
        lines.shift();
      }
      rest = lines.join('\n');
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw unreachable();
  }
  return readAnswer<BacktestReport>(response.status, rest).data;
}

export function progressOf(line: string): number | null {
  try {
    const read: unknown = JSON.parse(line);
    const part = typeof read === 'object' && read !== null && 'progress' in read ? read.progress : null;
    return typeof part === 'number' ? part : null;
  } catch {
    return null;
  }
}

export interface Backtest {
  report: BacktestReport | null;
  error: ApiError | null;
  /** From 0 to 1 while it runs. */
  progress: number | null;
  run: (request: BacktestRequest) => void;
  cancel: () => void;
}

/** One at a time; leaving the page ends it. */
export function useBacktest(): Backtest {
  const [state, setState] = useState<Pick<Backtest, 'report' | 'error' | 'progress'>>({
    report: null,
    error: null,
    progress: null,
  });
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const run = useCallback((request: BacktestRequest) => {
    running.current?.abort();
    const stop = new AbortController();
    running.current = stop;
    const set = (next: Partial<typeof state>) => {
      if (running.current === stop) setState((old) => ({ ...old, ...next }));
    };
    set({ error: null, progress: 0 });
    askBacktest(request, (progress) => set({ progress }), stop.signal).then(
      (report) => set({ report, progress: null }),
      (error: unknown) => set({ progress: null, error: error instanceof ApiError ? error : null }),
    );
  }, []);
  const cancel = useCallback(() => {
    running.current?.abort();
  }, []);
  return { ...state, run, cancel };
}
