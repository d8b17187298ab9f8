// Who is told, in which ways, and what did not reach them.
import { Text } from '@mantine/core';
import { useMemo } from 'react';

import type { Loaded } from '../../api/hooks';
import type { FailedNotification, RoutingTree } from '../../api/routing';
import { ErrorNote, Section, StateDot, When } from '../../app/parts';
import { goTimeMs } from '../../lib/goTime';
import { receiverHealth, type ReceiverHealth } from './tree';

/** More failures than these are in the API's list. */
const FAILURES_SHOWN = 20;

export function Receivers({ tree, failed }: { tree: RoutingTree; failed: Loaded<FailedNotification[]> }) {
  const failures = useMemo(() => failed.data ?? [], [failed.data]);
  const health = useMemo(() => receiverHealth(tree, failures), [tree, failures]);
  return (
    <>
      <Section title="Receivers">
        {failed.error ? (
          <ErrorNote
            title="What could not be delivered could not be asked for"
            error={failed.error}
            onRetry={() => void failed.refetch()}
          />
        ) : null}
        <ul className="plain-list" aria-label="Receivers">
          {health.map((one) => (
            <li key={one.name} className="receiver-line">
              <span className="row-state">
                <StateDot state={one.failedCount > 0 ? 'bad' : one.integrations.length > 0 ? 'ok' : 'none'} />
                <strong className="wrap-anywhere">{one.name}</strong>
              </span>
              <Text size="sm" c="dimmed">
                {waysWords(one)}
              </Text>
              <span className="wrap-anywhere">{one.last ? <LastFailure health={one} /> : null}</span>
            </li>
          ))}
        </ul>
      </Section>
      {failures.length > 0 ? (
        <Section title="Not delivered">
          <ul className="plain-list" aria-label="Notifications that were given up">
            {failures.slice(0, FAILURES_SHOWN).map((one, i) => (
              <li key={`${one.time}|${one.receiver}|${i}`} className="failure-line">
                <span className="num">
                  <FailedAt time={one.time} />
                </span>
                <span className="wrap-anywhere">
                  <strong>{one.receiver}</strong>
                  {` by ${one.integration}, of ${one.alerts} ${one.alerts === 1 ? 'alert' : 'alerts'}, tried ${
                    one.attempts === 1 ? 'once' : `${one.attempts} times`
                  }: `}
                  <span className="trouble">{one.error}</span>
                </span>
              </li>
            ))}
          </ul>
          {failures.length > FAILURES_SHOWN ? (
            <Text size="xs" c="dimmed" mt={6}>
              {`${(failures.length - FAILURES_SHOWN).toLocaleString('en-US')} older ones are not shown.`}
            </Text>
          ) : null}
        </Section>
      ) : null}
    </>
  );
}

function waysWords({ integrations, routeCount }: ReceiverHealth): string {
  const ways = integrations.length === 0 ? 'tells nobody' : integrations.join(', ');
  const routes =
    routeCount === 0 ? 'no route leads to it' : `${routeCount} ${routeCount === 1 ? 'route' : 'routes'}`;
  return `${ways} · ${routes}`;
}

function LastFailure({ health: { failedCount, last } }: { health: ReceiverHealth }) {
  return (
    <>
      {`${failedCount.toLocaleString('en-US')} not delivered, the last `}
      {last?.atMs ? <When ms={last.atMs} relative /> : null}
    </>
  );
}

function FailedAt({ time }: { time: string }) {
  const ms = goTimeMs(time);
  return ms === null ? '–' : <When ms={ms} relative />;
}
