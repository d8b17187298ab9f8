// Which resolution a graph asks for: fine enough for its pixels, coarse enough for the server.

/** Prometheus refuses more points a series than this. */
export const POINTS_MAX = 11_000;

const NICE_SECONDS = [
  1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
];

/** The smallest round step that gives a point about every two pixels. */
export function chooseStep(spanMs: number, widthPx: number): number {
  const points = Math.max(60, Math.min(2_000, Math.floor(widthPx / 2)));
  const wanted = spanMs / points / 1_000;
  const nice = NICE_SECONDS.find((s) => s >= wanted);
  return (nice ?? Math.ceil(wanted / 86_400) * 86_400) * 1_000;
}

/** A step somebody typed, made coarser where the server would refuse it. */
export function limitStep(stepMs: number, spanMs: number): number {
  const least = Math.ceil(spanMs / (POINTS_MAX - 1) / 1_000) * 1_000;
  return Math.max(stepMs, spanMs / stepMs > POINTS_MAX - 1 ? least : 0, 1);
}

/**
 * The grid a range is asked on. Refreshing must not move the points, or peaks flicker: the end is rounded down
 * to the step, but by at most a minute, or a month's graph would end an hour ago.
 */
export function alignInterval(
  startMs: number,
  endMs: number,
  stepMs: number,
): { startMs: number; endMs: number } {
  const grain = Math.min(stepMs, 60_000);
  const end = Math.floor(endMs / grain) * grain;
  const count = Math.max(1, Math.ceil((end - startMs) / stepMs));
  return { startMs: end - count * stepMs, endMs: end };
}

/** The window of a rate: four scrapes, or one step where that is wider, so that no sample is jumped over. */
export function rateWindow(scrapeIntervalMs: number, stepMs: number): number {
  return Math.max(4 * scrapeIntervalMs, stepMs, 20_000);
}
