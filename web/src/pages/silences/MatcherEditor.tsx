// Conditions as rows of label, comparison and value, with what the alerts of now offer.
import { ActionIcon, Autocomplete, Button, NativeSelect } from '@mantine/core';
import { useMemo } from 'react';

import { IconClose, IconPlus } from '../../app/icons';
import { MATCH_OPS, type Matcher } from '../../lib/matchers';
import type { Labels } from '../../lib/labels';

const NEW: Matcher = { name: '', op: '=', value: '' };
const OFFERED_MAX = 100;

export function MatcherEditor({
  matchers,
  alerts,
  onChange,
}: {
  matchers: readonly Matcher[];
  /** Labels of the alerts of now, for suggestions. */
  alerts: readonly Labels[];
  onChange: (matchers: Matcher[]) => void;
}) {
  const names = useMemo(() => [...new Set(alerts.flatMap((labels) => Object.keys(labels)))].sort(), [alerts]);
  const valuesOf = (name: string) =>
    [...new Set(alerts.flatMap((labels) => (labels[name] === undefined ? [] : [labels[name]])))].sort();
  const set = (i: number, part: Partial<Matcher>) =>
    onChange(matchers.map((matcher, at) => (at === i ? { ...matcher, ...part } : matcher)));
  return (
    <fieldset className="matcher-rows">
      <legend>Alerts for which all of these hold</legend>
      {matchers.map((matcher, i) => (
        <div key={i} className="matcher-row">
          <Autocomplete
            size="sm"
            aria-label={`Label ${i + 1}`}
            placeholder="label"
            data={names}
            limit={OFFERED_MAX}
            value={matcher.name}
            onChange={(name) => set(i, { name })}
            comboboxProps={{ transitionProps: { duration: 0 } }}
          />
          <NativeSelect
            size="sm"
            aria-label={`Comparison ${i + 1}`}
            data={MATCH_OPS.map((value) => ({ value, label: value }))}
            value={matcher.op}
            onChange={(event) => set(i, { op: event.currentTarget.value as Matcher['op'] })}
          />
          <Autocomplete
            size="sm"
            aria-label={`Value ${i + 1}`}
            placeholder={matcher.op.endsWith('~') ? 'regular expression of all of it' : 'value'}
            data={valuesOf(matcher.name)}
            limit={OFFERED_MAX}
            value={matcher.value}
            onChange={(value) => set(i, { value })}
            comboboxProps={{ transitionProps: { duration: 0 } }}
          />
          <ActionIcon
            aria-label={`Remove condition ${i + 1}`}
            onClick={() => onChange(matchers.filter((_, at) => at !== i))}
            disabled={matchers.length === 1}
          >
            <IconClose size={15} />
          </ActionIcon>
        </div>
      ))}
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconPlus size={14} />}
        onClick={() => onChange([...matchers, NEW])}
      >
        Another condition
      </Button>
    </fieldset>
  );
}
