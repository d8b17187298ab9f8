// Shapes of the HTTP API, as Prometheus defines them, and of Kymo's own additions. Fields a server may lack are
// optional: the pages show what they get.
import type { Labels } from '../lib/labels';
import type { RawSeries } from '../lib/series';

export interface InstantSeries {
  metric: Labels;
  value?: [number, string];
  histogram?: [number, { count: string; sum: string; buckets?: [number, string, string, string][] }];
}

export type InstantResult =
  | { resultType: 'vector'; result: InstantSeries[] }
  | { resultType: 'matrix'; result: RawSeries[] }
  | { resultType: 'scalar'; result: [number, string] }
  | { resultType: 'string'; result: [number, string] };

export interface RangeResult {
  resultType: 'matrix';
  result: RawSeries[];
  /** What each part did, if `trace=1` was asked for; Kymo's own. */
  plan?: PlanNode;
  keptSteps?: number;
}

/** A part of a query's plan; Kymo's own. */
export interface PlanNode {
  operator: string;
  text: string;
  fixed: boolean;
  /** Equal parts stand elsewhere in the query; one is evaluated for all. */
  shared?: boolean;
  estimate?: { series: number; samples: number };
  measured?: { evaluations: number; series: number; samples: number; seconds: number };
  reading?: {
    seriesSelected: number;
    series: number;
    samples: number;
    bytes: number;
    seconds: number;
    headSeries: number;
    blocks: number;
    chunks: number;
    framesCached: number;
    framesRead: number;
  };
  children: PlanNode[];
}

export interface MetricMetadata {
  type: string;
  help: string;
  unit: string;
}

export interface Target {
  discoveredLabels: Labels;
  labels: Labels;
  scrapePool: string;
  scrapeUrl: string;
  globalUrl?: string;
  lastError: string;
  lastScrape: string;
  /** Seconds. */
  lastScrapeDuration: number;
  health: 'up' | 'down' | 'unknown';
  scrapeInterval: string;
  scrapeTimeout: string;
  /** Samples of new series that `series_limit` left out of the last scrape; Kymo's own. */
  seriesLimitExcess?: number;
}

/** A rule of `relabel_configs`; what is empty is left out. */
export interface RelabelRule {
  sourceLabels?: string[];
  separator?: string;
  regex?: string;
  modulus?: number;
  targetLabel?: string;
  replacement?: string;
  action?: string;
}

export interface DroppedTarget {
  discoveredLabels: Labels;
  scrapePool?: string;
  /** Which rule it was, from 0; Kymo's own. */
  droppedBy?: { index: number; rule: RelabelRule };
}

/** Discovered, and cannot be scraped; Kymo's own. */
export interface InvalidTarget {
  discoveredLabels: Labels;
  scrapePool: string;
  error: string;
}

export interface RelabelStep {
  rule: RelabelRule;
  /** Empty if the rule, or one before it, dropped the target. */
  output: Labels;
  keep: boolean;
}

export interface TargetsResult {
  activeTargets: Target[];
  droppedTargets: DroppedTarget[];
  droppedTargetCounts?: Record<string, number>;
  invalidTargets?: InvalidTarget[];
  /** What is wrong with discovery; targets found earlier stay. */
  discoveryFailures?: string[];
}

export interface BuildInfo {
  version: string;
  /** Kymo's own; a Prometheus has none. */
  kymoVersion?: string;
  revision: string;
  branch: string;
  buildUser: string;
  buildDate: string;
  goVersion: string;
}

export interface RuntimeInfo {
  startTime: string;
  CWD: string;
  hostname?: string;
  serverTime?: string;
  reloadConfigSuccess: boolean;
  lastConfigTime: string;
  corruptionCount: number;
  goroutineCount: number;
  GOMAXPROCS: number;
  GOMEMLIMIT?: number;
  storageRetention: string;
}

export interface NameValue {
  name: string;
  value: number;
}

export interface TsdbStatus {
  headStats: {
    numSeries: number;
    numLabelPairs?: number;
    chunkCount: number;
    minTime: number;
    maxTime: number;
  };
  seriesCountByMetricName: NameValue[];
  labelValueCountByLabelName: NameValue[];
  memoryInBytesByLabelName: NameValue[];
  seriesCountByLabelValuePair: NameValue[];
}

export interface WalReplay {
  min: number;
  max: number;
  current: number;
}

export interface Alert {
  labels: Labels;
  annotations: Labels;
  state: 'pending' | 'firing' | 'inactive';
  activeAt?: string;
  /** Its condition does not hold any more; it goes on for `keep_firing_for`. */
  keepFiringSince?: string;
  value: string;
}

export interface Rule {
  type: 'alerting' | 'recording';
  name: string;
  query: string;
  health: 'ok' | 'err' | 'unknown';
  lastError?: string;
  labels?: Labels;
  /** Seconds the last evaluation took. */
  evaluationTime: number;
  lastEvaluation: string;
  /** The rest is of alerting rules only. */
  state?: 'firing' | 'pending' | 'inactive' | 'unknown';
  /** Its `for`, in seconds. */
  duration?: number;
  keepFiringFor?: number;
  annotations?: Labels;
  alerts?: Alert[] | null;
}

export interface RuleGroup {
  name: string;
  file: string;
  rules: Rule[];
  /** Seconds. */
  interval: number;
  limit: number;
  evaluationTime: number;
  lastEvaluation: string;
}

export interface RuleGroups {
  groups: RuleGroup[];
}
