// Times as Go writes them into JSON: RFC 3339, and a zero time for never.

/** Milliseconds; `null` for never, or for nonsense. */
export function goTimeMs(text: string | undefined): number | null {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) || ms <= 0 ? null : ms;
}
