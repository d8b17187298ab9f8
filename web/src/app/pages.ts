// The pages, in the order of the rail.
import {
  IconAlerts,
  IconDiscovery,
  IconExplore,
  IconOverview,
  IconPush,
  IconRouting,
  IconRules,
  IconSilences,
  IconStatus,
  IconTargets,
} from './icons';

export interface PageEntry {
  path: string;
  name: string;
  /** What question it answers; shown in search. */
  about: string;
  icon: typeof IconOverview;
  /** Second key after `g`. */
  key: string;
  /** The page shows a time range. */
  ranged: boolean;
  /** Refreshes by itself at this pace unless the URL says otherwise. */
  refreshMs: number;
}

export const PAGES: readonly PageEntry[] = [
  {
    path: '/overview',
    name: 'Overview',
    about: 'What is watched here, and is it well',
    icon: IconOverview,
    key: 'o',
    ranged: true,
    refreshMs: 15_000,
  },
  {
    path: '/explore',
    name: 'Explore',
    about: 'Ask with PromQL',
    icon: IconExplore,
    key: 'e',
    ranged: true,
    refreshMs: 0,
  },
  {
    path: '/alerts',
    name: 'Alerts',
    about: 'What is pending or firing',
    icon: IconAlerts,
    key: 'a',
    ranged: false,
    refreshMs: 15_000,
  },
  {
    path: '/silences',
    name: 'Silences',
    about: 'What is kept quiet, by whom, until when',
    icon: IconSilences,
    key: 'i',
    ranged: false,
    refreshMs: 15_000,
  },
  {
    path: '/routing',
    name: 'Routing',
    about: 'Who is told about which alerts, and whether telling works',
    icon: IconRouting,
    key: 'n',
    ranged: false,
    refreshMs: 15_000,
  },
  {
    path: '/rules',
    name: 'Rules',
    about: 'What is computed and watched, whether it works, what it costs',
    icon: IconRules,
    key: 'r',
    ranged: false,
    refreshMs: 15_000,
  },
  {
    path: '/targets',
    name: 'Targets',
    about: 'Where samples come from, and why not',
    icon: IconTargets,
    key: 't',
    ranged: false,
    refreshMs: 15_000,
  },
  {
    path: '/discovery',
    name: 'Discovery',
    about: 'What was discovered, and what relabelling made of it',
    icon: IconDiscovery,
    key: 'd',
    ranged: false,
    refreshMs: 30_000,
  },
  {
    path: '/push',
    name: 'Push',
    about: 'Who sends samples here, and what was wrong with them',
    icon: IconPush,
    key: 'p',
    ranged: false,
    refreshMs: 15_000,
  },
  {
    path: '/status',
    name: 'Status',
    about: 'Build, configuration, storage, memory',
    icon: IconStatus,
    key: 's',
    ranged: false,
    refreshMs: 30_000,
  },
];

/** Whether a path shows a time range: an alert or a rule has a graph, their lists have none. */
export function isRanged(pathname: string): boolean {
  return (pageAt(pathname)?.ranged ?? false) || /^\/(alerts\/.|rules\/try)/.test(pathname);
}

export function pageAt(pathname: string): PageEntry | undefined {
  return PAGES.find((page) => pathname === page.path || pathname.startsWith(`${page.path}/`));
}
