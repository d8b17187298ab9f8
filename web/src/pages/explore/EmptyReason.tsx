// An empty answer says why.
import { Anchor, Button, Text, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Fragment, type ReactNode } from 'react';
import { Link } from 'react-router';

import { When } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { readableSpan, resolveRange, spanOf, type TimeRange } from '../../lib/time';
import { exploreLink } from '../../lib/urlState';
import { serverOracle } from './oracle';
import { whyEmpty, type Reason } from './whyEmpty';

/** What rates and lookback reach behind the start. */
const LOOKBACK_MS = 300_000;

export function EmptyReason({
  letter,
  query,
  range,
  onQuery,
}: {
  letter: string | null;
  query: string;
  range: TimeRange;
  onQuery: (query: string) => void;
}) {
  const { zoomBack } = useTime();
  const why = useQuery<Reason>({
    queryKey: ['why-empty', query, range],
    queryFn: ({ signal }) => {
      const { startMs, endMs } = resolveRange(range, Date.now());
      return whyEmpty(query, { startMs: startMs - LOOKBACK_MS, endMs }, serverOracle(signal));
    },
    retry: false,
  });
  return (
    <div className="empty-reason" role="status" data-testid="empty-reason">
      <Text fw={600}>
        {letter === null ? 'No data' : `${letter}: no data`} in{' '}
        {range.kind === 'relative' ? `the last ${readableSpan(spanOf(range))}` : 'this range'}
      </Text>
      <Text size="sm" c="dimmed" className="wrap-anywhere">
        {why.data
          ? words(why.data, onQuery)
          : why.error
            ? `Why, the server could not say: ${why.error.message}`
            : 'Asking why…'}
      </Text>
      {range.kind === 'absolute' ? (
        <Button size="compact-xs" variant="default" mt={8} onClick={zoomBack}>
          Zoom back out
        </Button>
      ) : null}
    </div>
  );
}

function offer(
  list: readonly { text: string; query: string }[],
  onQuery: (query: string) => void,
): ReactNode {
  if (list.length === 0) return null;
  return (
    <>
      {' '}
      Did you mean{' '}
      {list.map(({ text, query }, i) => (
        <Fragment key={text}>
          {i > 0 ? ' or ' : ''}
          <UnstyledButton className="text-button mono" onClick={() => onQuery(query)}>
            {text}
          </UnstyledButton>
        </Fragment>
      ))}
      ?
    </>
  );
}

function words(reason: Reason, onQuery: (query: string) => void): ReactNode {
  switch (reason.kind) {
    case 'no-such-metric':
      return (
        <>
          There is no metric <code>{reason.metric}</code>.
          {offer(
            reason.suggestions.map((s) => ({ text: s.metric, query: s.query })),
            onQuery,
          )}
        </>
      );
    case 'no-data-in-range':
      return (
        <>
          <code>{reason.selector}</code> exists, but has no samples here.{' '}
          {reason.lastSeenMs === null ? (
            'It was not seen in the last 60 days either.'
          ) : (
            <>
              It was last seen <When ms={reason.lastSeenMs} relative /> (<When ms={reason.lastSeenMs} />
              ).{' '}
              <Anchor component={Link} inherit to={aroundLink(reason.selector, reason.lastSeenMs)}>
                Show that time
              </Anchor>
            </>
          )}
        </>
      );
    case 'no-label':
      return (
        <>
          <code>{reason.selector}</code> has samples here, but no label <code>{reason.label}</code>.
        </>
      );
    case 'matcher':
      return (
        <>
          <code>{reason.selector}</code> has samples here, but <code>{reason.matcher}</code> lets none
          through.
          {reason.values.length > 0 ? <> Values there are: {reason.values.join(', ')}.</> : null}
          {offer(reason.suggestions, onQuery)}
        </>
      );
    case 'matchers-together':
      return (
        <>
          Each matcher of <code>{reason.selector}</code> finds series, but no series satisfies all of them.
        </>
      );
    case 'expression':
      return 'The selectors find series, but the expression lets none of them through: a comparison that is never true, labels that match on neither side of an operator, or a range too short for two samples.';
    case 'no-selector':
      return 'The query selects no series.';
  }
}

function aroundLink(query: string, ms: number): string {
  return exploreLink(query, {
    from: new Date(ms - 1_800_000).toISOString(),
    to: new Date(ms + 300_000).toISOString(),
  });
}
