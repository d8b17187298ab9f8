// Small parts that every page uses: errors where they happened, times, copying, skeletons.
import { ActionIcon, Button, Group, Skeleton, Stack, Text, Tooltip } from '@mantine/core';
import type { ReactNode } from 'react';

import { advice, type ApiError } from '../api/client';
import { ago, localTime, utcTime } from '../lib/time';
import { IconCheck, IconCopy, IconWarning } from './icons';
import { useCopy } from './useCopy';
import { useNow } from './useDelayed';
import './parts.css';

/** An error with its cause and what to do; `kept` says that older data is still shown beneath it. */
export function ErrorNote({
  title,
  error,
  kept = false,
  onRetry,
}: {
  title: string;
  error: ApiError;
  kept?: boolean;
  onRetry?: () => void;
}) {
  return (
    <div className="note bad" role="alert">
      <IconWarning size={16} />
      <div className="note-words">
        <Text size="sm" fw={600}>
          {title}
        </Text>
        <Text size="sm" className="wrap-anywhere">
          {error.message}
        </Text>
        <Text size="xs" c="dimmed">
          {advice(error)}
          {kept && error.kind !== 'unreachable' ? ' What is shown below is the last good answer.' : ''}
        </Text>
      </div>
      {onRetry ? (
        <Button size="compact-xs" variant="default" onClick={onRetry}>
          Try again
        </Button>
      ) : null}
    </div>
  );
}

export function WarnNote({ children }: { children: ReactNode }) {
  return (
    <div className="note warn" role="status">
      <IconWarning size={16} />
      <div className="note-words">{children}</div>
    </div>
  );
}

/** A time in the viewer's zone, UTC on hover. */
export function When({ ms, relative = false }: { ms: number; relative?: boolean }) {
  return relative ? <Ago ms={ms} /> : <Instant ms={ms} text={localTime(ms)} />;
}

function Ago({ ms }: { ms: number }) {
  const now = useNow(1_000);
  return <Instant ms={ms} text={ago(ms, now)} />;
}

function Instant({ ms, text }: { ms: number; text: string }) {
  return (
    <time
      dateTime={new Date(ms).toISOString()}
      title={`${localTime(ms)} here · ${utcTime(ms)}`}
      className="tabular"
    >
      {text}
    </time>
  );
}

export function CopyButton({
  text,
  label,
  words,
}: {
  text: string | (() => string);
  label: string;
  words?: string;
}) {
  const clipboard = useCopy();
  const copy = () => clipboard.copy(typeof text === 'string' ? text : text());
  const icon = clipboard.copied ? <IconCheck size={15} /> : <IconCopy size={15} />;
  if (words !== undefined) {
    return (
      <Button size="compact-xs" variant="default" leftSection={icon} onClick={copy} aria-label={label}>
        {clipboard.copied ? 'Copied' : words}
      </Button>
    );
  }
  return (
    <Tooltip label={clipboard.copied ? 'Copied' : label}>
      <ActionIcon aria-label={label} onClick={copy} size="sm">
        {icon}
      </ActionIcon>
    </Tooltip>
  );
}

export function PageSkeleton() {
  return (
    <Stack gap="md" aria-busy="true" aria-label="Loading the page">
      <Skeleton height={84} radius="sm" />
      <Skeleton height={260} radius="sm" />
      <Skeleton height={260} radius="sm" />
    </Stack>
  );
}

/** A panel with a heading, and what belongs to it at the right. */
export function Section({
  id,
  title,
  aside,
  children,
}: {
  id?: string;
  title: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className="panel section" id={id}>
      <Group justify="space-between" wrap="nowrap" className="section-head" align="center">
        <h2>{title}</h2>
        {aside}
      </Group>
      {children}
    </section>
  );
}

/** A bar of use against a limit; red and amber only when it nears it. */
export function UseBar({ share, label }: { share: number; label: string }) {
  const percent = Math.max(0, Math.min(100, share * 100));
  const state = share >= 0.95 ? 'bad' : share >= 0.85 ? 'warn' : 'calm';
  return (
    <div
      className="use-bar"
      role="meter"
      aria-label={label}
      aria-valuenow={Math.round(percent)}
      aria-valuemin={0}
      aria-valuemax={100}
    >
      <div className={state} style={{ width: `${percent}%` }} />
    </div>
  );
}

export function StateDot({ state }: { state: 'ok' | 'bad' | 'warn' | 'none' }) {
  return <span className={`state-dot ${state}`} aria-hidden="true" />;
}

export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
