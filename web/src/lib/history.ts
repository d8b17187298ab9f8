// Queries this browser ran, and those it was told to keep. Local: nobody else's business.

export interface HistoryEntry {
  query: string;
  /** When it last ran, Unix milliseconds. */
  atMs: number;
}

export interface Memory {
  recent: HistoryEntry[];
  favourites: string[];
}

export const RECENT_MAX = 100;
export const FAVOURITES_MAX = 200;
const EMPTY: Memory = { recent: [], favourites: [] };

/** The newest first, each query once. */
export function remember(memory: Memory, query: string, atMs: number): Memory {
  const trimmed = query.trim();
  if (trimmed === '') return memory;
  const recent = [{ query: trimmed, atMs }, ...memory.recent.filter((e) => e.query !== trimmed)];
  return { ...memory, recent: recent.slice(0, RECENT_MAX) };
}

export function toggleFavourite(memory: Memory, query: string): Memory {
  const trimmed = query.trim();
  if (trimmed === '') return memory;
  const favourites = memory.favourites.includes(trimmed)
    ? memory.favourites.filter((q) => q !== trimmed)
    : [trimmed, ...memory.favourites].slice(0, FAVOURITES_MAX);
  return { ...memory, favourites };
}

/** Whatever is stored, possibly by another version or by hand: what can be read of it. */
export function readMemory(text: string | null): Memory {
  if (text === null) return EMPTY;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return EMPTY;
    const { recent, favourites } = value as Record<string, unknown>;
    return {
      recent: Array.isArray(recent) ? recent.filter(isEntry).slice(0, RECENT_MAX) : [],
      favourites: Array.isArray(favourites)
        ? favourites.filter((q): q is string => typeof q === 'string').slice(0, FAVOURITES_MAX)
        : [],
    };
  } catch {
    return EMPTY;
  }
}

function isEntry(value: unknown): value is HistoryEntry {
  if (typeof value !== 'object' || value === null) return false;
  const entry = value as Record<string, unknown>;
  return typeof entry['query'] === 'string' && typeof entry['atMs'] === 'number';
}
