// What happened to an alert and what was decided about it, as sentences.
import { Button, Text } from '@mantine/core';
import { useMemo, useState } from 'react';

import type { AlertTimeline } from '../../api/alerts';
import type { Loaded } from '../../api/hooks';
import { Answered } from '../../app/Answered';
import { Section, StateDot, When } from '../../app/parts';
import { localTime, utcTime } from '../../lib/time';
import { readTimeline, type TimelineRow } from './timelineData';

/** What happened last is what one came for. */
const SHOWN_MAX = 50;

export function Timeline({ loaded }: { loaded: Loaded<AlertTimeline | null> }) {
  return (
    <Section title="What happened">
      <Answered loaded={loaded} what="events">
        {(data) => <Events data={data} />}
      </Answered>
    </Section>
  );
}

function Events({ data }: { data: AlertTimeline | null }) {
  const [all, setAll] = useState(false);
  const events = data?.events;
  const days = useMemo(
    () => readTimeline(events ? (all ? events : events.slice(-SHOWN_MAX)) : []),
    [events, all],
  );
  if (!events || events.length === 0)
    return (
      <Text size="sm" c="dimmed">
        Nothing is written down about this alert.
      </Text>
    );
  return (
    <div className="timeline">
      {days.map(({ day, rows }) => (
        <section key={day} aria-label={day}>
          <h3>{day}</h3>
          <ol>
            {rows.map((row) => (
              <Event key={row.key} row={row} />
            ))}
          </ol>
        </section>
      ))}
      {!all && events.length > SHOWN_MAX ? (
        <Button size="compact-xs" variant="default" onClick={() => setAll(true)}>
          {`${(events.length - SHOWN_MAX).toLocaleString('en-US')} older ones`}
        </Button>
      ) : null}
    </div>
  );
}

function Event({ row: { atMs, mark, text } }: { row: TimelineRow }) {
  return (
    <li className="timeline-row">
      <time
        className="tabular quiet"
        dateTime={new Date(atMs).toISOString()}
        title={`${localTime(atMs)} here · ${utcTime(atMs)}`}
      >
        {localTime(atMs).slice(11)}
      </time>
      <StateDot state={mark} />
      <span className="wrap-anywhere">
        {text}{' '}
        <span className="quiet timeline-ago">
          <When ms={atMs} relative />
        </span>
      </span>
    </li>
  );
}
