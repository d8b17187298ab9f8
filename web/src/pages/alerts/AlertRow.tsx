// One alert: what it is, since when, and on wish what it says, why it is quiet, and who is told.
import { Anchor, Text } from '@mantine/core';
import { Fragment, useMemo, type ReactNode } from 'react';
import { Link } from 'react-router';

import { StateDot, When } from '../../app/parts';
import { LabelChips } from '../../list/LabelChips';
import { OpenButton } from '../../list/RowList';
import { formatDuration } from '../../lib/time';
import { parseSample, plainNumber } from '../../lib/units';
import { exploreLink } from '../../lib/urlState';
import { seriesText, type Labels } from '../../lib/labels';
import { labelsText, matchersOf } from '../../lib/matchers';
import { SilenceButton } from '../silences/SilenceButton';
import { silenceLink } from '../silences/silenceData';
import { AckButton } from './AckButton';
import { alertLink, type AlertItem } from './alertData';
import { Annotations } from './Annotations';

const DOTS = { firing: 'bad', pending: 'warn', silenced: 'none', inhibited: 'none', muted: 'none' } as const;
/** What the row says itself. */
const TOLD = ['summary', 'description'];

export function AlertRow({
  item,
  by,
  notified,
  owner,
  open,
  onToggle,
}: {
  item: AlertItem;
  /** The label in the heading, which need not be said again. */
  by: string;
  /** The server tells people about alerts, so that they can be silenced. */
  notified: boolean;
  /** Who takes care of it; empty: nobody; `null`: nobody can say so. */
  owner: string | null;
  open: boolean;
  onToggle: () => void;
}) {
  const { labels, annotations, state, sinceMs, value } = item;
  const name = labels['alertname'] ?? 'no name';
  const told = annotations['summary'] ?? annotations['description'];
  const severity = labels['severity'];
  return (
    <div className="list-row">
      <div className={notified ? 'alert-line acted' : 'alert-line'}>
        <OpenButton
          open={open}
          label={`Details of ${seriesText({ ...labels, __name__: name })}`}
          onToggle={onToggle}
        />
        <span className="row-state">
          <StateDot state={DOTS[state]} />
          {state}
        </span>
        <span className="alert-words">
          <span className="alert-name">
            {severity === undefined || by === 'severity' ? null : <strong>{severity}</strong>}
            <Anchor component={Link} to={alertLink(item)} inherit fw={by === 'alertname' ? undefined : 600}>
              {by === 'alertname' ? (told ?? name) : name}
            </Anchor>
            {by === 'alertname' || told === undefined ? null : <span>{told}</span>}
            {owner === null || owner === '' ? null : (
              <span className="quiet">{`${owner} takes care of it`}</span>
            )}
          </span>
          <LabelChips labels={labels} without={['alertname', 'severity', by]} />
        </span>
        <span className="num alert-fact" title={value === '' ? undefined : `Value ${value}`}>
          {value === '' ? '–' : plainNumber(parseSample(value))}
        </span>
        <span className="num alert-fact">{sinceMs === null ? '–' : <When ms={sinceMs} relative />}</span>
        {notified ? (
          <span className="alert-actions">
            <AlertActions item={item} withAck={owner !== null} />
          </span>
        ) : null}
      </div>
      {open ? <Details item={item} /> : null}
    </div>
  );
}

const routingLink = (labels: Labels) =>
  `/routing?${new URLSearchParams({ labels: labelsText(labels) }).toString()}`;

export function Details({ item }: { item: AlertItem }) {
  const { labels, annotations, rule, sinceMs, keptSinceMs, receivers, generatorUrl } = item;
  return (
    <dl className="fact-list alert-details">
      {sinceMs === null ? null : (
        <>
          <dt>Since</dt>
          <dd>
            <When ms={sinceMs} />
            {item.state === 'pending' && rule?.rule.duration
              ? `; fires if it holds for ${formatDuration(rule.rule.duration * 1_000)}`
              : ''}
          </dd>
        </>
      )}
      {keptSinceMs === null ? null : (
        <>
          <dt>Over since</dt>
          <dd>
            <When ms={keptSinceMs} />
            {`; goes on for ${formatDuration((rule?.rule.keepFiringFor ?? 0) * 1_000)}`}
          </dd>
        </>
      )}
      <Quiet item={item} />
      {receivers.length > 0 ? (
        <>
          <dt>Told to</dt>
          <dd>
            <Anchor component={Link} inherit to={routingLink(labels)}>
              {receivers.join(', ')}
            </Anchor>
          </dd>
        </>
      ) : null}
      <dt>Labels</dt>
      <dd>
        <code className="wrap-anywhere">{seriesText(labels)}</code>
      </dd>
      <Annotations annotations={annotations} without={TOLD.slice(0, 1)} />
      {rule === null ? (
        <>
          <dt>From</dt>
          <dd>
            another server
            {/^https?:\/\//.test(generatorUrl) ? (
              <>
                {': '}
                <Anchor
                  href={generatorUrl}
                  target="_blank"
                  rel="noreferrer"
                  inherit
                  className="wrap-anywhere"
                >
                  {generatorUrl}
                </Anchor>
              </>
            ) : null}
          </dd>
        </>
      ) : (
        <>
          <dt>Rule</dt>
          <dd>
            <Anchor
              component={Link}
              inherit
              to={`/rules?${new URLSearchParams({ find: `${rule.rule.name} ${rule.group.file};${rule.group.name}` }).toString()}`}
            >
              {rule.group.name}
            </Anchor>
            {': '}
            <Anchor component={Link} inherit to={exploreLink(rule.rule.query)}>
              <code className="wrap-anywhere">{rule.rule.query.replace(/\s+/g, ' ')}</code>
            </Anchor>
          </dd>
        </>
      )}
    </dl>
  );
}

/** What is done about an alert in two clicks; nothing where it is done. */
export function AlertActions({
  item,
  withAck,
}: {
  item: AlertItem;
  /** The server takes acknowledgements. */
  withAck: boolean;
}) {
  const { labels, state } = item;
  const matchers = useMemo(() => matchersOf(labels), [labels]);
  const of = seriesText({ ...labels, __name__: labels['alertname'] ?? 'no name' });
  return (
    <>
      {!withAck || state === 'pending' || item.fingerprint === '' ? null : (
        <AckButton fingerprint={item.fingerprint} of={of} />
      )}
      <SilenceButton matchers={matchers} of={of} />
    </>
  );
}

function Quiet({ item }: { item: AlertItem }) {
  const { silencedBy, inhibitedBy, mutedBy } = item;
  const rows: [string, ReactNode][] = [];
  if (silencedBy.length > 0)
    rows.push([
      'Silenced by',
      silencedBy.map((id, i) => (
        <Fragment key={id}>
          {i > 0 ? ', ' : ''}
          <Anchor component={Link} to={silenceLink(id)} inherit>
            {`silence ${id}`}
          </Anchor>
        </Fragment>
      )),
    ]);
  if (inhibitedBy.length > 0)
    rows.push([
      'Inhibited by',
      inhibitedBy.map((name, i) => (
        <Fragment key={name}>
          {i > 0 ? ', ' : ''}
          <Anchor component={Link} to={`/alerts/${name}`} inherit>
            {`alert ${name}`}
          </Anchor>
        </Fragment>
      )),
    ]);
  if (mutedBy.length > 0) rows.push(['Muted by', `time interval ${mutedBy.join(', ')}`]);
  return rows.map(([name, text]) => (
    <Text component="div" inherit key={name} className="fact-row">
      <dt>{name}</dt>
      <dd className="wrap-anywhere">{text}</dd>
    </Text>
  ));
}
