// Colours of series. Ten hues that people with any colour vision tell apart (after Okabe and Ito, and Tol),
// each tuned per theme to at least 3:1 against the surface. A series keeps its colour as long as the page lives,
// and two viewers of the same graph see the same colours.

export const SERIES_LIGHT = [
  '#0072b2',
  '#c8540a',
  '#00795c',
  '#a3468c',
  '#8a6d00',
  '#5a55c4',
  '#b3303c',
  '#2c7fa8',
  '#5f7a18',
  '#6b6f76',
] as const;

export const SERIES_DARK = [
  '#56b4e9',
  '#f08e4c',
  '#3cc9a0',
  '#e08cc8',
  '#e8cf4a',
  '#a39df5',
  '#f27983',
  '#8ed0d8',
  '#b4cf5e',
  '#b4b9c2',
] as const;

export const PALETTE_SIZE = SERIES_LIGHT.length;

/** FNV-1a: stable across sessions and machines, which is all that is asked of it. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    hash ^= text.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/**
 * Gives every series a palette slot. Series that had one keep it; new ones, in the order of their names, take the
 * slot their name hashes to, or the next that the fewest use.
 */
export function assignColors(
  keys: readonly string[],
  previous: ReadonlyMap<string, number>,
  slots: number = PALETTE_SIZE,
): Map<string, number> {
  const used = new Array<number>(slots).fill(0);
  const result = new Map<string, number>();
  for (const key of keys) {
    const slot = previous.get(key);
    if (slot !== undefined && slot < slots) {
      result.set(key, slot);
      used[slot] = (used[slot] ?? 0) + 1;
    }
  }
  const fresh = [...new Set(keys)].filter((key) => !result.has(key)).sort();
  for (const key of fresh) {
    const wish = hashText(key) % slots;
    const least = Math.min(...used);
    let slot = wish;
    for (let i = 0; i < slots; i += 1) {
      const candidate = (wish + i) % slots;
      if (used[candidate] === least) {
        slot = candidate;
        break;
      }
    }
    result.set(key, slot);
    used[slot] = (used[slot] ?? 0) + 1;
  }
  return result;
}

/** More remembered series than this are forgotten at once: a page that stays open for weeks must not grow. */
const REMEMBERED_MAX = 20_000;

/** Remembers the slots of every series a page has shown. */
export class ColorRegistry {
  private seen = new Map<string, number>();

  assign(keys: readonly string[]): Map<string, number> {
    if (this.seen.size > REMEMBERED_MAX) this.seen = new Map();
    const slots = assignColors(keys, this.seen);
    for (const [key, slot] of slots) this.seen.set(key, slot);
    return slots;
  }
}

/** WCAG contrast of two `#rrggbb` colours, 1 to 21. */
export function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function luminance(color: string): number {
  const channel = (from: number) => {
    const c = parseInt(color.slice(from, from + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}
