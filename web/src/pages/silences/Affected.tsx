// The alerts for which conditions hold now: what a silence keeps quiet, or would.
import { Anchor, Text } from '@mantine/core';
import { Link } from 'react-router';

import type { NotifiedAlert } from '../../api/alertmanager';
import { useMatchingAlerts } from '../../api/alertmanager';
import { ErrorNote } from '../../app/parts';
import { LabelChips } from '../../list/LabelChips';
import type { Matcher } from '../../lib/matchers';

/** More are counted. */
const SHOWN_MAX = 12;

export function Affected({ matchers, short = false }: { matchers: readonly Matcher[]; short?: boolean }) {
  const { data, error, isPending, refetch } = useMatchingAlerts(matchers, true);
  if (error)
    return (
      <ErrorNote title="The alerts could not be asked for" error={error} onRetry={() => void refetch()} />
    );
  if (isPending || data === null)
    return (
      <Text size="sm" c="dimmed">
        {isPending ? 'Asking which alerts…' : ''}
      </Text>
    );
  const words = affectedWords(data);
  if (short || data.length === 0)
    return (
      <Text size="sm" c="dimmed" role="status">
        {words}
      </Text>
    );
  return (
    <div>
      <Text size="sm" role="status">
        {words}
      </Text>
      <ul className="plain-list affected" aria-label="Alerts for which they hold">
        {data.slice(0, SHOWN_MAX).map((one) => (
          <li key={one.fingerprint}>
            <Anchor component={Link} to={`/alerts/${one.fingerprint}`} size="sm">
              {one.labels['alertname'] ?? 'no name'}
            </Anchor>{' '}
            <LabelChips labels={one.labels} without={['alertname']} />
          </li>
        ))}
      </ul>
      {data.length > SHOWN_MAX ? (
        <Text size="xs" c="dimmed">
          {`and ${(data.length - SHOWN_MAX).toLocaleString('en-US')} more`}
        </Text>
      ) : null}
    </div>
  );
}

function affectedWords(alerts: readonly NotifiedAlert[]): string {
  if (alerts.length === 0) return 'They hold for no alert that fires now.';
  return `They hold for ${alerts.length.toLocaleString('en-US')} ${
    alerts.length === 1 ? 'alert that fires' : 'alerts that fire'
  } now.`;
}
