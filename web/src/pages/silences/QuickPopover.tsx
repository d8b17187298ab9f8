// A button whose popover offers how long: one click opens it, the next one does it.
import { Button, Group, Popover, Stack, Text } from '@mantine/core';
import { useState, type ReactNode } from 'react';

import { DURATIONS_MS, durationWords } from './silenceData';
import './silences.css';

export function QuickPopover({
  words,
  label,
  title,
  busy,
  onPick,
  onClose,
  children,
  done,
}: {
  /** On the button. */
  words: string;
  /** Of the button, for screen readers: it says for what. */
  label: string;
  title: ReactNode;
  busy: boolean;
  onPick: (ms: number) => void;
  onClose?: () => void;
  /** What else is to be said and chosen. */
  children: ReactNode;
  /** Stands instead of the choices once it is done. */
  done: ReactNode;
}) {
  const [opened, setOpened] = useState(false);
  const change = (open: boolean) => {
    setOpened(open);
    if (!open) onClose?.();
  };
  return (
    <Popover
      opened={opened}
      onChange={change}
      position="bottom-end"
      width={360}
      shadow="md"
      trapFocus
      returnFocus
      withArrow
      transitionProps={{ duration: 0 }}
    >
      <Popover.Target>
        <Button size="compact-xs" variant="default" aria-label={label} onClick={() => change(!opened)}>
          {words}
        </Button>
      </Popover.Target>
      <Popover.Dropdown className="quick-popover" aria-label={label}>
        {done ?? (
          <Stack gap={8}>
            <Text size="sm" fw={600}>
              {title}
            </Text>
            <Group gap={6} role="group" aria-label="For how long">
              {DURATIONS_MS.map((ms, i) => (
                <Button
                  key={ms}
                  size="compact-sm"
                  variant="light"
                  disabled={busy}
                  data-autofocus={i === 0 ? true : undefined}
                  onClick={() => onPick(ms)}
                >
                  {durationWords(ms)}
                </Button>
              ))}
            </Group>
            {children}
          </Stack>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}
