// Filtering by text: every word must occur in what a row is called, carries or complains of.
import type { Labels } from '../lib/labels';

/** The words of a filter, in lower case. */
export function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** Whether all words (lower case) occur somewhere in the parts. */
export function matchesText(words: readonly string[], parts: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = parts.join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Labels as people write them, with quotes and without. */
export function textOfLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value}" ${name}=${value}`)
    .join(' ');
}
