// The server's answer as it came, a line at a time, so that a large one does not stop the page.
import { Group, Stack, Text } from '@mantine/core';
import { useMemo } from 'react';

import type { Answer } from '../../api/client';
import type { InstantResult } from '../../api/types';
import { CopyButton } from '../../app/parts';
import { TextLines } from '../../app/TextLines';
import type { Asked } from '../../api/asked';

const LETTERS = 'ABCDEFGHIJKLMNOPQRST';

export function RawJson({ results }: { results: readonly Asked<Answer<InstantResult>>[] }) {
  return (
    <Stack gap="md" className="results-body">
      {results.map((result, i) =>
        result.data ? (
          <OneJson key={i} letter={results.length > 1 ? (LETTERS[i] ?? '?') : null} answer={result.data} />
        ) : null,
      )}
    </Stack>
  );
}

function OneJson({ letter, answer }: { letter: string | null; answer: Answer<InstantResult> }) {
  const text = useMemo(() => {
    const whole: Record<string, unknown> = { status: 'success', data: answer.data };
    if (answer.warnings.length > 0) whole['warnings'] = answer.warnings;
    if (answer.infos.length > 0) whole['infos'] = answer.infos;
    return JSON.stringify(whole, null, 2);
  }, [answer]);
  const lines = useMemo(() => text.split('\n').map((line) => <>{line}</>), [text]);
  return (
    <div>
      <Group justify="space-between" mb={4}>
        <Text size="xs" c="dimmed">
          {letter === null ? '' : `${letter} · `}
          {lines.length.toLocaleString('en-US')} lines
        </Text>
        <CopyButton text={text} label="Copy the JSON" words="Copy" />
      </Group>
      <TextLines lines={lines} label="Answer as JSON" heightMax={620} />
    </div>
  );
}
