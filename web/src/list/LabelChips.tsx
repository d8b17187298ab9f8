// Labels as chips beside a name: the first few, the others on hover.
import { Badge, Group, Text, Tooltip } from '@mantine/core';

import type { Labels } from '../lib/labels';

const CHIPS_MAX = 4;

export function LabelChips({
  labels,
  without = [],
  most = CHIPS_MAX,
}: {
  labels: Labels;
  without?: readonly string[];
  /** How many are shown at once. */
  most?: number;
}) {
  const names = Object.keys(labels)
    .filter((name) => !without.includes(name))
    .sort();
  if (names.length === 0) return null;
  return (
    <Group gap={4} component="span">
      {names.slice(0, most).map((name) => (
        <Badge key={name} component="span" size="sm" variant="default" radius="sm" tt="none" fw={400}>
          {name}={labels[name]}
        </Badge>
      ))}
      {names.length > most ? (
        <Tooltip
          label={names
            .slice(most)
            .map((name) => `${name}=${labels[name] ?? ''}`)
            .join(', ')}
        >
          <Text size="xs" c="dimmed" span>
            +{names.length - most}
          </Text>
        </Tooltip>
      ) : null}
    </Group>
  );
}
