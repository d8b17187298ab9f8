import { describe, expect, it } from 'vitest';

import {
  commonLabels,
  fromApi,
  matchersFault,
  matchersOf,
  matchersText,
  parseLabels,
  parseMatchers,
  toApi,
  type Matcher,
} from './matchers';

describe('matchers', () => {
  const check = (text: string, expected: string) => {
    const read = parseMatchers(text);
    expect(read.ok ? matchersText(read.value) : read.error).toBe(expected);
  };

  it('are read as people write them', () => {
    check('', '');
    check('team=db', 'team="db"');
    check('{team="db", severity=~"page|warn"}', 'team="db", severity=~"page|warn"');
    check('team = db  severity!~info,x!=""', 'team="db", severity!~"info", x!=""');
    check('path="C:\\\\dir" say="\\"hi\\"\\n"', 'path="C:\\\\dir", say="\\"hi\\"\\n"');
    check('"a.b"=c', '"a.b"="c"');
    check('a=b=c', 'a="b=c"');
  });
  it('say what is wrong with them', () => {
    check('team', 'no label with a value: team');
    check('a=b team="db', 'a quote is not closed: "db');
  });
  it('are the same to the server and back', () => {
    for (const op of ['=', '!=', '=~', '!~'] as const) {
      const matcher: Matcher = { name: 'a', op, value: 'b' };
      expect(fromApi(toApi(matcher))).toEqual(matcher);
    }
    expect(fromApi({ name: 'a', value: 'b', isRegex: false })).toEqual({ name: 'a', op: '=', value: 'b' });
  });
  it('must ask for something', () => {
    const fault = (text: string) => {
      const read = parseMatchers(text);
      return read.ok ? matchersFault(read.value) : read.error;
    };
    expect(fault('a=b')).toBeNull();
    expect(fault('a=b c=""')).toBeNull();
    expect(fault('')).toContain('at least one');
    expect(fault('a="" b!=c')).toContain('must ask for a value');
    expect(matchersFault([{ name: ' ', op: '=', value: 'x' }])).toContain('no label');
  });
  it('of labels begin with the name of the alert', () => {
    expect(matchersText(matchersOf({ zone: 'a', alertname: 'Down', job: 'x' }))).toBe(
      'alertname="Down", job="x", zone="a"',
    );
  });
});

it('labels have one value each', () => {
  expect(parseLabels('team=db severity="page"')).toEqual({
    ok: true,
    value: { team: 'db', severity: 'page' },
  });
  expect(parseLabels('team=~db')).toMatchObject({ ok: false });
  expect(commonLabels([{ a: '1', b: '2' }, { a: '1', b: '3' }, { a: '1' }])).toEqual({ a: '1' });
  expect(commonLabels([])).toEqual({});
});
