// The routing tree, the way an alert takes through it, and notifications that nobody got: Kymo's own.
import { useQuery } from '@tanstack/react-query';

import type { Labels } from '../lib/labels';
import type { ApiMatcher } from '../lib/matchers';
import { ask, send, type ApiError } from './client';
import type { Loaded } from './hooks';

/** A node of the tree; what the file leaves open is filled in. Spans are seconds. */
export interface RouteNode {
  id: number;
  matchers: ApiMatcher[];
  receiver: string;
  /** `null`: by all labels. */
  groupBy: string[] | null;
  groupWait: number;
  groupInterval: number;
  repeatInterval: number;
  muteTimeIntervals: string[];
  activeTimeIntervals: string[];
  continue: boolean;
  routes: RouteNode[];
}

export interface RoutingTree {
  route: RouteNode;
  receivers: { name: string; integrations: string[] }[];
}

export interface FailedNotification {
  time: string;
  receiver: string;
  integration: string;
  groupKey: string;
  alerts: number;
  attempts: number;
  error: string;
}

/** Where an alert ends: receivers and nodes at the same places. */
export interface Way {
  receivers: string[];
  routes: number[];
}

function useOwn<T>(path: string, refreshMs: number): Loaded<T> {
  return useQuery<T, ApiError>({
    queryKey: ['notifier', path],
    queryFn: async ({ signal }) => (await ask<T>(path, {}, signal)).data,
    refetchInterval: refreshMs > 0 ? refreshMs : false,
  });
}

export const useRoutingTree = (refreshMs: number) => useOwn<RoutingTree>('/notifications/routes', refreshMs);
export const useFailedNotifications = (refreshMs: number) =>
  useOwn<FailedNotification[]>('/notifications/failed', refreshMs);

/** The way of an alert with these labels; nothing is asked for `null`. */
export function useWay(labels: Labels | null): Loaded<Way> {
  return useQuery<Way, ApiError>({
    queryKey: ['notifier', 'way', labels],
    queryFn: ({ signal }) => send<Way>('POST', '/notifications/route', labels, signal),
    enabled: labels !== null,
  });
}
