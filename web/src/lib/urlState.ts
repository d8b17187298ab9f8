// What Explore shows, as the URL says it. The URL is the state: what you see is what you share.
import { formatDuration, parseDuration } from './time';

export type ExploreTab = 'graph' | 'table' | 'json' | 'plan';

export interface ExploreState {
  queries: string[];
  tab: ExploreTab;
  stacked: boolean;
  /** 0 asks for as many points as the graph has room for. */
  stepMs: number;
}

/** More queries than this are a script's work. */
export const QUERIES_MAX = 20;

export function exploreFromParams(params: URLSearchParams): ExploreState {
  const queries = params.getAll('q').slice(0, QUERIES_MAX);
  const tab = params.get('tab');
  const step = parseDuration(params.get('step') ?? '');
  return {
    queries: queries.length === 0 ? [''] : queries,
    tab: tab === 'table' || tab === 'json' || tab === 'plan' ? tab : 'graph',
    stacked: params.get('stacked') === '1',
    stepMs: step !== null && step > 0 ? step : 0,
  };
}

export function exploreToParams(state: ExploreState, params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams(params);
  for (const key of ['q', 'tab', 'stacked', 'step']) next.delete(key);
  if (state.queries.some((q) => q !== '')) for (const query of state.queries) next.append('q', query);
  if (state.tab !== 'graph') next.set('tab', state.tab);
  if (state.stacked) next.set('stacked', '1');
  if (state.stepMs > 0) next.set('step', formatDuration(state.stepMs));
  return next;
}

/** A link into Explore with one query. */
export function exploreLink(query: string, extra: Record<string, string> = {}): string {
  return `/explore?${new URLSearchParams({ q: query, ...extra }).toString()}`;
}

/** Links of Prometheus' own pages (`/graph?g0.expr=…`), as alerts carry them, in our words. */
export function fromPrometheusLink(params: URLSearchParams): URLSearchParams {
  const next = new URLSearchParams();
  for (let i = 0; i < QUERIES_MAX; i += 1) {
    const query = params.get(`g${i}.expr`);
    if (query !== null) next.append('q', query);
  }
  // 1 was the table, later ones wrote the word.
  const tab = params.get('g0.tab');
  if (tab === '1' || tab === 'table') next.set('tab', 'table');
  const range = params.get('g0.range_input');
  const end = params.get('g0.end_input');
  const spanMs = parseDuration(range ?? '');
  const endMs = end === null ? NaN : Date.parse(`${end.replace(' ', 'T')}Z`);
  if (spanMs !== null && spanMs > 0) {
    if (Number.isNaN(endMs)) next.set('range', formatDuration(spanMs));
    else {
      next.set('from', new Date(endMs - spanMs).toISOString());
      next.set('to', new Date(endMs).toISOString());
    }
  }
  return next;
}

/** Refresh intervals on offer, milliseconds; 0 is off. */
export const REFRESH_CHOICES_MS = [0, 5_000, 10_000, 15_000, 30_000, 60_000, 300_000] as const;

/** What a page refreshes at when the URL says nothing. */
export function refreshFromParams(params: URLSearchParams, fallbackMs: number): number {
  const asked = params.get('refresh');
  if (asked === null) return fallbackMs;
  if (asked === 'off') return 0;
  const ms = parseDuration(asked);
  return ms !== null && ms >= 1_000 ? ms : fallbackMs;
}
