// A silence to be made or changed: what it holds for, how long, why; and which alerts it would keep quiet.
import { Anchor, Button, Group, SegmentedControl, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useMemo, useState } from 'react';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';

import { useNotifiedAlerts, useSetSilence, useSilence, type Silence } from '../../api/alertmanager';
import { Answered } from '../../app/Answered';
import { ErrorNote, Section, When } from '../../app/parts';
import { useNow } from '../../app/useDelayed';
import { matchersFault } from '../../lib/matchers';
import { formatDuration, readableSpan } from '../../lib/time';
import { Affected } from './Affected';
import { MatcherEditor } from './MatcherEditor';
import {
  draftFault,
  draftFromParams,
  draftFromSilence,
  draftTimes,
  DURATIONS_MS,
  durationWords,
  silenceLink,
  wantedOf,
  type Draft,
} from './silenceData';
import { useAuthor } from './useAuthor';
import './silences.css';

export function NewSilence() {
  const [params] = useSearchParams();
  return <Form key={params.toString()} begin={draftFromParams(params)} />;
}

export function EditSilence() {
  const { id = '' } = useParams();
  const loaded = useSilence(id);
  return (
    <Answered loaded={loaded} what="silences">
      {(silence) =>
        silence === null ? (
          <div className="panel banner" role="status">
            <Text fw={600}>There is no such silence</Text>
            <Text size="sm" c="dimmed" className="wrap-anywhere">
              {`Nothing is known of ${id}. Silences that ended can be looked at for five days. `}
              <Anchor component={Link} to="/silences" inherit>
                All silences
              </Anchor>
            </Text>
          </div>
        ) : (
          <Form key={silence.id} begin={draftFromSilence(silence)} old={silence} />
        )
      }
    </Answered>
  );
}

function Form({ begin, old }: { begin: Draft; old?: Silence }) {
  const [draft, setDraft] = useState(begin);
  const [author, setAuthor] = useAuthor();
  const [tried, setTried] = useState(false);
  const navigate = useNavigate();
  const set = useSetSilence();
  const nowMs = useNow(1_000);
  const alerts = useNotifiedAlerts(0);
  const labels = useMemo(() => (alerts.data ?? []).map((one) => one.labels), [alerts.data]);
  const change = (part: Partial<Draft>) => setDraft((now) => ({ ...now, ...part }));
  const fault = draftFault(draft, nowMs);
  const submit = () => {
    setTried(true);
    const sentMs = Date.now();
    if (draftFault(draft, sentMs) !== null) return;
    set.mutate(wantedOf(draft, author, sentMs, old), {
      onSuccess: (id) => void navigate(silenceLink(id)),
    });
  };
  const changing = draft.id !== '';
  return (
    <form
      className="silence-form"
      aria-label={changing ? 'Change a silence' : 'New silence'}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Section title={changing ? 'Change a silence' : 'New silence'}>
        <Stack gap="md">
          <MatcherEditor
            matchers={draft.matchers}
            alerts={labels}
            onChange={(matchers) => change({ matchers })}
          />
          <Times draft={draft} change={change} nowMs={nowMs} />
          <Textarea
            size="sm"
            label="Why"
            autosize
            minRows={2}
            value={draft.comment}
            onChange={(event) => change({ comment: event.currentTarget.value })}
          />
          <TextInput
            size="sm"
            label="Your name"
            description="Kept in this browser."
            value={author}
            onChange={(event) => setAuthor(event.currentTarget.value)}
            className="silence-author"
          />
          {tried && fault !== null ? (
            <Text size="sm" className="trouble" role="alert">
              {fault}
            </Text>
          ) : null}
          {set.error ? <ErrorNote title="The silence was not taken" error={set.error} /> : null}
          <Group gap={8}>
            <Button type="submit" size="sm" loading={set.isPending}>
              {changing ? 'Change it' : 'Silence'}
            </Button>
            <Button component={Link} to="/silences" size="sm" variant="default">
              Leave
            </Button>
          </Group>
        </Stack>
      </Section>
      <Section title="What it keeps quiet">
        <Preview draft={draft} />
      </Section>
    </form>
  );
}

/** Asked for when typing pauses. */
function Preview({ draft }: { draft: Draft }) {
  const [matchers] = useDebouncedValue(draft.matchers, 300);
  return matchersFault(matchers) === null ? (
    <Affected matchers={matchers} />
  ) : (
    <Text size="sm" c="dimmed">
      Say which label has which value, and the alerts of now appear here.
    </Text>
  );
}

function Times({
  draft,
  change,
  nowMs,
}: {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  nowMs: number;
}) {
  const times = draftTimes(draft, nowMs);
  return (
    <Stack gap={8}>
      <Group gap={8} align="end">
        <SegmentedControl
          size="xs"
          aria-label="How its end is said"
          value={draft.ends}
          transitionDuration={0}
          onChange={(ends) => change({ ends })}
          data={[
            { value: 'for', label: 'For' },
            { value: 'until', label: 'Until' },
          ]}
        />
        {draft.ends === 'for' ? (
          <>
            <TextInput
              size="xs"
              aria-label="How long"
              className="silence-duration"
              value={draft.duration}
              onChange={(event) => change({ duration: event.currentTarget.value })}
            />
            <Group gap={4} role="group" aria-label="Usual durations">
              {DURATIONS_MS.map((ms) => (
                <Button
                  key={ms}
                  size="compact-sm"
                  variant={draft.duration === formatDuration(ms) ? 'filled' : 'default'}
                  aria-pressed={draft.duration === formatDuration(ms)}
                  onClick={() => change({ duration: formatDuration(ms) })}
                >
                  {durationWords(ms)}
                </Button>
              ))}
            </Group>
          </>
        ) : (
          <TextInput
            size="xs"
            type="datetime-local"
            step={1}
            aria-label="Ends at"
            value={draft.endsAt}
            onChange={(event) => change({ endsAt: event.currentTarget.value })}
          />
        )}
        <TextInput
          size="xs"
          type="datetime-local"
          step={1}
          label="Begins (empty: now)"
          value={draft.startsAt}
          onChange={(event) => change({ startsAt: event.currentTarget.value })}
        />
      </Group>
      <Text size="xs" c="dimmed">
        {times === null || times.endsMs <= times.startsMs ? (
          'No end yet.'
        ) : (
          <>
            {'Ends '}
            <When ms={times.endsMs} />
            {`, after ${readableSpan(times.endsMs - times.startsMs)}.`}
          </>
        )}
      </Text>
    </Stack>
  );
}
