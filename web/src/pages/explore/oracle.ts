// The server's side of the question why an answer is empty.
import { ask } from '../../api/client';
import type { InstantResult, RangeResult } from '../../api/types';
import type { Labels } from '../../lib/labels';
import { parseSample } from '../../lib/units';
import type { Oracle } from './whyEmpty';

const HOUR_MS = 3_600_000;
/** How far back "last seen" looks, and how coarsely it looks first. */
const BACK_MS = 60 * 24 * HOUR_MS;
const COARSE_MS = 6 * HOUR_MS;

const seconds = (ms: number) => ms / 1_000;

export function serverOracle(signal: AbortSignal): Oracle {
  return {
    metricNames: async () => (await ask<string[]>('/label/__name__/values', {}, signal)).data,
    anySeries: async (selector, { startMs, endMs }) => {
      const params = { 'match[]': selector, start: seconds(startMs), end: seconds(endMs), limit: 1 };
      return (await ask<Labels[]>('/series', params, signal)).data.length > 0;
    },
    labelValues: async (label, selector, { startMs, endMs }) => {
      const params = { 'match[]': selector, start: seconds(startMs), end: seconds(endMs), limit: 1_000 };
      return (await ask<string[]>(`/label/${encodeURIComponent(label)}/values`, params, signal)).data;
    },
    lastSeen: (selector) => lastSeen(selector, signal),
  };
}

/** Coarsely over two months, then to the minute within the window found. */
async function lastSeen(selector: string, signal: AbortSignal): Promise<number | null> {
  const now = Date.now();
  const coarse = await ask<RangeResult>(
    '/query_range',
    {
      query: `count(last_over_time(${selector}[6h]))`,
      start: seconds(now - BACK_MS),
      end: seconds(now),
      step: seconds(COARSE_MS),
    },
    signal,
  );
  const values = coarse.data.result[0]?.values ?? [];
  const last = values[values.length - 1];
  if (!last) return null;
  const endMs = Math.min(last[0] * 1_000, now);
  const fine = await ask<InstantResult>(
    '/query',
    { query: `max(max_over_time(timestamp(${selector})[6h:1m]))`, time: seconds(endMs) },
    signal,
  );
  const found = fine.data.resultType === 'vector' ? fine.data.result[0]?.value : undefined;
  return found ? parseSample(found[1]) * 1_000 : endMs;
}
