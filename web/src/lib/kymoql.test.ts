import { readFileSync } from 'node:fs';

import { CompletionContext } from '@codemirror/autocomplete';
import { EditorState } from '@codemirror/state';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { AGGREGATIONS, askServer, completeKymo, FUNCTIONS, isInside } from './kymoql';

const source = (path: string) =>
  readFileSync(new URL(`../../../crates/promql/src/${path}`, import.meta.url), 'utf8');
const labels = (list: { label: string }[]) => list.map(({ label }) => label).sort();
const found = (text: string, pattern: RegExp) =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '').sort();

describe('Kymo’s words', () => {
  it('are those of the server', () => {
    expect(labels(FUNCTIONS)).toEqual(found(source('functions/kymo.rs'), /of\("(\w+)"/g));
    expect(labels(AGGREGATIONS)).toEqual(found(source('ast/kymo.rs'), /\("(\w+)", KymoAggregate/g));
  });

  it('are completed where a word may stand', () => {
    const at = (text: string) =>
      completeKymo(new CompletionContext(EditorState.create({ doc: text }), text.length, false));
    expect(at('sum(incr')?.from).toBe(4);
    expect(at('a def')?.options.some(({ label }) => label === 'default')).toBe(true);
    expect(at('a{job="in')).toBeNull();
    expect(at('a{jo')).toBeNull();
    expect(at('a ')).toBeNull();
  });

  it('knows where strings, braces and ranges end', () => {
    expect([
      isInside('a{b="}'),
      isInside('a{b="c"}'),
      isInside('x["'),
      isInside("'\\'"),
      isInside('`\\`'),
    ]).toEqual([true, false, true, true, false]);
  });
});

describe('who decides what a query is', () => {
  afterEach(() => vi.unstubAllGlobals());
  const local = [{ from: 0, to: 1, message: 'local', severity: 'error' as const }];
  const answers = (status: number, body: unknown) =>
    vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify(body), { status })));

  it('is the server, if the grammar finds a fault', async () => {
    answers(200, { status: 'success', data: {} });
    expect(await askServer('a default b', local)).toEqual([]);
    const error = 'invalid parameter "query": 1:3: parse error: unexpected identifier "b"';
    answers(400, { status: 'error', errorType: 'bad_data', error });
    expect(await askServer('a b', local)).toEqual([
      { from: 2, to: 3, message: 'unexpected identifier "b"', severity: 'error' },
    ]);
  });

  it('is the grammar, if nobody answers', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new Error('down')));
    expect(await askServer('a b', local)).toEqual(local);
    expect(await askServer('a', [])).toEqual([]);
  });
});
