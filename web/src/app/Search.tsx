// `/` or Ctrl-K: jump to any page or metric.
import { Modal, ScrollArea, Text, TextInput, UnstyledButton } from '@mantine/core';
import { useEffect, useId, useRef, useState } from 'react';
import { useNavigate } from 'react-router';

import { useMetadata, useMetricNames } from '../api/hooks';
import { searchNames } from '../lib/suggest';
import { rangeToParams } from '../lib/time';
import type { PageEntry } from './pages';
import { IconExplore, IconSearch } from './icons';
import { useTime } from './timeControl';
import './search.css';

interface Hit {
  key: string;
  name: string;
  about: string;
  kind: string;
  icon: typeof IconExplore;
  go: string;
}

const HITS_MAX = 40;

export function Search({
  opened,
  onClose,
  pages,
}: {
  opened: boolean;
  onClose: () => void;
  pages: readonly PageEntry[];
}) {
  return (
    <Modal.Root opened={opened} onClose={onClose} size="lg" yOffset="10vh" transitionProps={{ duration: 0 }}>
      <Modal.Overlay />
      <Modal.Content aria-label="Search metrics and pages">
        <Modal.Body p={0}>{opened ? <SearchBox onClose={onClose} pages={pages} /> : null}</Modal.Body>
      </Modal.Content>
    </Modal.Root>
  );
}

function SearchBox({ onClose, pages }: { onClose: () => void; pages: readonly PageEntry[] }) {
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState(0);
  const navigate = useNavigate();
  const { range, carried } = useTime();
  const names = useMetricNames();
  const metadata = useMetadata();
  const list = useRef<HTMLDivElement>(null);
  const id = useId();

  const needle = text.trim().toLowerCase();
  const pageHits: Hit[] = pages
    .filter((page) => page.name.toLowerCase().includes(needle))
    .map((page) => ({
      key: page.path,
      name: page.name,
      about: page.about,
      kind: 'page',
      icon: page.icon,
      go: `${page.path}${carried}`,
    }));
  const metricHits: Hit[] = searchNames(text, names.data ?? [], HITS_MAX).map((name) => {
    const about = metadata.data?.[name]?.[0];
    const params = rangeToParams(range, new URLSearchParams({ q: name }));
    return {
      key: name,
      name,
      about: about?.help ?? '',
      kind: about?.type ?? 'metric',
      icon: IconExplore,
      go: `/explore?${params.toString()}`,
    };
  });
  const hits = needle === '' ? [...pageHits, ...metricHits.slice(0, 12)] : [...pageHits, ...metricHits];
  const current = Math.min(chosen, hits.length - 1);

  useEffect(() => {
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [current]);

  const go = (hit: Hit | undefined) => {
    if (!hit) return;
    onClose();
    void navigate(hit.go);
  };
  return (
    <div>
      <TextInput
        data-autofocus
        variant="unstyled"
        size="md"
        px="md"
        leftSection={<IconSearch />}
        leftSectionWidth={48}
        placeholder="Jump to a metric or page"
        aria-label="Search metrics and pages"
        role="combobox"
        aria-expanded
        aria-controls={id}
        aria-activedescendant={hits[current] ? `${id}-${current}` : undefined}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
            event.preventDefault();
            const move = event.key === 'ArrowDown' ? 1 : -1;
            if (hits.length > 0) setChosen((current + move + hits.length) % hits.length);
          } else if (event.key === 'Enter') {
            event.preventDefault();
            go(hits[current]);
          }
        }}
      />
      <ScrollArea.Autosize mah="60vh" className="search-list" viewportRef={list}>
        <div role="listbox" id={id} aria-label="Results">
          {hits.map((hit, i) => (
            <UnstyledButton
              key={hit.key}
              id={`${id}-${i}`}
              role="option"
              tabIndex={-1}
              aria-selected={i === current}
              className="search-hit"
              onMouseMove={() => setChosen(i)}
              onClick={() => go(hit)}
            >
              <hit.icon size={16} />
              <span className="search-words">
                <span className={hit.kind === 'page' ? '' : 'mono'}>{hit.name}</span>
                {hit.about === '' ? null : <span className="search-about">{hit.about}</span>}
              </span>
              <span className="search-kind">{hit.kind}</span>
            </UnstyledButton>
          ))}
        </div>
        {hits.length === 0 ? (
          <Text p="md" c="dimmed" size="sm">
            {names.isPending
              ? 'Asking for the names of metrics…'
              : names.error
                ? `The names of metrics could not be had: ${names.error.message}`
                : `No metric or page is called anything like “${text}”.`}
          </Text>
        ) : null}
      </ScrollArea.Autosize>
    </div>
  );
}
