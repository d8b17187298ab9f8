// Keyboard: single keys, and `g` followed by a page's letter. Silent while somebody types.
import { useEffect, useRef } from 'react';

export type KeyActions = Record<string, () => void>;

/** How long after `g` the second key counts. */
const SEQUENCE_MS = 1_200;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName);
}

export function useKeys(actions: KeyActions): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    let prefixAt = -Infinity;
    const onKey = (event: KeyboardEvent) => {
      const ctrlK = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k';
      if (ctrlK) {
        event.preventDefault();
        latest.current['ctrl+k']?.();
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      // A dialog that is open has the keyboard.
      if (document.querySelector('[role="dialog"]') !== null) return;
      const sequence = performance.now() - prefixAt < SEQUENCE_MS ? `g ${event.key}` : event.key;
      prefixAt = -Infinity;
      const action = latest.current[sequence];
      if (action) {
        event.preventDefault();
        action();
      } else if (event.key === 'g') prefixAt = performance.now();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
}
