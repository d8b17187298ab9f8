// The alerts of one rule, at most a handful; all of them are on the page Alerts.
import { Anchor } from '@mantine/core';
import { Link } from 'react-router';

import type { Alert, Rule } from '../../api/types';
import { StateDot, When } from '../../app/parts';
import { LabelChips } from '../../list/LabelChips';
import { fingerprint } from '../../lib/fingerprint';
import { goTimeMs } from '../../lib/goTime';
import { seriesKey } from '../../lib/labels';
import { parseSample, plainNumber } from '../../lib/units';

const SHOWN_MAX = 8;

/** The alerts of a rule, on their page. */
export function alertsLink(rule: Rule): string {
  return `/alerts?${new URLSearchParams({ find: `alertname="${rule.name}"` }).toString()}`;
}

export function ActiveAlerts({ rule, alerts }: { rule: Rule; alerts: readonly Alert[] }) {
  const more = alerts.length - SHOWN_MAX;
  return (
    <div>
      <ul className="rule-alerts" aria-label={`Alerts of ${rule.name}`}>
        {alerts.slice(0, SHOWN_MAX).map((alert) => {
          const sinceMs = goTimeMs(alert.activeAt);
          return (
            <li key={seriesKey(alert.labels)}>
              <span className="row-state">
                <StateDot state={alert.state === 'firing' ? 'bad' : 'warn'} />
                <Anchor component={Link} to={`/alerts/${fingerprint(alert.labels)}`} inherit>
                  {alert.state}
                </Anchor>
              </span>
              <LabelChips labels={alert.labels} without={['alertname', ...Object.keys(rule.labels ?? {})]} />
              <span className="num" title={`Value ${alert.value}`}>
                {plainNumber(parseSample(alert.value))}
              </span>
              <span className="num">{sinceMs === null ? '–' : <When ms={sinceMs} relative />}</span>
            </li>
          );
        })}
      </ul>
      <Anchor component={Link} size="sm" to={alertsLink(rule)}>
        {more > 0 ? `All ${alerts.length.toLocaleString('en-US')} on the page Alerts` : 'On the page Alerts'}
      </Anchor>
    </div>
  );
}
