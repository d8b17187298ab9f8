// Alerts: what is pending or firing, newest first. In the rail only where rules are evaluated.
import { Anchor, Skeleton, Stack, Text } from '@mantine/core';
import { Link } from 'react-router';

import { useAlerts, useKept, useRules } from '../../api/hooks';
import { useKymoStatus } from '../../api/kymo';
import type { Alert } from '../../api/types';
import { ErrorNote, StateDot, When } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { seriesKey } from '../../lib/labels';
import { exploreLink } from '../../lib/urlState';
import { sortAlerts } from './alertData';
import './alerts.css';

export default function Alerts() {
  const { refreshMs } = useTime();
  const loaded = useAlerts(refreshMs);
  const { data, stale, error } = useKept(loaded);
  const rules = useRules(refreshMs);
  const kymo = useKymoStatus(0);
  const alerting = rules.data?.groups
    .flatMap((group) => group.rules)
    .filter((rule) => rule.type === 'alerting');
  return (
    <Stack gap="sm">
      {error ? (
        <ErrorNote
          title="Alerts could not be asked for"
          error={error}
          kept={stale}
          onRetry={() => void loaded.refetch()}
        />
      ) : null}
      {data === undefined && error === null ? <Skeleton height={200} radius="sm" /> : null}
      {data && data.alerts.length > 0 ? (
        <div className={stale ? 'panel stale' : 'panel'} role="list" aria-label="Alerts">
          {sortAlerts(data.alerts).map((alert) => (
            <AlertRow
              key={seriesKey(alert.labels)}
              alert={alert}
              query={alerting?.find((rule) => rule.name === alert.labels['alertname'])?.query}
            />
          ))}
        </div>
      ) : null}
      {data?.alerts.length === 0 && alerting ? (
        <div className="panel banner" role="status">
          <Text fw={600}>Nothing is pending or firing</Text>
          <Text size="sm" c="dimmed">
            {alerting.length === 0
              ? `There are no alerting rules, so nothing ever would.${kymo.data === null ? ' Files named under rule_files in the configuration hold them.' : ''}`
              : `${alerting.length} alerting ${alerting.length === 1 ? 'rule is' : 'rules are'} evaluated.`}
          </Text>
        </div>
      ) : null}
    </Stack>
  );
}

function AlertRow({ alert, query }: { alert: Alert; query: string | undefined }) {
  const { alertname = 'no name', ...labels } = alert.labels;
  const summary = alert.annotations['summary'] ?? alert.annotations['description'];
  const since = alert.activeAt === undefined ? NaN : Date.parse(alert.activeAt);
  return (
    <div className="alert-row" role="listitem">
      <StateDot state={alert.state === 'firing' ? 'bad' : 'warn'} />
      <div className="alert-words">
        <div>
          {query === undefined ? (
            <strong>{alertname}</strong>
          ) : (
            <Anchor component={Link} to={exploreLink(query)} fw={600} size="md">
              {alertname}
            </Anchor>
          )}{' '}
          <span className="quiet">{alert.state}</span>
        </div>
        {summary === undefined ? null : <Text size="sm">{summary}</Text>}
        <Text size="xs" c="dimmed" className="mono wrap-anywhere">
          {Object.keys(labels)
            .sort()
            .map((name) => `${name}=${labels[name] ?? ''}`)
            .join('  ')}
        </Text>
      </div>
      <div className="num quiet">{Number.isNaN(since) ? null : <When ms={since} relative />}</div>
    </div>
  );
}
