import { expect, it } from 'vitest';

import { seriesKey, seriesText, shortName, varyingLabels } from './labels';

it('writes series as PromQL reads them', () => {
  expect(seriesText({ __name__: 'up', job: 'a', env: 'x"y' })).toBe('up{env="x\\"y", job="a"}');
  expect(seriesText({ __name__: 'up' })).toBe('up');
  expect(seriesText({ a: 'b' })).toBe('{a="b"}');
  expect(seriesText({})).toBe('{}');
  expect(seriesText({ __name__: 'my.metric', 'a.b': 'c' })).toBe('{"my.metric", "a.b"="c"}');
});

it('knows equal series whatever the order of labels', () => {
  expect(seriesKey({ a: '1', b: '2' })).toBe(seriesKey({ b: '2', a: '1' }));
  expect(seriesKey({ a: '1b' })).not.toBe(seriesKey({ a: '1', b: '' }));
});

it('names a series by what tells it from its siblings', () => {
  const sets = [
    { __name__: 'cpu', mode: 'idle', cpu: '0', job: 'n' },
    { __name__: 'cpu', mode: 'user', cpu: '0', job: 'n' },
  ];
  const varying = varyingLabels(sets);
  expect(varying).toEqual(['mode']);
  expect(sets.map((set) => shortName(set, varying))).toEqual(['idle', 'user']);
  expect(shortName({ __name__: 'up', job: 'n' }, [])).toBe('up{job="n"}');
});

it('counts a label that some lack as varying', () => {
  const sets = [{ a: '1' }, { a: '1', b: '2' }];
  expect(varyingLabels(sets)).toEqual(['b']);
  expect(shortName({ a: '1' }, ['b'])).toBe('{a="1"}');
});
