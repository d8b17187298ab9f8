// One silence: what it holds for, until when, who made it and why; and how to change or end it.
import { Anchor, Button, Group, Popover, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { Link } from 'react-router';

import { useExpireSilence } from '../../api/alertmanager';
import type { SilenceMore } from '../../api/alerts';
import { CopyButton, ErrorNote, StateDot, When } from '../../app/parts';
import { matchersText } from '../../lib/matchers';
import { readableSpan } from '../../lib/time';
import { OpenButton } from '../../list/RowList';
import { Affected } from './Affected';
import { MatcherChips } from './MatcherChips';
import { editLink, recurrenceWords, silenceLink, type SilenceItem } from './silenceData';

const DOTS = { active: 'ok', pending: 'warn', expired: 'none' } as const;

export function SilenceRow({
  item,
  more,
  open,
  onToggle,
}: {
  item: SilenceItem;
  /** What only Kymo says of it. */
  more: SilenceMore | undefined;
  open: boolean;
  onToggle: () => void;
}) {
  const { silence, state, matchers, startsMs, endsMs } = item;
  return (
    <div className="list-row">
      <div className="silence-line">
        <OpenButton
          open={open}
          label={`Details of the silence of ${matchersText(matchers)}`}
          onToggle={onToggle}
        />
        <span className="row-state">
          <StateDot state={DOTS[state]} />
          {state}
        </span>
        <span className="silence-words">
          <MatcherChips matchers={matchers} />
          <Text size="sm" c="dimmed" span className="wrap-anywhere">
            {silence.createdBy}
            {silence.comment === '' ? '' : `: ${silence.comment}`}
            {more?.recurrence ? ` · recurs: ${recurrenceWords(more.recurrence.time_intervals)}` : ''}
          </Text>
          {more?.expiringSoon ? (
            <Text size="sm" span className="warning">
              Ends soon, and alerts that it keeps quiet still fire.
            </Text>
          ) : null}
        </span>
        <span className="num silence-fact">
          {state === 'pending' ? 'begins ' : state === 'active' ? 'ends ' : 'ended '}
          <When ms={state === 'pending' ? startsMs : endsMs} relative />
        </span>
      </div>
      {open ? <Details item={item} /> : null}
    </div>
  );
}

function Details({ item }: { item: SilenceItem }) {
  const { silence, state, matchers, startsMs, endsMs } = item;
  return (
    <Stack gap={10} className="silence-details">
      <dl className="fact-list">
        <dt>From</dt>
        <dd>
          <When ms={startsMs} />
        </dd>
        <dt>Until</dt>
        <dd>
          <When ms={endsMs} />
          {`, ${readableSpan(endsMs - startsMs)}`}
        </dd>
        <dt>By</dt>
        <dd className="wrap-anywhere">{silence.createdBy}</dd>
        {silence.comment === '' ? null : (
          <>
            <dt>Why</dt>
            <dd className="wrap-anywhere silence-comment">{silence.comment}</dd>
          </>
        )}
        <dt>Name</dt>
        <dd>
          <Anchor component={Link} to={silenceLink(silence.id)} inherit>
            <code className="wrap-anywhere">{silence.id}</code>
          </Anchor>{' '}
          <CopyButton
            text={`${window.location.origin}${silenceLink(silence.id)}`}
            label="Copy a link to this silence"
          />
        </dd>
      </dl>
      {state === 'expired' ? null : <Affected matchers={matchers} />}
      <Group gap={8}>
        <Button component={Link} to={editLink(silence.id)} size="compact-sm" variant="default">
          {state === 'expired' ? 'Make it anew' : 'Change'}
        </Button>
        {state === 'expired' ? null : <ExpireButton item={item} />}
      </Group>
    </Stack>
  );
}

/** Asks once more: alerts get loud. */
function ExpireButton({ item }: { item: SilenceItem }) {
  const [asking, setAsking] = useState(false);
  const expire = useExpireSilence();
  return (
    <>
      <Popover
        opened={asking}
        onChange={setAsking}
        position="bottom-start"
        width={280}
        shadow="md"
        trapFocus
        returnFocus
        withArrow
        transitionProps={{ duration: 0 }}
      >
        <Popover.Target>
          <Button size="compact-sm" variant="default" onClick={() => setAsking((old) => !old)}>
            End it now
          </Button>
        </Popover.Target>
        <Popover.Dropdown aria-label="End the silence?">
          <Text size="sm" mb={8}>
            {item.state === 'pending'
              ? 'It has not begun; it will not begin.'
              : 'Alerts for which it holds are told again from now on.'}
          </Text>
          <Group gap={8}>
            <Button
              size="compact-sm"
              loading={expire.isPending}
              data-autofocus
              onClick={() => expire.mutate(item.silence.id, { onSettled: () => setAsking(false) })}
            >
              End the silence
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => setAsking(false)}>
              Keep it
            </Button>
          </Group>
        </Popover.Dropdown>
      </Popover>
      {expire.error ? <ErrorNote title="It could not be ended" error={expire.error} /> : null}
    </>
  );
}
