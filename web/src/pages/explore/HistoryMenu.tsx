// Queries this browser ran, and favourites.
import {
  ActionIcon,
  Button,
  Popover,
  ScrollArea,
  Tabs,
  Text,
  TextInput,
  UnstyledButton,
} from '@mantine/core';
import { useState } from 'react';

import { IconHistory, IconStar, IconStarFull } from '../../app/icons';
import { When } from '../../app/parts';
import type { Memory } from '../../lib/history';

export function HistoryMenu({
  memory,
  onChoose,
  onToggle,
  onForget,
}: {
  memory: Memory;
  onChoose: (query: string) => void;
  onToggle: (query: string) => void;
  onForget: () => void;
}) {
  const [open, setOpen] = useState(false);
  const choose = (query: string) => {
    setOpen(false);
    onChoose(query);
  };
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-start" width={520} shadow="md" trapFocus>
      <Popover.Target>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconHistory size={14} />}
          onClick={() => setOpen((old) => !old)}
        >
          History
        </Button>
      </Popover.Target>
      <Popover.Dropdown maw="94vw" p="xs">
        <Tabs defaultValue="recent">
          <Tabs.List>
            <Tabs.Tab value="recent">Recent</Tabs.Tab>
            <Tabs.Tab value="favourites">Favourites</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="recent">
            <Choices
              entries={memory.recent}
              memory={memory}
              empty="Queries that you run are remembered here, in this browser only."
              onChoose={choose}
              onToggle={onToggle}
            />
            {memory.recent.length > 0 ? (
              <Button size="compact-xs" variant="subtle" color="gray" onClick={onForget}>
                Forget all
              </Button>
            ) : null}
          </Tabs.Panel>
          <Tabs.Panel value="favourites">
            <Choices
              entries={memory.favourites.map((query) => ({ query }))}
              memory={memory}
              empty="The star beside a query keeps it here, in this browser only."
              onChoose={choose}
              onToggle={onToggle}
            />
          </Tabs.Panel>
        </Tabs>
      </Popover.Dropdown>
    </Popover>
  );
}

function Choices({
  entries,
  memory,
  empty,
  onChoose,
  onToggle,
}: {
  entries: readonly { query: string; atMs?: number }[];
  memory: Memory;
  empty: string;
  onChoose: (query: string) => void;
  onToggle: (query: string) => void;
}) {
  const [filter, setFilter] = useState('');
  const shown = entries.filter((entry) => entry.query.toLowerCase().includes(filter.trim().toLowerCase()));
  if (entries.length === 0) {
    return (
      <Text size="sm" c="dimmed" p="sm">
        {empty}
      </Text>
    );
  }
  return (
    <>
      <TextInput
        size="xs"
        my={6}
        placeholder="Filter"
        aria-label="Filter queries"
        value={filter}
        onChange={(e) => setFilter(e.currentTarget.value)}
      />
      <ScrollArea.Autosize mah={320}>
        {shown.map((entry) => {
          const kept = memory.favourites.includes(entry.query);
          return (
            <div key={entry.query} className="history-row">
              <UnstyledButton className="history-query" onClick={() => onChoose(entry.query)}>
                <span className="mono">{entry.query}</span>
                {entry.atMs === undefined ? null : (
                  <span className="quiet history-when">
                    <When ms={entry.atMs} relative />
                  </span>
                )}
              </UnstyledButton>
              <ActionIcon
                size="sm"
                aria-label={kept ? 'No longer a favourite' : 'Keep as a favourite'}
                aria-pressed={kept}
                onClick={() => onToggle(entry.query)}
              >
                {kept ? <IconStarFull size={14} /> : <IconStar size={14} />}
              </ActionIcon>
            </div>
          );
        })}
      </ScrollArea.Autosize>
    </>
  );
}
