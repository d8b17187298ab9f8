// Explore: one or several PromQL queries, as graph, table, or the server's own words.
import { Button, Group, Select, Stack, Switch, Tabs } from '@mantine/core';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { useEffect, useMemo, useState } from 'react';
import { Navigate, useSearchParams } from 'react-router';

import { useMetadata } from '../../api/hooks';
import { IconPlus } from '../../app/icons';
import { CopyButton } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { useUrlParams } from '../../app/useUrlParams';
import { asCurl } from '../../lib/promql';
import { chooseStep, limitStep } from '../../lib/step';
import { formatDuration, parseDuration, resolveRange, spanOf } from '../../lib/time';
import {
  exploreFromParams,
  exploreToParams,
  fromPrometheusLink,
  QUERIES_MAX,
  type ExploreState,
  type ExploreTab,
} from '../../lib/urlState';
import { Examples } from './Examples';
import { HistoryMenu } from './HistoryMenu';
import { PlanTree } from './PlanTree';
import { QueryRow } from './QueryRow';
import { RawJson } from './RawJson';
import { ResultGraphs } from './ResultGraphs';
import { ResultTable } from './ResultTable';
import { useInstantQueries, useRangeQueries, useTracedQueries } from '../../api/asked';
import { useMemory } from './useMemory';
import './explore.css';

const STEPS = ['1s', '5s', '15s', '30s', '1m', '5m', '15m', '1h', '6h', '1d'];
const LETTERS = 'ABCDEFGHIJKLMNOPQRST';

function useExploreState(): [ExploreState, (change: Partial<ExploreState>, replace?: boolean) => void] {
  const [params, setParams] = useUrlParams();
  const state = useMemo(() => exploreFromParams(params), [params]);
  const change = (part: Partial<ExploreState>, replace = false) =>
    setParams((old) => exploreToParams({ ...exploreFromParams(old), ...part }, old), { replace });
  return [state, change];
}

export default function Explore() {
  const [params] = useSearchParams();
  // Links as Prometheus writes them, which alerts and bookmarks carry.
  if (params.has('g0.expr'))
    return <Navigate to={`/explore?${fromPrometheusLink(params).toString()}`} replace />;
  return <Questions />;
}

function Questions() {
  const [state, change] = useExploreState();
  const { range, refreshMs, refreshNow } = useTime();
  const { memory, ran, toggle, forget } = useMemory();
  const metadata = useMetadata();
  const [promql] = useState(() =>
    new PromQLExtension()
      .setComplete({ remote: { url: '', httpMethod: 'GET' }, maxMetricsMetadata: 50_000 })
      .activateLinter(false),
  );
  useEffect(() => () => promql.destroy(), [promql]);

  // What is being written, until it is run. Going back in history brings the texts of then.
  const asked = JSON.stringify(state.queries);
  const [drafts, setDrafts] = useState({ asked, texts: state.queries });
  if (drafts.asked !== asked) setDrafts({ asked, texts: state.queries });
  // Going back before the last run was even shown changes nothing that is rendered, but the draft must go.
  useEffect(() => {
    const onPop = () => {
      const { queries } = exploreFromParams(new URLSearchParams(window.location.search));
      setDrafts({ asked: JSON.stringify(queries), texts: queries });
    };
    window.addEventListener('popstate', onPop);
    return () => window.removeEventListener('popstate', onPop);
  }, []);
  const texts = drafts.texts;
  const write = (i: number, text: string) =>
    setDrafts((old) => ({ ...old, texts: old.texts.map((t, k) => (k === i ? text : t)) }));

  const run = (next: string[]) => {
    for (const text of next) ran(text);
    if (JSON.stringify(next) === asked) refreshNow();
    else change({ queries: next });
  };

  const spanMs = spanOf(range);
  const [widthPx] = useState(() => Math.min(window.innerWidth, 1_600));
  const autoStepMs = chooseStep(spanMs, widthPx);
  const stepMs = state.stepMs > 0 ? limitStep(state.stepMs, spanMs) : autoStepMs;
  const graphs = useRangeQueries(state.queries, range, stepMs, refreshMs, state.tab === 'graph');
  const tables = useInstantQueries(
    state.queries,
    range,
    refreshMs,
    state.tab === 'table' || state.tab === 'json',
  );
  const plans = useTracedQueries(state.queries, range, stepMs, state.tab === 'plan');
  const shown = { graph: graphs, table: tables, json: tables, plan: plans }[state.tab];
  const anything = state.queries.some((query) => query.trim() !== '');

  const curl = (query: string) => {
    const { startMs, endMs } = resolveRange(range, Date.now());
    return state.tab === 'graph' || state.tab === 'plan'
      ? asCurl(window.location.origin, '/api/v1/query_range', {
          query,
          start: String(startMs / 1_000),
          end: String(endMs / 1_000),
          step: formatDuration(stepMs),
        })
      : asCurl(window.location.origin, '/api/v1/query', { query, time: String(endMs / 1_000) });
  };
  const typeOf = (metric: string) => metadata.data?.[metric]?.[0]?.type;
  const steps = [
    { value: 'auto', label: `auto (${formatDuration(autoStepMs)})` },
    ...STEPS.map((step) => ({ value: step, label: step })),
  ];
  if (state.stepMs > 0 && !STEPS.includes(formatDuration(state.stepMs))) {
    steps.push({ value: formatDuration(state.stepMs), label: formatDuration(state.stepMs) });
  }

  return (
    <Stack gap="sm">
      <div className="panel queries">
        {texts.map((text, i) => (
          <QueryRow
            key={i}
            letter={LETTERS[i] ?? '?'}
            text={text}
            asked={state.queries[i] ?? ''}
            result={shown[i]}
            promql={promql}
            typeOf={typeOf}
            curl={curl}
            favourite={memory.favourites.includes(text.trim())}
            onFavourite={() => toggle(text)}
            onWrite={(next) => write(i, next)}
            onRun={(own) => run(texts.map((t, k) => (k === i ? own : t)))}
            focusFirst={i === 0 && text === ''}
            {...(texts.length > 1 ? { onRemove: () => run(texts.filter((_, k) => k !== i)) } : {})}
          />
        ))}
        <Group justify="space-between" gap="xs">
          <Group gap="xs">
            <Button size="xs" onClick={() => run(texts)}>
              Run
            </Button>
            <Button
              size="xs"
              variant="default"
              leftSection={<IconPlus size={14} />}
              disabled={texts.length >= QUERIES_MAX}
              onClick={() => change({ queries: [...texts, ''] }, true)}
            >
              Add a query
            </Button>
            <HistoryMenu
              memory={memory}
              onChoose={(query) => run([...texts.slice(0, -1), query])}
              onToggle={toggle}
              onForget={forget}
            />
          </Group>
          <CopyButton
            text={() => window.location.href}
            label="Copy a link to what you see"
            words="Copy link"
          />
        </Group>
      </div>
      {anything ? (
        <Tabs
          value={state.tab}
          onChange={(tab) => change({ tab: (tab ?? 'graph') as ExploreTab })}
          keepMounted={false}
          className="panel results"
        >
          <Group justify="space-between" gap="xs" className="results-bar">
            <Tabs.List>
              <Tabs.Tab value="graph">Graph</Tabs.Tab>
              <Tabs.Tab value="table">Table</Tabs.Tab>
              <Tabs.Tab value="json">JSON</Tabs.Tab>
              <Tabs.Tab value="plan">Plan</Tabs.Tab>
            </Tabs.List>
            {state.tab === 'graph' ? (
              <Group gap="md">
                <Switch
                  size="xs"
                  label="Stacked"
                  checked={state.stacked}
                  onChange={(event) => change({ stacked: event.currentTarget.checked }, true)}
                />
                <Select
                  size="xs"
                  w={130}
                  aria-label="Resolution: distance between points"
                  title={
                    stepMs === state.stepMs || state.stepMs === 0
                      ? 'Distance between points'
                      : `The server answers at most 11,000 points: every ${formatDuration(stepMs)}`
                  }
                  data={steps}
                  value={state.stepMs > 0 ? formatDuration(state.stepMs) : 'auto'}
                  onChange={(step) => change({ stepMs: parseDuration(step ?? '') ?? 0 }, true)}
                  allowDeselect={false}
                  comboboxProps={{ transitionProps: { duration: 0 } }}
                />
              </Group>
            ) : null}
          </Group>
          <Tabs.Panel value="graph">
            <ResultGraphs
              results={graphs}
              range={range}
              stacked={state.stacked}
              onQuery={(i, query) => run(texts.map((t, k) => (k === i ? query : t)))}
            />
          </Tabs.Panel>
          <Tabs.Panel value="table">
            <ResultTable
              results={tables}
              range={range}
              onQuery={(i, query) => run(texts.map((t, k) => (k === i ? query : t)))}
            />
          </Tabs.Panel>
          <Tabs.Panel value="json">
            <RawJson results={tables} />
          </Tabs.Panel>
          <Tabs.Panel value="plan">
            <PlanTree results={plans} />
          </Tabs.Panel>
        </Tabs>
      ) : (
        <Examples onChoose={(query) => run([query])} />
      )}
    </Stack>
  );
}
