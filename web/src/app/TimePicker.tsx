// Time range: relative choices, an absolute pair, and stepping through time.
import {
  ActionIcon,
  Button,
  Divider,
  Group,
  Popover,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
  Tooltip,
} from '@mantine/core';
import { useState } from 'react';

import {
  formatDuration,
  fromInputValue,
  localTime,
  parseDuration,
  readableSpan,
  resolveRange,
  SPAN_MAX_MS,
  SPAN_MIN_MS,
  toInputValue,
  utcTime,
  type TimeRange,
} from '../lib/time';
import { IconClock, IconLeft, IconRight, IconZoomOut } from './icons';
import { useTime } from './timeControl';

const CHOICES = ['5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '2d', '1w', '30d', '90d'];

function rangeWords(range: TimeRange): string {
  if (range.kind === 'relative') return `Last ${readableSpan(range.spanMs)}`;
  const start = localTime(range.startMs);
  const end = localTime(range.endMs);
  const sameDay = start.slice(0, 10) === end.slice(0, 10);
  return `${start} – ${sameDay ? end.slice(11) : end}`;
}

function Chooser({ onDone }: { onDone: () => void }) {
  const { range, setRange } = useTime();
  const [interval] = useState(() => resolveRange(range, Date.now()));
  const [from, setFrom] = useState(toInputValue(interval.startMs));
  const [to, setTo] = useState(toInputValue(interval.endMs));
  const [custom, setCustom] = useState('');
  const startMs = fromInputValue(from);
  const endMs = fromInputValue(to);
  const valid = startMs !== null && endMs !== null && endMs - startMs >= SPAN_MIN_MS;
  const customMs = parseDuration(custom);
  const customValid = customMs !== null && customMs >= SPAN_MIN_MS && customMs <= SPAN_MAX_MS;

  const choose = (next: TimeRange) => {
    setRange(next);
    onDone();
  };
  return (
    <Stack gap="sm">
      <Text size="xs" fw={600} c="dimmed">
        Until now
      </Text>
      <SimpleGrid cols={4} spacing={6} verticalSpacing={6}>
        {CHOICES.map((choice) => {
          const spanMs = parseDuration(choice) ?? 0;
          const chosen = range.kind === 'relative' && range.spanMs === spanMs;
          return (
            <Button
              key={choice}
              size="compact-sm"
              variant={chosen ? 'filled' : 'default'}
              aria-pressed={chosen}
              onClick={() => choose({ kind: 'relative', spanMs })}
            >
              {choice}
            </Button>
          );
        })}
      </SimpleGrid>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (customValid) choose({ kind: 'relative', spanMs: customMs });
        }}
      >
        <TextInput
          size="xs"
          label="Another span"
          placeholder="45m, 1d12h, 2w"
          value={custom}
          onChange={(event) => setCustom(event.currentTarget.value)}
          error={custom !== '' && !customValid ? 'Write a duration such as 45m or 1d12h' : null}
        />
      </form>
      <Divider />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (valid) choose({ kind: 'absolute', startMs, endMs });
        }}
      >
        <Stack gap="xs">
          <Text size="xs" fw={600} c="dimmed">
            Fixed, in your time zone
          </Text>
          <TextInput
            size="xs"
            type="datetime-local"
            step={1}
            label="From"
            value={from}
            onChange={(e) => setFrom(e.currentTarget.value)}
          />
          <TextInput
            size="xs"
            type="datetime-local"
            step={1}
            label="To"
            value={to}
            onChange={(e) => setTo(e.currentTarget.value)}
            error={valid ? null : 'The end must come after the start'}
          />
          <Button type="submit" size="xs" disabled={!valid}>
            Show this time
          </Button>
        </Stack>
      </form>
    </Stack>
  );
}

export function TimePicker() {
  const time = useTime();
  const { range } = time;
  const [open, setOpen] = useState(false);
  const hover =
    range.kind === 'absolute'
      ? `${utcTime(range.startMs)} – ${utcTime(range.endMs)}`
      : `The last ${formatDuration(range.spanMs)}, moving with the clock`;
  return (
    <Group gap={2} wrap="nowrap" className="time-picker">
      <Tooltip label="Earlier by half the range  ( [ )">
        <ActionIcon aria-label="Step back" onClick={() => time.step(-1)}>
          <IconLeft />
        </ActionIcon>
      </Tooltip>
      <Popover opened={open} onChange={setOpen} position="bottom-end" width={320} shadow="md" trapFocus>
        <Popover.Target>
          <Button
            variant="default"
            size="xs"
            leftSection={<IconClock size={15} />}
            onClick={() => setOpen((old) => !old)}
            aria-label={`Time range: ${rangeWords(range)}`}
            title={hover}
            data-testid="time-range"
          >
            <span className="tabular">{rangeWords(range)}</span>
          </Button>
        </Popover.Target>
        <Popover.Dropdown>
          <Chooser onDone={() => setOpen(false)} />
        </Popover.Dropdown>
      </Popover>
      <Tooltip label="Later by half the range  ( ] )">
        <ActionIcon
          aria-label="Step forward"
          onClick={() => time.step(1)}
          disabled={range.kind === 'relative'}
        >
          <IconRight />
        </ActionIcon>
      </Tooltip>
      <Tooltip label="Zoom out: twice the range  ( z )">
        <ActionIcon aria-label="Zoom out" onClick={time.zoomOut} visibleFrom="xs">
          <IconZoomOut />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}
