import type { Target } from '../../api/types';

/**
 * Samples that scraping brings a second: what each job's last round brought, over its interval. Exact from the first
 * round on, where a rate would need several.
 */
export function samplesPerSecond(
  targets: readonly Pick<Target, 'labels' | 'scrapeInterval'>[],
  samplesByJob: ReadonlyMap<string, number>,
  parse: (text: string) => number | null,
): number {
  const intervals = new Map<string, number>();
  for (const target of targets) {
    const job = target.labels['job'] ?? '';
    const ms = parse(target.scrapeInterval);
    if (ms !== null && ms > 0) intervals.set(job, ms);
  }
  let total = 0;
  for (const [job, samples] of samplesByJob) total += samples / ((intervals.get(job) ?? 60_000) / 1_000);
  return total;
}
