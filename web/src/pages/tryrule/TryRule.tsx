// A rule to be tried: its query's graph against its threshold, for whom it holds now, and what it would have done.
import { Anchor, Stack, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { lazy, Suspense, useEffect, useMemo, useState } from 'react';
import { Link } from 'react-router';

import { useInstant, useRules, vectorOf } from '../../api/hooks';
import { CopyButton, ErrorNote, Section } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { errorPlace } from '../../lib/promql';
import { draftRuleFault, ruleFileOf, ruleOf, type RuleDraft } from '../../lib/ruleText';
import { parseSample, plainNumber } from '../../lib/units';
import { exploreLink } from '../../lib/urlState';
import { LabelChips } from '../../list/LabelChips';
import { textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { ruleNamed } from '../alerts/alertData';
import { RuleGraph } from '../alerts/RuleGraph';
import { BacktestPart } from './BacktestPart';
import './tryrule.css';

const QueryEditor = lazy(() => import('../explore/QueryEditor'));

const FIELDS: Fields<RuleDraft> = {
  name: textField('name'),
  query: textField('q'),
  lasts: textField('for'),
  keeps: textField('keep'),
  labels: textField('labels'),
  summary: textField('summary'),
};

/** More are counted. */
const SHOWN_MAX = 10;

export default function TryRule() {
  const [draft, change] = useUrlFields(FIELDS);
  const [promql] = useState(() =>
    new PromQLExtension()
      .setComplete({ remote: { url: '', httpMethod: 'GET' }, maxMetricsMetadata: 50_000 })
      .activateLinter(false),
  );
  useEffect(() => () => promql.destroy(), [promql]);
  const rules = useRules(0);
  const [query] = useDebouncedValue(draft.query.trim(), 600);
  const old = useMemo(
    () => ruleNamed(rules.data?.groups ?? [], draft.name.trim())?.rule,
    [rules.data, draft.name],
  );
  const fault = draftRuleFault(draft);
  const rule = useMemo(() => ruleOf(draft, old), [draft, old]);
  const text = ruleFileOf(rule);
  return (
    <Stack gap="sm">
      <Section
        title="A rule to try"
        aside={
          <Anchor component={Link} to="/rules" size="sm">
            All rules
          </Anchor>
        }
      >
        <Stack gap={10}>
          <Suspense fallback={<div className="query-editor mono">{draft.query}</div>}>
            <QueryEditorField draft={draft} query={query} promql={promql} change={change} />
          </Suspense>
          <div className="try-fields">
            <Field
              label="Name"
              value={draft.name}
              onChange={(name) => change({ name })}
              placeholder="DiskFull"
            />
            <Field
              label="Must hold for"
              value={draft.lasts}
              onChange={(lasts) => change({ lasts })}
              placeholder="at once (5m)"
            />
            <Field
              label="Goes on for"
              value={draft.keeps}
              onChange={(keeps) => change({ keeps })}
              placeholder="not (10m)"
            />
            <Field
              label="Labels"
              value={draft.labels}
              onChange={(labels) => change({ labels })}
              placeholder="severity=page team=db"
            />
            <Field
              label="Summary"
              value={draft.summary}
              onChange={(summary) => change({ summary })}
              placeholder="{{ $labels.instance }} is full"
            />
          </div>
          {fault !== null && draft.query.trim() !== '' ? (
            <Text size="sm" c="dimmed" role="status">
              {fault}
            </Text>
          ) : null}
        </Stack>
      </Section>
      {query === '' ? (
        <Text size="sm" c="dimmed" px="md">
          Write what must not be, such as <code>up == 0</code>: its graph and threshold, whom it holds for
          now, and what it would have done in the past appear here. Nothing is stored, and nobody is told.
        </Text>
      ) : (
        <>
          <RuleGraph rule={{ ...rule, query }} labels={{}} />
          <HoldsNow query={query} />
          <BacktestPart rule={rule} old={old} fault={fault} />
          <Section
            title="As a rule file"
            aside={<CopyButton text={text} label="Copy the rule file" words="Copy" />}
          >
            <pre className="mono teach">{text}</pre>
          </Section>
        </>
      )}
    </Stack>
  );
}

function QueryEditorField({
  draft,
  query,
  promql,
  change,
}: {
  draft: RuleDraft;
  /** What was asked last. */
  query: string;
  promql: PromQLExtension;
  change: (part: Partial<RuleDraft>) => void;
}) {
  const { error } = useInstant(query, null, 0);
  const place = useMemo(
    () =>
      error?.kind === 'bad_request' && draft.query.trim() === query ? errorPlace(query, error.message) : null,
    [error, draft.query, query],
  );
  return (
    <QueryEditor
      value={draft.query}
      label="Query of the rule, PromQL"
      promql={promql}
      error={place}
      focusFirst={draft.query === ''}
      onChange={(text) => change({ query: text })}
      onRun={(text) => change({ query: text })}
    />
  );
}

function Field({
  label,
  value,
  placeholder,
  onChange,
}: {
  label: string;
  value: string;
  placeholder: string;
  onChange: (value: string) => void;
}) {
  // The URL follows a moment later than what is typed.
  const [typed, setTyped] = useState(value);
  return (
    <TextInput
      size="xs"
      label={label}
      placeholder={placeholder}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        onChange(event.currentTarget.value);
      }}
    />
  );
}

function HoldsNow({ query }: { query: string }) {
  const { refreshMs } = useTime();
  const { data, error, refetch } = useInstant(query, null, refreshMs);
  const found = vectorOf(data);
  return (
    <Section
      title="Holds now"
      aside={
        <Anchor component={Link} to={exploreLink(query, { tab: 'table' })} size="sm">
          Explore
        </Anchor>
      }
    >
      {error ? (
        <ErrorNote title="It could not be asked for" error={error} onRetry={() => void refetch()} />
      ) : data === undefined ? null : (
        <>
          <Text size="sm" c="dimmed" role="status">
            {found.length === 0
              ? 'For nothing: it would be quiet.'
              : `For ${found.length.toLocaleString('en-US')} ${found.length === 1 ? 'series' : 'series, an alert each'}.`}
          </Text>
          <ul className="try-now" aria-label="Series for which it holds">
            {found.slice(0, SHOWN_MAX).map((one, i) => (
              <li key={i}>
                <LabelChips labels={one.metric} without={['__name__']} most={8} />
                <span className="num">{one.value ? plainNumber(parseSample(one.value[1])) : ''}</span>
              </li>
            ))}
          </ul>
          {found.length > SHOWN_MAX ? (
            <Text
              size="xs"
              c="dimmed"
            >{`and ${(found.length - SHOWN_MAX).toLocaleString('en-US')} more`}</Text>
          ) : null}
        </>
      )}
    </Section>
  );
}
