// Silence in two clicks: the button, then how long. What it holds for can be widened before.
import { Anchor, Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { Link } from 'react-router';

import { useExpireSilence, useSetSilence } from '../../api/alertmanager';
import { ErrorNote, When } from '../../app/parts';
import { toApi, type Matcher } from '../../lib/matchers';
import { Affected } from './Affected';
import { MatcherChips } from './MatcherChips';
import { QuickPopover } from './QuickPopover';
import { newSilenceLink, NOBODY, silenceLink } from './silenceData';
import { useAuthor } from './useAuthor';

const COMMENT = 'From the page Alerts';

export function SilenceButton({
  matchers: given,
  of,
}: {
  matchers: readonly Matcher[];
  /** What is silenced, in words. */ of: string;
}) {
  const [removed, setRemoved] = useState<ReadonlySet<string>>(new Set());
  const matchers = given.filter(({ name }) => !removed.has(name));
  const [comment, setComment] = useState('');
  const [author, setAuthor] = useAuthor();
  const set = useSetSilence();
  const expire = useExpireSilence();
  const [made, setMade] = useState<{ id: string; endsMs: number } | null>(null);

  const pick = (ms: number) => {
    const nowMs = Date.now();
    const endsMs = nowMs + ms;
    set.mutate(
      {
        matchers: matchers.map(toApi),
        startsAt: new Date(nowMs).toISOString(),
        endsAt: new Date(endsMs).toISOString(),
        createdBy: author.trim() === '' ? NOBODY : author.trim(),
        comment: comment.trim() === '' ? COMMENT : comment.trim(),
      },
      { onSuccess: (id) => setMade({ id, endsMs }) },
    );
  };
  const reset = () => {
    setMade(null);
    setRemoved(new Set());
    set.reset();
    expire.reset();
  };

  return (
    <QuickPopover
      words="Silence"
      label={`Silence ${of}`}
      title="Keep it quiet for"
      busy={set.isPending}
      onPick={pick}
      onClose={reset}
      done={
        made === null ? null : (
          <Stack gap={8} role="status">
            {expire.isSuccess ? (
              <Text size="sm">The silence is ended again.</Text>
            ) : (
              <>
                <Text size="sm">
                  {'Quiet until '}
                  <strong>
                    <When ms={made.endsMs} />
                  </strong>
                  .
                </Text>
                <Group gap={8}>
                  <Button
                    size="compact-xs"
                    variant="default"
                    loading={expire.isPending}
                    onClick={() => expire.mutate(made.id)}
                    data-autofocus
                  >
                    Undo
                  </Button>
                  <Anchor component={Link} to={silenceLink(made.id)} size="sm">
                    Look at the silence
                  </Anchor>
                </Group>
              </>
            )}
            {expire.error ? <ErrorNote title="It could not be ended" error={expire.error} /> : null}
          </Stack>
        )
      }
    >
      <MatcherChips
        matchers={matchers}
        onRemove={(i) => {
          const name = matchers[i]?.name;
          if (name !== undefined) setRemoved((old) => new Set([...old, name]));
        }}
      />
      <Affected matchers={matchers} short />
      <TextInput
        size="xs"
        aria-label="Why"
        placeholder="Why (if you want to say)"
        value={comment}
        onChange={(event) => setComment(event.currentTarget.value)}
      />
      <TextInput
        size="xs"
        aria-label="Your name"
        placeholder="Your name (kept in this browser)"
        value={author}
        onChange={(event) => setAuthor(event.currentTarget.value)}
      />
      {set.error ? <ErrorNote title="It could not be silenced" error={set.error} /> : null}
      <Anchor component={Link} to={newSilenceLink(matchers, comment)} size="xs">
        Other conditions or times
      </Anchor>
    </QuickPopover>
  );
}
