// One rule: its state, what it asks, what it costs, and on wish everything else about it.
import { Anchor, Button, Text } from '@mantine/core';
import { Link } from 'react-router';

import { CopyButton, StateDot, When } from '../../app/parts';
import { LabelChips } from '../../list/LabelChips';
import { OpenButton } from '../../list/RowList';
import { formatDuration } from '../../lib/time';
import { formatValue } from '../../lib/units';
import { exploreLink } from '../../lib/urlState';
import { tryLink } from '../tryrule/tryLink';
import { Annotations } from '../alerts/Annotations';
import { ActiveAlerts, alertsLink } from './ActiveAlerts';
import type { RuleItem } from './ruleData';

const DOTS = { failing: 'bad', firing: 'bad', pending: 'warn', inactive: 'ok', recording: 'ok' } as const;

export function RuleRow({ item, open, onToggle }: { item: RuleItem; open: boolean; onToggle: () => void }) {
  const { rule, state, evaluatedMs } = item;
  const active = rule.alerts?.length ?? 0;
  return (
    <div className="list-row">
      <div className="rule-line">
        <OpenButton open={open} label={`Details of ${rule.name}`} onToggle={onToggle} />
        <span className="row-state">
          <StateDot state={evaluatedMs === null ? 'none' : DOTS[state]} />
          {evaluatedMs === null ? 'not yet' : state}
        </span>
        <span className="rule-name">
          <Anchor component={Link} to={exploreLink(rule.query)} inherit fw={600}>
            {rule.name}
          </Anchor>
          {active > 0 ? (
            <Anchor component={Link} to={alertsLink(rule)} inherit className="tabular">
              {`${active.toLocaleString('en-US')} ${active === 1 ? 'alert' : 'alerts'}`}
            </Anchor>
          ) : null}
          <LabelChips labels={rule.labels ?? {}} />
        </span>
        <span className="num rule-fact" title={costTitle(item)}>
          {evaluatedMs === null ? '–' : formatValue(rule.evaluationTime, 'seconds', 3)}
        </span>
        <span className="num rule-fact">
          {evaluatedMs === null ? '–' : <When ms={evaluatedMs} relative />}
        </span>
      </div>
      <code className="rule-query" title={rule.query}>
        {rule.query.replace(/\s+/g, ' ')}
      </code>
      {rule.lastError ? (
        <Text size="sm" className="rule-error wrap-anywhere" role="note">
          {rule.lastError}
        </Text>
      ) : null}
      {open ? <Details item={item} /> : null}
    </div>
  );
}

function costTitle({ rule, share, intervalMs }: RuleItem): string {
  return `Took ${formatValue(rule.evaluationTime, 'seconds', 3)}, ${formatValue(share * 100, 'percent', 2)} of its ${formatDuration(intervalMs)}`;
}

function healthWords({ rule, evaluatedMs }: RuleItem): string {
  if (evaluatedMs === null) return 'not evaluated yet';
  return rule.health === 'err' ? 'failed, evaluated ' : 'works, evaluated ';
}

function Details({ item }: { item: RuleItem }) {
  const { rule } = item;
  return (
    <div className="rule-details">
      <div className="rule-source">
        <pre className="mono teach">{rule.query}</pre>
        {rule.type === 'alerting' ? (
          <Button component={Link} to={tryLink(rule)} size="compact-xs" variant="default">
            Try a change
          </Button>
        ) : null}
        <CopyButton text={rule.query} label={`Copy the query of ${rule.name}`} words="Copy" />
      </div>
      <dl className="fact-list">
        {rule.type === 'alerting' ? (
          <>
            <dt>Fires</dt>
            <dd>
              {rule.duration ? `after ${formatDuration(rule.duration * 1_000)}` : 'at once'}
              {rule.keepFiringFor ? `, and for ${formatDuration(rule.keepFiringFor * 1_000)} more` : ''}
            </dd>
          </>
        ) : null}
        <dt>Health</dt>
        <dd>
          {healthWords(item)}
          {item.evaluatedMs === null ? null : <When ms={item.evaluatedMs} relative />}
        </dd>
        <dt>Cost</dt>
        <dd>{costTitle(item)}</dd>
        <Annotations annotations={rule.annotations ?? {}} />
      </dl>
      {rule.alerts && rule.alerts.length > 0 ? <ActiveAlerts rule={rule} alerts={rule.alerts} /> : null}
    </div>
  );
}
