// One alert: what is wrong, since when, who is told or why not, and everything that happened to it.
import { Anchor, Button, Stack, Text } from '@mantine/core';
import { useMemo, type ReactNode } from 'react';
import { Link, useParams } from 'react-router';

import { useNotifiedAlerts, type NotifiedAlert } from '../../api/alertmanager';
import { useAcks, useTakeBackAck, useTimeline, type Ack } from '../../api/alerts';
import { useKept, useRules } from '../../api/hooks';
import { Answered } from '../../app/Answered';
import { CopyButton, ErrorNote, Section, StateDot, When } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import type { RuleGroups } from '../../api/types';
import { goTimeMs } from '../../lib/goTime';
import type { Labels } from '../../lib/labels';
import { LabelChips } from '../../list/LabelChips';
import { findAlert, readAlerts, ruleNamed, type AlertItem } from './alertData';
import { AlertActions, Details } from './AlertRow';
import { RuleGraph } from './RuleGraph';
import { Timeline } from './Timeline';
import { WhyForm } from './WhyForm';
import './alerts.css';

export default function AlertDetail() {
  const { refreshMs } = useTime();
  const rules = useRules(refreshMs);
  const notified = useNotifiedAlerts(refreshMs);
  return (
    <Answered loaded={rules} what="alerts">
      {(data) => (
        <>
          {notified.error ? (
            <ErrorNote
              title="What is silenced and who is told could not be asked for"
              error={notified.error}
              onRetry={() => void notified.refetch()}
            />
          ) : null}
          <Shown data={data} notified={notified.data ?? null} waiting={notified.isPending} />
        </>
      )}
    </Answered>
  );
}

function Shown({
  data,
  notified,
  waiting,
}: {
  data: RuleGroups;
  notified: NotifiedAlert[] | null;
  waiting: boolean;
}) {
  const { fingerprint: name = '' } = useParams();
  const { refreshMs } = useTime();
  const timeline = useTimeline(name, refreshMs);
  const acks = useAcks(refreshMs);
  const past = useKept(timeline).data ?? null;
  const all = useMemo(() => readAlerts(data.groups, notified), [data, notified]);
  const item = useMemo(() => findAlert(all, name), [all, name]);
  const labels = item?.labels ?? past?.labels;
  const known = labels !== undefined && Object.keys(labels).length > 0;
  if (!known) return waiting || timeline.isPending ? null : <Nothing name={name} />;
  const rule = item === undefined ? ruleNamed(data.groups, labels['alertname']) : item.rule;
  return (
    <Stack gap="sm">
      <Head
        labels={labels}
        item={item}
        actions={
          notified !== null && item !== undefined ? (
            <AlertActions item={item} withAck={acks.data !== undefined && acks.data !== null} />
          ) : null
        }
      />
      <AckNote ack={acks.data?.acks.find((one) => one.fingerprint === name)} />
      {rule ? <RuleGraph rule={rule.rule} labels={labels} /> : null}
      <div className="alert-columns">
        <Timeline loaded={timeline} />
        {item ? (
          <Section title="About it">
            <Details item={item} />
          </Section>
        ) : null}
      </div>
      {past ? <WhyForm key={name} labels={labels} /> : null}
    </Stack>
  );
}

const DOTS = { firing: 'bad', pending: 'warn', silenced: 'none', inhibited: 'none', muted: 'none' } as const;

function Head({
  labels,
  item,
  actions,
}: {
  labels: Labels;
  item: AlertItem | undefined;
  actions: ReactNode;
}) {
  const annotations = item?.annotations ?? {};
  const told = annotations['summary'] ?? annotations['description'];
  return (
    <section className="panel section" aria-label="The alert">
      <div className="alert-head">
        <StateDot state={item ? DOTS[item.state] : 'ok'} />
        <h2>{labels['alertname'] ?? 'no name'}</h2>
        <Text size="sm" span className="tabular">
          {item ? (
            <>
              <strong>{item.state}</strong>
              {item.sinceMs === null ? null : (
                <>
                  {', since '}
                  <When ms={item.sinceMs} relative />
                </>
              )}
            </>
          ) : (
            <strong>over</strong>
          )}
        </Text>
        <span className="alert-actions">
          {actions}
          <CopyButton text={window.location.href} label="Copy a link to this alert" />
        </span>
      </div>
      {told === undefined ? null : <p className="alert-told">{told}</p>}
      <LabelChips labels={labels} without={['alertname']} most={30} />
      <Links annotations={annotations} />
    </section>
  );
}

/** Runbooks and dashboards as buttons: they are what one needs at night. */
function Links({ annotations }: { annotations: Labels }) {
  const links = Object.entries(annotations).filter(([, text]) => /^https?:\/\/\S+$/.test(text));
  if (links.length === 0) return null;
  return (
    <div className="alert-links">
      {links.map(([name, url]) => (
        <Button
          key={name}
          component="a"
          href={url}
          target="_blank"
          rel="noreferrer"
          size="compact-sm"
          variant="light"
        >
          {linkWords(name)}
        </Button>
      ))}
    </div>
  );
}

/** `runbook_url` reads Runbook. */
function linkWords(name: string): string {
  const words = name
    .replace(/_?(url|link)$/i, '')
    .replace(/_/g, ' ')
    .trim();
  return words === '' ? name : words.charAt(0).toUpperCase() + words.slice(1);
}

function AckNote({ ack }: { ack: Ack | undefined }) {
  const takeBack = useTakeBackAck(ack?.fingerprint ?? '');
  if (ack === undefined) return null;
  const untilMs = goTimeMs(ack.expiresAt);
  return (
    <div className="note" role="status">
      <div className="note-words">
        <strong>{ack.owner}</strong> takes care of it
        {untilMs === null ? null : (
          <>
            {' until '}
            <When ms={untilMs} />
          </>
        )}
        {ack.comment === '' ? '.' : `: ${ack.comment}`}
        {takeBack.error ? <ErrorNote title="It could not be taken back" error={takeBack.error} /> : null}
      </div>
      <Button
        size="compact-xs"
        variant="default"
        loading={takeBack.isPending}
        onClick={() => takeBack.mutate(null)}
      >
        No longer
      </Button>
    </div>
  );
}

function Nothing({ name }: { name: string }) {
  return (
    <div className="panel banner" role="status">
      <Text fw={600}>Nothing is known of this alert</Text>
      <Text size="sm" c="dimmed" className="wrap-anywhere">
        {`No alert named ${name} is pending or firing, and nothing is written down about one. `}
        <Anchor component={Link} to="/alerts" inherit>
          All alerts
        </Anchor>
      </Text>
    </div>
  );
}
