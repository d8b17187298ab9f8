import { describe, expect, it } from 'vitest';

import { assignColors, ColorRegistry, contrast, PALETTE_SIZE, SERIES_DARK, SERIES_LIGHT } from './palette';

describe('series colours', () => {
  it('stand out from their surface (WCAG: 3:1 for graphics)', () => {
    for (const color of SERIES_LIGHT) expect(contrast(color, '#ffffff')).toBeGreaterThanOrEqual(3);
    for (const color of SERIES_DARK) expect(contrast(color, '#1b1f26')).toBeGreaterThanOrEqual(3);
    expect(SERIES_DARK).toHaveLength(PALETTE_SIZE);
  });

  it('measures contrast as WCAG does', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
    expect(contrast('#777777', '#ffffff')).toBeCloseTo(4.48, 2);
  });

  it('differ while there are enough of them', () => {
    const keys = Array.from({ length: PALETTE_SIZE }, (_, i) => `series ${i}`);
    expect(new Set(assignColors(keys, new Map()).values()).size).toBe(PALETTE_SIZE);
  });

  it('are used evenly beyond that', () => {
    const keys = Array.from({ length: PALETTE_SIZE * 5 }, (_, i) => `s${i}`);
    const uses = new Array<number>(PALETTE_SIZE).fill(0);
    for (const slot of assignColors(keys, new Map()).values()) uses[slot] = (uses[slot] ?? 0) + 1;
    expect(Math.max(...uses)).toBe(5);
    expect(Math.min(...uses)).toBe(5);
  });

  it('do not depend on the order of the answer', () => {
    const keys = ['a', 'b', 'c', 'd', 'e'];
    const forward = assignColors(keys, new Map());
    const backward = assignColors([...keys].reverse(), new Map());
    for (const key of keys) expect(backward.get(key)).toBe(forward.get(key));
  });

  it('stay with their series while others come and go', () => {
    const registry = new ColorRegistry();
    const first = new Map(registry.assign(['a', 'b', 'c']));
    registry.assign(['b']);
    const later = registry.assign(['z', 'c', 'b', 'a', 'y']);
    for (const key of ['a', 'b', 'c']) expect(later.get(key)).toBe(first.get(key));
  });
});
