// History and favourites in this browser's storage.
import { useCallback, useState } from 'react';

import { readMemory, remember, toggleFavourite, type Memory } from '../../lib/history';

const KEY = 'kymo-queries';

function load(): Memory {
  try {
    return readMemory(localStorage.getItem(KEY));
  } catch {
    return readMemory(null);
  }
}

function save(memory: Memory): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(memory));
  } catch {
    // Storage is full or forbidden: history lasts as long as the page.
  }
}

export function useMemory() {
  const [memory, setMemory] = useState(load);
  const change = useCallback((by: (old: Memory) => Memory) => {
    setMemory((old) => {
      const next = by(old);
      save(next);
      return next;
    });
  }, []);
  return {
    memory,
    ran: useCallback((query: string) => change((old) => remember(old, query, Date.now())), [change]),
    toggle: useCallback((query: string) => change((old) => toggleFavourite(old, query)), [change]),
    forget: useCallback(() => change((old) => ({ ...old, recent: [] })), [change]),
  };
}
