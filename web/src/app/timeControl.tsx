// The time range and refresh pace of the page, as the URL says them, and what changes them.
import { useQueryClient } from '@tanstack/react-query';
import { createContext, useCallback, useContext, useMemo, useRef, type ReactNode } from 'react';
import { useLocation } from 'react-router';

import {
  formatDuration,
  rangeFromParams,
  rangeToParams,
  stepRange,
  zoomOut,
  type TimeRange,
} from '../lib/time';
import { refreshFromParams } from '../lib/urlState';
import { pageAt } from './pages';
import { useUrlParams } from './useUrlParams';

export interface TimeControl {
  range: TimeRange;
  refreshMs: number;
  setRange: (range: TimeRange) => void;
  setRefresh: (ms: number) => void;
  step: (direction: -1 | 1) => void;
  zoomOut: () => void;
  /** A graph was zoomed by drag: remembered, so that a double-click leads back. */
  zoomInto: (range: TimeRange) => void;
  zoomBack: () => void;
  refreshNow: () => void;
  /** What links to other pages carry along. */
  carried: string;
}

const Context = createContext<TimeControl | null>(null);

const ZOOMS_MAX = 50;

export function TimeProvider({ children }: { children: ReactNode }) {
  const [params, setParams] = useUrlParams();
  const { pathname } = useLocation();
  const client = useQueryClient();
  const zooms = useRef<TimeRange[]>([]);

  const key = `${params.get('range') ?? ''}|${params.get('from') ?? ''}|${params.get('to') ?? ''}`;
  // The range keeps its identity while the URL says the same, so that requests are not asked anew.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const range = useMemo(() => rangeFromParams(params), [key]);
  const refreshMs = refreshFromParams(params, pageAt(pathname)?.refreshMs ?? 0);

  const changeRange = useCallback(
    (by: (now: TimeRange) => TimeRange) => setParams((old) => rangeToParams(by(rangeFromParams(old)), old)),
    [setParams],
  );
  const setRange = useCallback((next: TimeRange) => changeRange(() => next), [changeRange]);
  const setRefresh = useCallback(
    (ms: number) =>
      setParams(
        (old) => {
          const next = new URLSearchParams(old);
          next.set('refresh', ms === 0 ? 'off' : formatDuration(ms));
          return next;
        },
        { replace: true },
      ),
    [setParams],
  );

  const carried = useMemo(() => {
    const kept = new URLSearchParams();
    for (const name of ['range', 'from', 'to']) {
      const value = params.get(name);
      if (value !== null) kept.set(name, value);
    }
    const text = kept.toString();
    return text === '' ? '' : `?${text}`;
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [key]);

  const value = useMemo<TimeControl>(
    () => ({
      range,
      refreshMs,
      setRange,
      setRefresh,
      step: (direction) => changeRange((now) => stepRange(now, direction, Date.now())),
      zoomOut: () => changeRange((now) => zoomOut(now, Date.now())),
      zoomInto: (next) => {
        zooms.current = [...zooms.current.slice(-ZOOMS_MAX), range];
        setRange(next);
      },
      zoomBack: () => {
        const before = zooms.current.pop();
        setRange(before ?? zoomOut(range, Date.now()));
      },
      refreshNow: () => void client.invalidateQueries(),
      carried,
    }),
    [range, refreshMs, changeRange, setRange, setRefresh, client, carried],
  );
  return <Context value={value}>{children}</Context>;
}

export function useTime(): TimeControl {
  const value = useContext(Context);
  if (value === null) throw new Error('BUG: useTime outside of TimeProvider');
  return value;
}
