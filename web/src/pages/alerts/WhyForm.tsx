// "Why was I not paged?": a moment and labels, answered with how far the alert got on its way.
import { Anchor, Button, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { Link } from 'react-router';

import { useWhy, type Why } from '../../api/alerts';
import { ErrorNote, Section, When } from '../../app/parts';
import { goTimeMs } from '../../lib/goTime';
import type { Labels } from '../../lib/labels';
import { labelsText, parseLabels } from '../../lib/matchers';
import { fromInputValue, toInputValue } from '../../lib/time';
import { LabelChips } from '../../list/LabelChips';

export function WhyForm({ labels }: { labels: Labels }) {
  const [text, setText] = useState(() => labelsText(labels));
  const [time, setTime] = useState(() => toInputValue(Date.now()));
  const [fault, setFault] = useState<string | null>(null);
  const [asked, setAsked] = useState<{ labels: Labels; atMs: number } | null>(null);
  const why = useWhy(asked);
  const ask = () => {
    const read = parseLabels(text);
    const atMs = fromInputValue(time);
    if (!read.ok) setFault(read.error);
    else if (Object.keys(read.value).length === 0)
      setFault('Say which alert: alertname="…", or other labels.');
    else if (atMs === null) setFault('Say when.');
    else {
      setFault(null);
      setAsked({ labels: read.value, atMs });
    }
  };
  return (
    <Section title="Why was I not paged?">
      <form
        className="why-form"
        onSubmit={(event) => {
          event.preventDefault();
          ask();
        }}
      >
        <TextInput
          size="sm"
          label="At"
          type="datetime-local"
          step={1}
          value={time}
          onChange={(event) => setTime(event.currentTarget.value)}
        />
        <TextInput
          size="sm"
          label="Alerts with these labels"
          className="why-labels"
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
        <Button type="submit" size="sm" loading={asked !== null && why.isFetching}>
          Why?
        </Button>
      </form>
      {fault === null ? null : (
        <Text size="sm" className="trouble" role="alert" mt={8}>
          {fault}
        </Text>
      )}
      {why.error ? <ErrorNote title="It could not be asked" error={why.error} /> : null}
      {why.data ? <Answer why={why.data} /> : null}
    </Section>
  );
}

/** The answer is of the alert, and of the receiver, that got furthest. */
function saysMore({ alerts, answer }: Why): boolean {
  const [only, ...others] = alerts;
  if (only === undefined) return false;
  return others.length > 0 || (only.receivers ?? []).length > 1 || only.text !== answer;
}

function Line({ text, at }: { text: string; at: string | undefined }) {
  const ms = goTimeMs(at);
  return (
    <Text size="sm" className="wrap-anywhere">
      {text}{' '}
      {ms === null ? null : (
        <span className="quiet timeline-ago">
          <When ms={ms} />
        </span>
      )}
    </Text>
  );
}

function Answer({ why }: { why: Why }) {
  return (
    <div className="why-answer" role="status">
      <Text size="md" fw={600}>
        {why.answer}
      </Text>
      {saysMore(why) ? (
        <ul className="why-alerts">
          {why.alerts.map((one) => (
            <li key={one.fingerprint}>
              <Anchor component={Link} to={`/alerts/${one.fingerprint}`} size="sm">
                {one.labels['alertname'] ?? one.fingerprint}
              </Anchor>{' '}
              <LabelChips labels={one.labels} without={['alertname']} />
              <div>
                {(one.receivers ?? []).length > 0 ? (
                  one.receivers?.map(({ receiver, text, at }) => <Line key={receiver} text={text} at={at} />)
                ) : (
                  <Line text={one.text} at={one.at} />
                )}
              </div>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
