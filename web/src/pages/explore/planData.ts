// What a part of a plan says about itself, in words.
import type { PlanNode } from '../../api/types';
import { formatValue } from '../../lib/units';

/** Seconds that a part itself took, without those below it; null if nothing was measured. */
export function ownSeconds(node: PlanNode): number | null {
  const seconds = node.measured?.seconds ?? node.reading?.seconds;
  if (seconds === undefined) return null;
  const below = node.children.reduce((sum, child) => sum + (child.measured?.seconds ?? 0), 0);
  return Math.max(seconds - below, 0);
}

const count = (value: number, one: string, many = `${one}s`) =>
  `${value.toLocaleString('en-US')} ${value === 1 ? one : many}`;

/** What a part gave and read, a phrase each. */
export function planNotes(node: PlanNode): string[] {
  const notes: string[] = [];
  const { measured, reading, estimate } = node;
  if (node.fixed && node.operator !== 'number' && node.operator !== 'string') notes.push('evaluated once');
  if (node.shared) notes.push('shared by equal parts');
  if (measured) notes.push(count(measured.series, 'series', 'series'), count(measured.samples, 'sample'));
  if (reading) {
    notes.push(
      `read ${count(reading.series, 'series', 'series')}, ${count(reading.samples, 'sample')}, ${formatValue(reading.bytes, 'bytes', 3)}`,
    );
    if (reading.headSeries > 0) notes.push(`${reading.headSeries.toLocaleString('en-US')} in memory`);
    if (reading.blocks > 0) {
      notes.push(`${count(reading.blocks, 'block')}, ${count(reading.chunks, 'chunk')}`);
      notes.push(
        `${count(reading.framesCached, 'frame')} cached, ${reading.framesRead.toLocaleString('en-US')} from disk`,
      );
    }
  } else if (estimate) {
    notes.push(`about ${count(estimate.series, 'series', 'series')}, ${count(estimate.samples, 'sample')}`);
  }
  return notes;
}
