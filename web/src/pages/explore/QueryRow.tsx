// One query: its editor, what it answered in a line, and what can be done with it.
import { ActionIcon, Button, Group, Loader, Menu, Text, Tooltip, UnstyledButton } from '@mantine/core';
import type { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { lazy, Suspense, useMemo } from 'react';

import { isRangeAnswer, seriesCountOf } from './answers';
import { IconClose, IconMore, IconPlay, IconStar, IconStarFull } from '../../app/icons';
import { ErrorNote, WarnNote } from '../../app/parts';
import { useCopy } from '../../app/useCopy';
import { errorPlace, suggestFor, unitOfQuery } from '../../lib/promql';
import { readableSpan } from '../../lib/time';
import { formatValue, unitWords } from '../../lib/units';
import type { Answer } from '../../api/client';
import type { RangeAnswer } from '../../api/hooks';
import type { InstantResult } from '../../api/types';
import { useElapsed, type Asked } from '../../api/asked';

const QueryEditor = lazy(() => import('./QueryEditor'));

export interface QueryRowProps {
  letter: string;
  text: string;
  asked: string;
  result: Asked<RangeAnswer> | Asked<Answer<InstantResult>> | undefined;
  promql: PromQLExtension;
  typeOf: (metric: string) => string | undefined;
  curl: (query: string) => string;
  favourite: boolean;
  focusFirst: boolean;
  onFavourite: () => void;
  onWrite: (text: string) => void;
  onRun: (text: string) => void;
  onRemove?: () => void;
}

export function QueryRow(props: QueryRowProps) {
  const { letter, text, asked, result, promql, favourite, onRun } = props;
  const { copied, copy } = useCopy();
  const error = result?.error ?? null;
  const place = useMemo(
    () => (error?.kind === 'bad_request' && text === asked ? errorPlace(asked, error.message) : null),
    [error, asked, text],
  );
  return (
    <div className="query-row" role="group" aria-label={`Query ${letter}`}>
      <div className="query-line">
        <span className="query-letter" aria-hidden="true">
          {letter}
        </span>
        <Suspense fallback={<div className="query-editor query-editor-waiting mono">{text}</div>}>
          <QueryEditor
            value={text}
            label={`Query ${letter}, PromQL`}
            promql={promql}
            error={place}
            focusFirst={props.focusFirst}
            onChange={props.onWrite}
            onRun={onRun}
          />
        </Suspense>
        <Group gap={0} wrap="nowrap" className="query-tools">
          <Tooltip label="Run  ( Enter )">
            <ActionIcon aria-label={`Run query ${letter}`} onClick={() => onRun(text)} color="accent">
              <IconPlay size={15} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label={favourite ? 'No longer a favourite' : 'Keep as a favourite'}>
            <ActionIcon
              aria-label="Favourite"
              aria-pressed={favourite}
              onClick={props.onFavourite}
              disabled={text.trim() === ''}
            >
              {favourite ? <IconStarFull size={16} /> : <IconStar size={16} />}
            </ActionIcon>
          </Tooltip>
          <Menu position="bottom-end" shadow="md" closeOnItemClick={false}>
            <Menu.Target>
              <ActionIcon aria-label={`More for query ${letter}`}>
                <IconMore size={18} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => copy(props.curl(text))}>
                {copied ? 'Copied' : 'Copy as curl'}
              </Menu.Item>
              <Menu.Item onClick={() => copy(text)}>Copy the query</Menu.Item>
            </Menu.Dropdown>
          </Menu>
          {props.onRemove ? (
            <Tooltip label="Remove this query">
              <ActionIcon aria-label={`Remove query ${letter}`} onClick={props.onRemove}>
                <IconClose size={15} />
              </ActionIcon>
            </Tooltip>
          ) : null}
        </Group>
      </div>
      <div className="query-under">
        <Outcome {...props} />
      </div>
      {error && text === asked ? (
        <ErrorNote
          title="The query failed"
          error={error}
          kept={result?.data !== undefined}
          onRetry={() => onRun(text)}
        />
      ) : null}
    </div>
  );
}

function Outcome({ text, asked, result, typeOf, onRun }: QueryRowProps) {
  const running = result?.running ?? false;
  const elapsed = useElapsed(running);
  if (running && elapsed > 200) {
    return (
      <Group gap={8} role="status">
        <Loader size={12} />
        <Text size="xs" className="tabular">
          Running for {readableSpan(Math.floor(elapsed / 100) * 100)}
        </Text>
        {elapsed > 2_000 ? (
          <Button size="compact-xs" variant="default" onClick={result?.cancel}>
            Cancel
          </Button>
        ) : null}
      </Group>
    );
  }
  if (result?.cancelled) {
    return (
      <Group gap={8} role="status">
        <Text size="xs" c="dimmed">
          Cancelled.{result.data === undefined ? '' : ' What is shown is the answer before.'}
        </Text>
        <Button size="compact-xs" variant="default" onClick={() => onRun(text)}>
          Run again
        </Button>
      </Group>
    );
  }
  if (text !== asked && text.trim() !== '') {
    return (
      <Text size="xs" c="dimmed">
        Changed; Enter runs it.
      </Text>
    );
  }
  if (!result?.data || result.stale) return <span className="query-under-space" />;
  return (
    <Group gap="xs" wrap="wrap">
      <Facts result={result} />
      <Unit query={asked} />
      {seriesCountOf(result.data) === 0 ? null : <Suggest query={asked} typeOf={typeOf} onRun={onRun} />}
      <Notes result={result} />
    </Group>
  );
}

function Facts({ result }: { result: NonNullable<QueryRowProps['result']> }) {
  const { data } = result;
  if (!data) return null;
  const answer = isRangeAnswer(data) ? data.answer : data;
  const count = seriesCountOf(data);
  const points = isRangeAnswer(data) ? `, every ${readableSpan(data.frame.stepMs)}` : '';
  return (
    <Text size="xs" c="dimmed" className="tabular" title={`${formatValue(answer.bytes, 'bytes', 3)} of JSON`}>
      {count === null ? 'one value' : `${count.toLocaleString('en-US')} series`}
      {points} · {readableSpan(answer.tookMs)}
    </Text>
  );
}

function Unit({ query }: { query: string }) {
  const guess = useMemo(() => unitOfQuery(query), [query]);
  if (guess.unit === 'none') return null;
  return (
    <Tooltip
      label={
        <>
          {guess.because.map((line) => (
            <div key={line}>{line}</div>
          ))}
        </>
      }
    >
      <Text size="xs" className="unit-chip" tabIndex={0}>
        {unitWords(guess.unit)}
      </Text>
    </Tooltip>
  );
}

function Suggest({ query, typeOf, onRun }: Pick<QueryRowProps, 'typeOf' | 'onRun'> & { query: string }) {
  const suggestion = suggestFor(query, typeOf);
  if (!suggestion) return null;
  return (
    <Text size="xs" component="span">
      <span className="quiet">{suggestion.why}</span>{' '}
      <UnstyledButton className="text-button" onClick={() => onRun(suggestion.query)}>
        {suggestion.label}
      </UnstyledButton>
    </Text>
  );
}

function Notes({ result }: { result: NonNullable<QueryRowProps['result']> }) {
  const { data } = result;
  if (!data) return null;
  const answer = isRangeAnswer(data) ? data.answer : data;
  const lines = [...answer.warnings, ...answer.infos];
  if (lines.length === 0) return null;
  return (
    <WarnNote>
      {lines.map((line) => (
        <Text key={line} size="xs" className="wrap-anywhere">
          {line}
        </Text>
      ))}
    </WarnNote>
  );
}
