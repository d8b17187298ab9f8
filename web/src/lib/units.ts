// Units: what a number measures, and how it is written for a person.
// Sizes of memory and disks are IEC (powers of 1,024), everything else SI, times in what suits them.
import { localTime, readableSpan } from './time';

export type Unit =
  | 'none'
  | 'count'
  | 'bytes'
  | 'bytes/s'
  | 'seconds'
  | 'seconds/s'
  | 'ratio'
  | 'percent'
  | '/s'
  | 'instant'
  | 'celsius'
  | 'hertz'
  | 'volts'
  | 'amperes'
  | 'watts'
  | 'joules'
  | 'meters'
  | 'grams'
  | 'rpm'
  | 'bool';

const WORDS: Record<Unit, string> = {
  none: 'no unit',
  count: 'count',
  bytes: 'bytes',
  'bytes/s': 'bytes per second',
  seconds: 'seconds',
  'seconds/s': 'seconds per second',
  ratio: 'share (1 = 100 %)',
  percent: 'percent',
  '/s': 'per second',
  instant: 'point in time',
  celsius: 'degrees Celsius',
  hertz: 'hertz',
  volts: 'volts',
  amperes: 'amperes',
  watts: 'watts',
  joules: 'joules',
  meters: 'metres',
  grams: 'grams',
  rpm: 'revolutions per minute',
  bool: 'yes (1) or no (0)',
};

export function unitWords(unit: Unit): string {
  return WORDS[unit];
}

const SUFFIXES: [RegExp, Unit][] = [
  [/_(timestamp|time|boot_time|start_time|created)_seconds$/, 'instant'],
  [/_created$/, 'instant'],
  [/_bytes$/, 'bytes'],
  [/_(seconds|duration)$/, 'seconds'],
  [/_ratio$/, 'ratio'],
  [/_(percent|pct)$/, 'percent'],
  [/_(celsius|temp_celsius)$/, 'celsius'],
  [/_(hertz|frequency_hertz)$/, 'hertz'],
  [/_volts$/, 'volts'],
  [/_amperes$/, 'amperes'],
  [/_watts?$/, 'watts'],
  [/_joules$/, 'joules'],
  [/_meters$/, 'meters'],
  [/_grams$/, 'grams'],
  [/_rpm$/, 'rpm'],
  [/_(info|success|healthy)$/, 'bool'],
  [/^up$/, 'bool'],
  [/^process_open_fds$|_(count|entries|connections|threads|goroutines|samples|series)$/, 'count'],
];

/** What a metric's name says of its unit, and which part of the name said it. */
export function unitOfMetric(name: string): { unit: Unit; because: string | null; counter: boolean } {
  let base = name;
  let counter = false;
  if (/_total$/.test(base)) {
    base = base.replace(/_total$/, '');
    counter = true;
  } else if (/_bucket$/.test(base)) {
    return { unit: 'count', because: '_bucket', counter: true };
  } else if (/_sum$/.test(base)) {
    base = base.replace(/_sum$/, '');
    counter = true;
  } else if (/_count$/.test(base)) {
    return { unit: 'count', because: '_count', counter: true };
  }
  // Memory sizes of node_exporter end in _bytes already; names like node_memory_Active carry nothing.
  for (const [suffix, unit] of SUFFIXES) {
    const found = suffix.exec(base);
    if (found) return { unit, because: found[0], counter };
  }
  return counter ? { unit: 'count', because: '_total', counter } : { unit: 'none', because: null, counter };
}

/** What a histogram's buckets measure: `le` bounds of `…_seconds_bucket` are seconds. */
export function unitOfBuckets(name: string): Unit {
  return unitOfMetric(name.replace(/_bucket$/, '')).unit;
}

/** The unit of a rate. */
export function perSecond(unit: Unit): Unit {
  switch (unit) {
    case 'bytes':
      return 'bytes/s';
    case 'seconds':
      return 'seconds/s';
    case 'joules':
      return 'watts';
    case 'count':
      return '/s';
    case 'none':
      return '/s';
    default:
      return 'none';
  }
}

const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
const SI_LARGE = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
const SI_SMALL = ['', 'm', 'µ', 'n', 'p'];

/** At most `digits` significant ones, never a tail of zeros, never a rounding that hides whole units. */
export function plainNumber(value: number, digits = 4): string {
  if (value === 0) return '0';
  const abs = Math.abs(value);
  if (abs >= 10 ** digits) return Math.round(value).toLocaleString('en-US');
  const text = value.toPrecision(digits);
  if (text.includes('e')) return trim(value.toExponential(Math.max(0, digits - 1)));
  return trim(text);
}

function trim(text: string): string {
  const [mantissa, exponent] = text.split('e');
  const short = mantissa?.includes('.') ? mantissa.replace(/\.?0+$/, '') : (mantissa ?? '');
  return exponent === undefined ? short : `${short}e${exponent.replace('+', '')}`;
}

function scaled(value: number, base: number, names: string[], digits: number): string {
  let n = Math.abs(value);
  let i = 0;
  // Rounding may reach the next name: 1023.99 KiB reads 1 MiB.
  while (i < names.length - 1 && Number(n.toPrecision(digits)) >= base) {
    n /= base;
    i += 1;
  }
  const sign = value < 0 ? '-' : '';
  const name = names[i] ?? '';
  return `${sign}${plainNumber(n, digits)}${name === '' ? '' : ` ${name}`}`;
}

function si(value: number, symbol: string, digits: number): string {
  const abs = Math.abs(value);
  if (abs !== 0 && abs < 1) {
    let n = abs;
    let i = 0;
    while (i < SI_SMALL.length - 1 && Number(n.toPrecision(digits)) < 1) {
      n *= 1_000;
      i += 1;
    }
    return joined(`${value < 0 ? '-' : ''}${plainNumber(n, digits)}`, `${SI_SMALL[i] ?? ''}${symbol}`);
  }
  const text = scaled(value, 1_000, SI_LARGE, digits);
  const parts = text.split(' ');
  return joined(parts[0] ?? text, `${parts[1] ?? ''}${symbol}`);
}

function joined(number: string, unit: string): string {
  return unit === '' ? number : `${number} ${unit}`;
}

function special(value: number): string | null {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return null;
}

const SI_SYMBOL: Partial<Record<Unit, string>> = {
  hertz: 'Hz',
  volts: 'V',
  amperes: 'A',
  watts: 'W',
  joules: 'J',
  meters: 'm',
  grams: 'g',
};

/** A value with its unit: `1.5 GiB`, `250 ms`, `37.5 %`, `1.2 k/s`. */
export function formatValue(value: number, unit: Unit, digits = 4): string {
  const odd = special(value);
  if (odd !== null) return odd;
  switch (unit) {
    case 'bytes':
      return scaled(value, 1024, IEC, digits);
    case 'bytes/s':
      return `${scaled(value, 1024, IEC, digits)}/s`;
    case 'seconds':
      return formatSeconds(value, digits);
    case 'seconds/s':
      return `${si(value, 's', digits)}/s`;
    case 'ratio':
      return `${plainNumber(value * 100, digits)} %`;
    case 'percent':
      return `${plainNumber(value, digits)} %`;
    case '/s':
      return rate(value, digits);
    case 'instant':
      return Math.abs(value) < 8.64e12 ? localTime(value * 1_000) : plainNumber(value, digits);
    case 'celsius':
      return `${plainNumber(value, digits)} °C`;
    case 'rpm':
      return `${plainNumber(value, digits)} rpm`;
    case 'count':
    case 'none':
    case 'bool':
      return Math.abs(value) >= 10_000 ? scaled(value, 1_000, SI_LARGE, digits) : plainNumber(value, digits);
    default:
      return si(value, SI_SYMBOL[unit] ?? '', digits);
  }
}

function rate(value: number, digits: number): string {
  const text = Math.abs(value) >= 1_000 ? scaled(value, 1_000, SI_LARGE, digits) : plainNumber(value, digits);
  return `${text}/s`;
}

function formatSeconds(value: number, digits: number): string {
  const abs = Math.abs(value);
  if (abs < 120) return si(value, 's', digits);
  return `${value < 0 ? '-' : ''}${readableSpan(abs * 1_000)}`;
}

/** Everything the number says, for hovering: all digits, and the plain unit. */
export function fullValue(value: number, unit: Unit): string {
  const odd = special(value);
  if (odd !== null) return odd;
  const digits = String(value);
  return unit === 'none' || unit === 'count' ? digits : `${digits} (${unitWords(unit)})`;
}

/** How Prometheus writes sample values. */
export function parseSample(text: string): number {
  switch (text) {
    case '+Inf':
    case 'Inf':
      return Infinity;
    case '-Inf':
      return -Infinity;
    case 'NaN':
      return NaN;
    default:
      return Number(text);
  }
}

/** The base in which a unit's axis ticks are round. */
export function tickBase(unit: Unit): 2 | 10 | 60 {
  if (unit === 'bytes' || unit === 'bytes/s') return 2;
  return unit === 'seconds' ? 60 : 10;
}

/** Ticks of an axis, with as few digits as say them exactly: 1.25 must not read 1.3. */
export function axisValues(values: number[], unit: Unit): string[] {
  const exact = values.map((v) => formatValue(v, unit, 9));
  for (let digits = 2; digits <= 8; digits += 1) {
    const texts = values.map((v) => formatValue(v, unit, digits));
    if (texts.every((text, i) => text === exact[i])) return texts;
  }
  return exact;
}
