import { describe, expect, it } from 'vitest';

import {
  ago,
  axisTimes,
  formatDuration,
  isoInstant,
  parseDuration,
  parseInstant,
  rangeFromParams,
  rangeToParams,
  readableSpan,
  resolveRange,
  stepRange,
  zoomOut,
  zoomTo,
  type TimeRange,
} from './time';

const H = 3_600_000;

describe('durations', () => {
  it.each([
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1d12h', 129_600_000],
    ['2w', 1_209_600_000],
    [' 10s ', 10_000],
    ['1y', 31_536_000_000],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '5', 'm', '1m1h', '-5m', '5 m', '1.5h', '99999999999999y'])('refuses %j', (text) =>
    expect(parseDuration(text)).toBeNull(),
  );

  it.each([
    [0, '0s'],
    [1_500, '1s500ms'],
    [5_400_000, '1h30m'],
    [604_800_000, '1w'],
    [90 * 86_400_000, '90d'],
  ])('writes %d ms so that it reads back', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
    if (ms > 0) expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    [420, '420 ms'],
    [2_300, '2.3 s'],
    [42_000, '42 s'],
    [61_000, '1m 1s'],
    [3_600_000, '1h'],
    [3_599_600, '1h'],
    [100 * H, '4d 4h'],
  ])('%d ms is read aloud as %s', (ms, text) => expect(readableSpan(ms)).toBe(text));

  it('says how long ago without ticking needlessly', () => {
    expect(ago(0, 500)).toBe('just now');
    expect(ago(0, 5_900)).toBe('5 s ago');
    expect(ago(0, 25 * 60_000 + 59_000)).toBe('25m ago');
    expect(ago(0, 26 * H + 59 * 60_000)).toBe('1d 2h ago');
    expect(ago(60_000, 0)).toBe('in 1m');
  });
});

describe('ranges', () => {
  const now = 1_000 * H;
  const last: TimeRange = { kind: 'relative', spanMs: H };

  it('moves with the clock when relative, stands when absolute', () => {
    expect(resolveRange(last, now)).toEqual({ startMs: now - H, endMs: now });
    expect(resolveRange({ kind: 'absolute', startMs: 1, endMs: 2_000 }, now)).toEqual({
      startMs: 1,
      endMs: 2_000,
    });
  });

  it('steps back by half a span, and forward onto the moving range again', () => {
    const back = stepRange(last, -1, now);
    expect(back).toEqual({ kind: 'absolute', startMs: now - 1.5 * H, endMs: now - H / 2 });
    expect(stepRange(back, 1, now)).toEqual(last);
    expect(stepRange(back, 1, now + 20_000)).toEqual(last);
    const farBack = stepRange(back, -1, now);
    expect(stepRange(farBack, 1, now)).toEqual(back);
  });

  it('zooms out around the middle, but not into the future', () => {
    expect(zoomOut(last, now)).toEqual({ kind: 'relative', spanMs: 2 * H });
    const old: TimeRange = { kind: 'absolute', startMs: 100 * H, endMs: 102 * H };
    expect(zoomOut(old, now)).toEqual({ kind: 'absolute', startMs: 99 * H, endMs: 103 * H });
    const late: TimeRange = { kind: 'absolute', startMs: now - H, endMs: now };
    expect(zoomOut(late, now)).toEqual({ kind: 'absolute', startMs: now - 2 * H, endMs: now });
  });

  it('zooms to a drag in either direction, and ignores a slip', () => {
    expect(zoomTo(9_000.4, 3_000)).toEqual({ kind: 'absolute', startMs: 3_000, endMs: 9_000 });
    expect(zoomTo(3_000, 3_500)).toBeNull();
  });

  it('survives the way through the URL', () => {
    const ranges: TimeRange[] = [
      last,
      { kind: 'relative', spanMs: 15 * 60_000 },
      { kind: 'absolute', startMs: 1_795_156_550_705, endMs: 1_795_160_150_000 },
    ];
    for (const range of ranges) {
      const params = rangeToParams(range, new URLSearchParams('q=up&from=x'));
      expect(params.get('q')).toBe('up');
      expect(rangeFromParams(new URLSearchParams(params.toString()))).toEqual(range);
    }
  });

  it('keeps the default out of the URL', () => {
    expect(rangeToParams(last, new URLSearchParams('range=5m')).toString()).toBe('');
  });

  it.each([
    'range=-5m',
    'range=banana',
    'from=2026-01-01',
    'from=2026-01-02&to=2026-01-01',
    'range=200y',
    'from=9e99&to=9e99',
  ])('falls back on %s', (text) => expect(rangeFromParams(new URLSearchParams(text))).toEqual(last));

  it('reads instants as RFC 3339 or Unix seconds', () => {
    expect(parseInstant('1795156550.705')).toBe(1_795_156_550_705);
    expect(parseInstant('2026-11-20T06:35:50.705Z')).toBe(1_795_156_550_705);
    expect(parseInstant('yesterday')).toBeNull();
    expect(isoInstant(1_795_156_550_000)).toBe('2026-11-20T06:35:50Z');
  });
});

describe('axis labels', () => {
  const at = (hours: number, minutes = 0, seconds = 0) =>
    new Date(2026, 10, 20, hours, minutes, seconds).getTime();
  it('are as fine as their distance asks', () => {
    expect(axisTimes([at(6, 0), at(6, 5)], 300_000)).toEqual(['06:00', '06:05']);
    expect(axisTimes([at(6, 0, 0), at(6, 0, 15)], 15_000)).toEqual(['06:00:00', '06:00:15']);
    expect(axisTimes([at(0), at(24)], 86_400_000)).toEqual(['11-20', '11-21']);
  });
  it('name the day where it changes', () => {
    expect(axisTimes([at(22), at(24), at(26)], 2 * H)).toEqual(['22:00', '00:00\n11-21', '02:00']);
  });
});
