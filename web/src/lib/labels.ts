// Label sets: their text, their identity, and what tells the series of one result apart.

export type Labels = Record<string, string>;

export function quote(text: string): string {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`;
}

const PLAIN_METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const PLAIN_LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** `metric{a="b"}` as PromQL reads it; names beyond the old character set are quoted. */
export function seriesText(labels: Labels): string {
  const name = labels['__name__'];
  const pairs = Object.keys(labels)
    .filter((key) => key !== '__name__')
    .sort()
    .map((key) => `${PLAIN_LABEL.test(key) ? key : quote(key)}=${quote(labels[key] ?? '')}`);
  if (name !== undefined && !PLAIN_METRIC.test(name)) return `{${[quote(name), ...pairs].join(', ')}}`;
  if (pairs.length === 0) return name ?? '{}';
  return `${name ?? ''}{${pairs.join(', ')}}`;
}

/** Identity of a series; equal for equal label sets whatever their order. */
export function seriesKey(labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((key) => `${key}\u0001${labels[key] ?? ''}`)
    .join('\u0002');
}

/** Labels whose value differs between the series (or that some lack), in the order of how many values they have. */
export function varyingLabels(sets: readonly Labels[]): string[] {
  const values = new Map<string, Set<string>>();
  for (const set of sets) {
    for (const key of Object.keys(set)) {
      if (!values.has(key)) values.set(key, new Set());
    }
  }
  for (const [key, seen] of values) {
    for (const set of sets) seen.add(set[key] ?? '');
  }
  return [...values.entries()]
    .filter(([, seen]) => seen.size > 1)
    .sort((a, b) => b[1].size - a[1].size || a[0].localeCompare(b[0]))
    .map(([key]) => key);
}

/** The shortest text that tells a series from its siblings; the full one where it stands alone. */
export function shortName(labels: Labels, varying: readonly string[]): string {
  const shown = varying.filter((key) => labels[key] !== undefined && labels[key] !== '');
  if (shown.length === 0) return seriesText(labels);
  if (shown.length === 1) return labels[shown[0] ?? ''] ?? '';
  const rest: Labels = {};
  for (const key of shown) rest[key] = labels[key] ?? '';
  return seriesText(rest);
}
