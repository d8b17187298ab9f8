import { expect, it } from 'vitest';

import { fingerprint } from './fingerprint';

it('alerts are named as Prometheus names them', () => {
  expect(fingerprint({})).toBe('cbf29ce484222325');
  expect(fingerprint({ a: 'b' })).not.toBe(fingerprint({ ab: '' }));
  expect(fingerprint({ b: '2', a: '1' })).toBe(fingerprint({ a: '1', b: '2' }));
});
