// What stands above a list: its states with how many there are of each, a field for text, and choices of the page's own.
import { Button, SegmentedControl, Select, Text, TextInput } from '@mantine/core';
import { useState, type ReactNode } from 'react';

import './list.css';

export interface StateChoice<S extends string> {
  value: S;
  label: string;
  /** How many choosing it would show. */
  count: number;
}

export function FilterBar<S extends string>({
  stateLabel,
  state,
  states,
  onState,
  findLabel,
  placeholder,
  find,
  onFind,
  children,
}: {
  stateLabel: string;
  state: S;
  states: readonly StateChoice<S>[];
  onState: (state: S) => void;
  findLabel: string;
  placeholder: string;
  find: string;
  onFind: (text: string) => void;
  children?: ReactNode;
}) {
  return (
    <div className="filter-bar">
      <SegmentedControl
        size="xs"
        aria-label={stateLabel}
        value={state}
        onChange={(value) => onState(value)}
        transitionDuration={0}
        data={states.map(({ value, label, count }) => ({
          value,
          label: `${label} ${count.toLocaleString('en-US')}`,
        }))}
      />
      <FindField label={findLabel} placeholder={placeholder} value={find} onChange={onFind} />
      {children}
    </div>
  );
}

/** Shows what is typed at once, although the URL follows a moment later; and follows the URL when that changes by itself. */
function FindField({
  label,
  placeholder,
  value,
  onChange,
}: {
  label: string;
  placeholder: string;
  value: string;
  onChange: (text: string) => void;
}) {
  const [typed, setTyped] = useState({ text: value, seen: value, sent: [] as string[] });
  if (value !== typed.seen) {
    const at = typed.sent.lastIndexOf(value);
    setTyped(
      at < 0
        ? { text: value, seen: value, sent: [] }
        : { ...typed, seen: value, sent: typed.sent.slice(at + 1) },
    );
  }
  return (
    <TextInput
      size="xs"
      className="filter-find"
      placeholder={placeholder}
      aria-label={label}
      value={typed.text}
      onChange={(event) => {
        const text = event.currentTarget.value;
        setTyped((old) => ({ ...old, text, sent: [...old.sent.slice(-50), text] }));
        onChange(text);
      }}
    />
  );
}

/** One of many names, or all of them. */
export function ChoiceSelect({
  label,
  all,
  value,
  options,
  onChange,
}: {
  label: string;
  /** What stands there while none is chosen. */
  all: string;
  /** Empty means all. */
  value: string;
  options: readonly (string | { value: string; label: string })[];
  onChange: (value: string) => void;
}) {
  // What a link asks for is offered even if there is no such thing now.
  const known = options.some((one) => (typeof one === 'string' ? one : one.value) === value);
  return (
    <Select
      size="xs"
      aria-label={label}
      placeholder={all}
      data={value === '' || known ? [...options] : [...options, value]}
      value={value === '' ? null : value}
      onChange={(next) => onChange(next ?? '')}
      clearable
      clearButtonProps={{ 'aria-label': `${label}: all` }}
      searchable
      limit={200}
      comboboxProps={{ transitionProps: { duration: 0 } }}
    />
  );
}

/** Stands where the list would, when the filter leaves nothing of it. */
export function NothingMatches({ words, onShowAll }: { words: string; onShowAll: () => void }) {
  return (
    <div className="panel banner" role="status">
      <Text size="sm">{words}</Text>
      <Button size="compact-xs" variant="default" mt={6} onClick={onShowAll}>
        Show all
      </Button>
    </div>
  );
}
