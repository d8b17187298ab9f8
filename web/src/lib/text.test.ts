// CSV, YAML colours and the history of queries: small things that are stored or taken along.
import { describe, expect, it } from 'vitest';

import { toCsv } from './csv';
import { readMemory, RECENT_MAX, remember, toggleFavourite } from './history';
import { yamlTokens } from './yaml';

describe('CSV', () => {
  it('quotes what needs it', () => {
    expect(toCsv(['a', 'b'], [['x,y', 'say "hi"'], ['line\nbreak', '-1.5']])).toBe(
      'a,b\r\n"x,y","say ""hi"""\r\n"line\nbreak",-1.5\r\n',
    ); // prettier-ignore
  });
  it('lets no cell become a formula', () => {
    expect(toCsv(['a'], [['=1+1'], ['@x'], ['-Inf'], ['+Inf']])).toBe(
      "a\r\n'=1+1\r\n'@x\r\n-Inf\r\n+Inf\r\n",
    );
  });
});

describe('YAML colours', () => {
  const kinds = (line: string) => yamlTokens(line).map((token) => [token.kind, token.text]);
  it('lose no character', () => {
    for (const line of ['', '  - job_name: "a # b" # note', 'a:b', '# only', "x: 'it''s'", '\t- - y: 5m']) {
      expect(
        yamlTokens(line)
          .map((token) => token.text)
          .join(''),
      ).toBe(line);
    }
  });
  it('tell keys, strings, numbers and comments', () => {
    expect(kinds('  - job_name: "a # b" # note')).toEqual([
      ['mark', '  - '],
      ['key', 'job_name'],
      ['mark', ':'],
      ['string', ' "a # b" '],
      ['comment', '# note'],
    ]);
    expect(kinds('scrape_interval: 15s')[2]).toEqual(['number', ' 15s']);
    expect(kinds('  - localhost:9090')).toEqual([
      ['mark', '  - '],
      ['plain', 'localhost:9090'],
    ]);
  });
});

describe('the history of queries', () => {
  const empty = readMemory(null);
  it('holds each query once, the newest first', () => {
    const memory = remember(remember(remember(empty, 'a', 1), 'b', 2), ' a ', 3);
    expect(memory.recent).toEqual([
      { query: 'a', atMs: 3 },
      { query: 'b', atMs: 2 },
    ]);
    expect(remember(memory, '  ', 4)).toBe(memory);
  });
  it('is bounded', () => {
    let memory = empty;
    for (let i = 0; i < RECENT_MAX + 20; i += 1) memory = remember(memory, `q${i}`, i);
    expect(memory.recent).toHaveLength(RECENT_MAX);
    expect(memory.recent[0]?.query).toBe(`q${RECENT_MAX + 19}`);
  });
  it('keeps favourites until they are dropped', () => {
    const kept = toggleFavourite(empty, 'up');
    expect(kept.favourites).toEqual(['up']);
    expect(toggleFavourite(kept, 'up').favourites).toEqual([]);
  });
  it('reads what it can of what is stored', () => {
    expect(readMemory('{')).toEqual(empty);
    expect(readMemory('[]')).toEqual(empty);
    expect(readMemory('{"recent":[{"query":"a","atMs":1},{"query":5}],"favourites":["x",null]}')).toEqual({
      recent: [{ query: 'a', atMs: 1 }],
      favourites: ['x'],
    });
  });
});
