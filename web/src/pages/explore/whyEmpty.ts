// Why a query answers nothing: asked of the server in a few cheap questions, answered in one sentence.
//
// The order is that of likelihood: no such metric (a typing error), no data in this range (it ended), a matcher
// that lets nothing through, matchers that never meet; else the expression itself drops what the selectors found.
import { matcherText, selectorsOf, selectorText, type Matcher, type Selector } from '../../lib/promql';
import { didYouMean } from '../../lib/suggest';
import type { Interval } from '../../lib/time';

/** What the diagnosis asks of the server. */
export interface Oracle {
  metricNames: () => Promise<string[]>;
  /** Whether any series matches within the interval. */
  anySeries: (selector: string, within: Interval) => Promise<boolean>;
  /** Values of a label among the series that match within the interval. */
  labelValues: (label: string, selector: string, within: Interval) => Promise<string[]>;
  /** When the newest sample of a selector was, Unix milliseconds; null if there is none as far as is known. */
  lastSeen: (selector: string) => Promise<number | null>;
}

export type Reason =
  | { kind: 'no-such-metric'; metric: string; suggestions: { metric: string; query: string }[] }
  | { kind: 'no-data-in-range'; selector: string; lastSeenMs: number | null }
  | {
      kind: 'matcher';
      selector: string;
      matcher: string;
      values: string[];
      suggestions: { text: string; query: string }[];
    }
  | { kind: 'no-label'; selector: string; label: string }
  | { kind: 'matchers-together'; selector: string }
  | { kind: 'expression' }
  | { kind: 'no-selector' };

/** How many values of a label a sentence names. */
const VALUES_MAX = 8;

export async function whyEmpty(query: string, within: Interval, oracle: Oracle): Promise<Reason> {
  const selectors = selectorsOf(query);
  if (selectors.length === 0) return { kind: 'no-selector' };
  for (const selector of selectors) {
    // A rate looks back behind the graph's start, and so does the lookback.
    if (await oracle.anySeries(selectorText(selector), within)) continue;
    return explainSelector(query, selector, within, oracle);
  }
  return { kind: 'expression' };
}

async function explainSelector(
  query: string,
  selector: Selector,
  within: Interval,
  oracle: Oracle,
): Promise<Reason> {
  const { metric } = selector;
  const bare = metric === null ? null : selectorText({ metric, matchers: [] });
  if (metric !== null && bare !== null && !(await oracle.anySeries(bare, within))) {
    const names = await oracle.metricNames();
    if (names.includes(metric)) {
      return { kind: 'no-data-in-range', selector: metric, lastSeenMs: await oracle.lastSeen(bare) };
    }
    const suggestions = didYouMean(metric, names).map((name) => ({
      metric: name,
      query: replaceIn(query, selector, metric, name),
    }));
    return { kind: 'no-such-metric', metric, suggestions };
  }
  for (const matcher of selector.matchers) {
    if (await oracle.anySeries(selectorText({ metric, matchers: [matcher] }), within)) continue;
    return explainMatcher(query, selector, matcher, bare, within, oracle);
  }
  return { kind: 'matchers-together', selector: query.slice(selector.from, selector.to) };
}

async function explainMatcher(
  query: string,
  selector: Selector,
  matcher: Matcher,
  bare: string | null,
  within: Interval,
  oracle: Oracle,
): Promise<Reason> {
  const name = selector.metric ?? 'any series';
  const values = bare === null ? [] : await oracle.labelValues(matcher.name, bare, within);
  if (bare !== null && values.length === 0) return { kind: 'no-label', selector: name, label: matcher.name };
  const near = matcher.op === '=' ? didYouMean(matcher.value, values) : [];
  return {
    kind: 'matcher',
    selector: name,
    matcher: matcherText(matcher),
    values: values.slice(0, VALUES_MAX),
    suggestions: near.map((value) => ({
      text: value,
      query: replaceIn(query, selector, matcher.value, value),
    })),
  };
}

/** Replaces a word within a selector's part of the query. */
function replaceIn(query: string, selector: Selector, word: string, by: string): string {
  const part = query.slice(selector.from, selector.to);
  return query.slice(0, selector.from) + part.replace(word, () => by) + query.slice(selector.to);
}
