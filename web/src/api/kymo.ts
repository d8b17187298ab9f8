// `/api/v1/status/kymo`: what only Kymo tells about itself. Read leniently: a field that is missing is not shown.
import { useQuery } from '@tanstack/react-query';

import { ask, ApiError } from './client';
import type { Loaded } from './hooks';

export interface MemoryUse {
  consumer: string;
  usedBytes: number;
  peakBytes: number | null;
  limitBytes: number | null;
}

export interface KymoStatus {
  uptimeMs: number | null;
  memory: MemoryUse[];
  storage: Record<string, number>;
}
export function readKymoStatus(value: unknown): KymoStatus {
  const root = asRecord(value);
  const memory = Array.isArray(root['memory']) ? root['memory'] : [];
  const storage: Record<string, number> = {};
  for (const [key, field] of Object.entries(asRecord(root['storage']))) {
    if (typeof field === 'number') storage[key] = field;
  }
  const uptime = numberOf(root, 'uptimeMs');
  const uptimeSeconds = numberOf(root, 'uptimeSeconds');
  return {
    uptimeMs: uptime ?? (uptimeSeconds === null ? null : uptimeSeconds * 1_000),
    memory: memory.map(asRecord).flatMap((entry) => {
      const used = numberOf(entry, 'usedBytes');
      if (used === null || typeof entry['consumer'] !== 'string') return [];
      return [
        {
          consumer: entry['consumer'],
          usedBytes: used,
          peakBytes: numberOf(entry, 'peakBytes'),
          limitBytes: numberOf(entry, 'limitBytes'),
        },
      ];
    }),
    storage,
  };
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function numberOf(record: Record<string, unknown>, key: string): number | null {
  const value = record[key];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** `null` where the server is not Kymo (the address is unknown to it). */
export function useKymoStatus(refreshMs: number): Loaded<KymoStatus | null> {
  return useQuery<KymoStatus | null, ApiError>({
    queryKey: ['status', 'kymo'],
    queryFn: async ({ signal }) => {
      try {
        return readKymoStatus((await ask<unknown>('/status/kymo', {}, signal)).data);
      } catch (error) {
        if (error instanceof ApiError && error.kind === 'missing') return null;
        throw error;
      }
    },
    refetchInterval: refreshMs > 0 ? refreshMs : false,
  });
}
