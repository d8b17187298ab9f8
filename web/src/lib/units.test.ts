import { describe, expect, it } from 'vitest';

import { axisValues, formatValue, fullValue, parseSample, perSecond, unitOfMetric, type Unit } from './units';

describe('units in metric names', () => {
  it.each<[string, Unit]>([
    ['node_memory_MemAvailable_bytes', 'bytes'],
    ['node_network_receive_bytes_total', 'bytes'],
    ['node_cpu_seconds_total', 'seconds'],
    ['node_boot_time_seconds', 'instant'],
    ['process_start_time_seconds', 'instant'],
    ['scrape_duration_seconds', 'seconds'],
    ['http_requests_total', 'count'],
    ['http_request_duration_seconds_bucket', 'count'],
    ['http_request_duration_seconds_sum', 'seconds'],
    ['http_request_duration_seconds_count', 'count'],
    ['node_hwmon_temp_celsius', 'celsius'],
    ['cpu_usage_ratio', 'ratio'],
    ['up', 'bool'],
    ['node_load1', 'none'],
  ])('%s measures %s', (name, unit) => expect(unitOfMetric(name).unit).toBe(unit));

  it('says which part of the name told', () => {
    expect(unitOfMetric('node_memory_MemFree_bytes').because).toBe('_bytes');
    expect(unitOfMetric('node_load1').because).toBeNull();
  });

  it('rates are per second of what grows', () => {
    expect(perSecond('bytes')).toBe('bytes/s');
    expect(perSecond('count')).toBe('/s');
    expect(perSecond('joules')).toBe('watts');
  });
});

describe('values with their unit', () => {
  it.each<[number, Unit, string]>([
    [0, 'bytes', '0 B'],
    [1536, 'bytes', '1.5 KiB'],
    [1024 ** 3 * 23.5, 'bytes', '23.5 GiB'],
    [1048575, 'bytes', '1 MiB'],
    [-2048, 'bytes', '-2 KiB'],
    [1_500, 'bytes/s', '1.465 KiB/s'],
    [0.25, 'seconds', '250 ms'],
    [0.0000042, 'seconds', '4.2 µs'],
    [12.5, 'seconds', '12.5 s'],
    [3_725, 'seconds', '1h 2m'],
    [0.375, 'ratio', '37.5 %'],
    [99.5, 'percent', '99.5 %'],
    [12.3, '/s', '12.3/s'],
    [12_345, '/s', '12.35 k/s'],
    [1_234, 'count', '1234'],
    [1_234_567, 'count', '1.235 M'],
    [21.5, 'celsius', '21.5 °C'],
    [2_400_000_000, 'hertz', '2.4 GHz'],
    [0.9999, 'seconds', '999.9 ms'],
    [NaN, 'bytes', 'NaN'],
    [Infinity, 'seconds', '+Inf'],
    [-Infinity, 'none', '-Inf'],
    [1e-9, 'none', '1e-9'],
  ])('%d as %s reads %s', (value, unit, text) => expect(formatValue(value, unit)).toBe(text));

  it('writes points in time in the viewer’s zone', () => {
    const ms = new Date(2026, 10, 20, 6, 35, 50).getTime();
    expect(formatValue(ms / 1_000, 'instant')).toBe('2026-11-20 06:35:50');
  });

  it('keeps every digit for hovering', () => {
    expect(fullValue(1536.25, 'bytes')).toBe('1536.25 (bytes)');
    expect(fullValue(3, 'count')).toBe('3');
  });

  it('reads samples as the API writes them', () => {
    expect(parseSample('+Inf')).toBe(Infinity);
    expect(parseSample('-Inf')).toBe(-Infinity);
    expect(parseSample('NaN')).toBeNaN();
    expect(parseSample('1.5e3')).toBe(1_500);
  });
});

describe('axis ticks', () => {
  it('never round a tick to what it is not', () => {
    expect(axisValues([1, 1.25, 1.5, 1.75], 'none')).toEqual(['1', '1.25', '1.5', '1.75']);
    expect(axisValues([0, 0.5, 1], 'ratio')).toEqual(['0 %', '50 %', '100 %']);
    expect(axisValues([1_001, 1_002], 'none')).toEqual(['1001', '1002']);
  });
  it('is not misled by floating point', () => {
    expect(axisValues([0.1 + 0.2], 'none')).toEqual(['0.3']);
  });
});
