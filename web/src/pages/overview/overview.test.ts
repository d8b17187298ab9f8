import { describe, expect, it } from 'vitest';

import { parseDuration } from '../../lib/time';
import { selectorsOf, unitOfQuery } from '../../lib/promql';
import { byHost, panelsOf, readHosts, vitals } from './hosts';
import { samplesPerSecond } from './rates';
import { conditions, currentRun, newestFirst, troubleOf, type Trouble } from './trouble';

const series = (labels: Record<string, string>, value = '1') => ({
  metric: labels,
  value: [0, value] as [number, string],
});

describe('hosts', () => {
  const a = { job: 'node', instance: 'a:9100' };
  const b = { job: 'node', instance: 'b:9100' };
  it('are named by their node name, and known when they fell silent', () => {
    const hosts = readHosts(
      [series(a), series(b)],
      [series(a)],
      [series({ ...a, nodename: 'alpha', sysname: 'Linux' })],
    );
    expect(hosts).toMatchObject([
      { name: 'alpha', up: true, about: 'Linux' },
      { name: 'b:9100', up: false, about: '' },
    ]);
  });
  it('of the same name are told apart', () => {
    const name = { nodename: 'web' };
    const hosts = readHosts(
      [series(a), series(b)],
      [],
      [series({ ...a, ...name }), series({ ...b, ...name })],
    );
    expect(hosts.map((host) => host.name)).toEqual(['web (node/a:9100)', 'web (node/b:9100)']);
  });
  it('ask only about themselves, in PromQL that parses, in the unit they claim', () => {
    for (const panel of panelsOf({ job: 'no"de', instance: 'a' }, 60_000)) {
      for (const { query } of panel.queries) {
        const selectors = selectorsOf(query);
        expect(selectors.length).toBeGreaterThan(0);
        for (const selector of selectors) {
          expect(selector.matchers.slice(0, 2)).toEqual([
            { name: 'job', op: '=', value: 'no"de' },
            { name: 'instance', op: '=', value: 'a' },
          ]);
        }
        if (panel.unit === 'bytes' || panel.unit === 'bytes/s')
          expect(unitOfQuery(query).unit).toBe(panel.unit);
      }
    }
    for (const vital of vitals(60_000)) expect(selectorsOf(vital.query).length).toBeGreaterThan(0);
  });
  it('find their numbers', () => {
    expect(byHost([series(a, '0.5')]).get('node/a:9100')).toBe(0.5);
  });
});

describe('trouble', () => {
  const step = 300_000;
  const at = (...seconds: number[]) => seconds.map((s): [number, string] => [s, '0']);

  it('is a run that reaches until now', () => {
    expect(currentRun(at(0, 300, 600), 600_000, step)).toEqual({ sinceMs: 0, value: 0 });
    expect(currentRun(at(0, 300), 900_000, step)).toBeNull();
    expect(currentRun([], 600_000, step)).toBeNull();
  });
  it('begins after the last time all was well', () => {
    expect(currentRun(at(0, 300, 900, 1_200), 1_200_000, step)?.sinceMs).toBe(900_000);
  });
  it('is named, placed, linked and dated', () => {
    const [down] = conditions();
    if (!down) throw new Error('no condition');
    const labels = { __name__: 'up', job: 'node', instance: 'a:1' };
    const found = troubleOf(down, [{ metric: labels, values: at(600, 900) }], 0, 900_000, step);
    expect(found).toMatchObject([
      { what: 'Target is down', where: 'node a:1', sinceMs: 600_000, severity: 'bad' },
    ]);
    expect(found[0]?.link).toBe('/targets?state=down&find=a%3A1');
    const old = troubleOf(down, [{ metric: labels, values: at(0, 300, 600, 900) }], 0, 900_000, step);
    expect(old[0]?.sinceMs).toBeNull();
  });
  it('comes newest first', () => {
    const trouble = (where: string, sinceMs: number | null): Trouble => ({
      key: where,
      severity: 'bad',
      what: '',
      where,
      sinceMs,
      link: '',
    });
    const list = [trouble('old', null), trouble('new', 900), trouble('mid', 500)];
    expect(newestFirst(list).map((t) => t.where)).toEqual(['new', 'mid', 'old']);
  });
  it('is looked for with PromQL that parses', () => {
    for (const condition of conditions()) expect(selectorsOf(condition.query).length).toBeGreaterThan(0);
  });
});

it('counts samples per second from the first round on', () => {
  const targets = [
    { labels: { job: 'a' }, scrapeInterval: '10s' },
    { labels: { job: 'b' }, scrapeInterval: '1m' },
  ];
  const rounds = new Map([
    ['a', 1_000],
    ['b', 600],
  ]);
  expect(samplesPerSecond(targets, rounds, parseDuration)).toBe(110);
});
