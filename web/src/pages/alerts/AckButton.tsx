// Acknowledge in two clicks: the button, then for how long somebody takes care of it.
import { Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useState } from 'react';

import { useAcknowledge, useTakeBackAck } from '../../api/alerts';
import { ErrorNote } from '../../app/parts';
import { formatDuration } from '../../lib/time';
import { QuickPopover } from '../silences/QuickPopover';
import { durationWords, NOBODY } from '../silences/silenceData';
import { useAuthor } from '../silences/useAuthor';

export function AckButton({
  fingerprint,
  of,
}: {
  fingerprint: string;
  /** What is acknowledged, in words. */ of: string;
}) {
  const [comment, setComment] = useState('');
  const [author, setAuthor] = useAuthor();
  const acknowledge = useAcknowledge(fingerprint);
  const takeBack = useTakeBackAck(fingerprint);
  const [forMs, setForMs] = useState<number | null>(null);
  const owner = author.trim() === '' ? NOBODY : author.trim();
  const pick = (ms: number) =>
    acknowledge.mutate(
      { owner, comment: comment.trim(), duration: formatDuration(ms) },
      { onSuccess: () => setForMs(ms) },
    );
  const reset = () => {
    setForMs(null);
    acknowledge.reset();
    takeBack.reset();
  };
  return (
    <QuickPopover
      words="Acknowledge"
      label={`Acknowledge ${of}`}
      title="Take care of it for"
      busy={acknowledge.isPending}
      onPick={pick}
      onClose={reset}
      done={
        forMs === null ? null : (
          <Stack gap={8} role="status">
            <Text size="sm">
              {takeBack.isSuccess
                ? 'Nobody takes care of it any more.'
                : `${owner} takes care of it for ${durationWords(forMs)}: it is not told again in that time.`}
            </Text>
            {takeBack.isSuccess ? null : (
              <Group gap={8}>
                <Button
                  size="compact-xs"
                  variant="default"
                  loading={takeBack.isPending}
                  data-autofocus
                  onClick={() => takeBack.mutate(null)}
                >
                  Undo
                </Button>
              </Group>
            )}
            {takeBack.error ? <ErrorNote title="It could not be taken back" error={takeBack.error} /> : null}
          </Stack>
        )
      }
    >
      <Text size="xs" c="dimmed">
        It goes on firing and is shown; people are not told of it again, unless it ends.
      </Text>
      <TextInput
        size="xs"
        aria-label="What you say"
        placeholder="What you do about it (if you want to say)"
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
      {acknowledge.error ? (
        <ErrorNote title="It could not be acknowledged" error={acknowledge.error} />
      ) : null}
    </QuickPopover>
  );
}
