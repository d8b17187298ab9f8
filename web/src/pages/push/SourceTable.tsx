// The table of sources; only what is in sight is in the page. Narrow screens show each as a card.
import { Anchor, Text, UnstyledButton } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

import { StateDot, When } from '../../app/parts';
import { formatValue, fullValue, type Unit } from '../../lib/units';
import { exploreLink } from '../../lib/urlState';
import { OpenButton, RowList, useOpenRows } from '../../list/RowList';
import {
  isOwn,
  many,
  nameOf,
  protocolWords,
  queryOf,
  SORTS,
  type Source,
  type SourceColumn,
  type SourceSort,
} from './pushData';

export function SourceTable({
  sources,
  withTenants,
  sort,
  onSort,
}: {
  sources: readonly Source[];
  withTenants: boolean;
  sort: SourceSort;
  onSort: (sort: SourceSort) => void;
}) {
  const { isOpen, toggle } = useOpenRows();
  const head = (column: SourceColumn) => <HeadCell column={column} sort={sort} onSort={onSort} />;
  return (
    <RowList
      rows={sources}
      label="Push sources"
      rowPx={45}
      head={
        <div className="push-line push-head" role="row">
          <span role="columnheader">
            <span className="visually-hidden">Details</span>
          </span>
          <span role="columnheader">State</span>
          {head('client')}
          {head('protocol')}
          {head('samples')}
          {head('rate')}
          {head('refused')}
          {head('errors')}
          {head('seen')}
        </div>
      }
    >
      {(source) => (
        <SourceRow
          source={source}
          withTenant={withTenants}
          open={isOpen(source.key)}
          onToggle={() => toggle(source.key)}
        />
      )}
    </RowList>
  );
}

function HeadCell({
  column,
  sort,
  onSort,
}: {
  column: SourceColumn;
  sort: SourceSort;
  onSort: (sort: SourceSort) => void;
}) {
  const { title, numeric } = SORTS[column];
  const active = sort.column === column ? sort : null;
  return (
    <span
      role="columnheader"
      aria-sort={active === null ? 'none' : active.falling ? 'descending' : 'ascending'}
      className={numeric ? 'num' : undefined}
    >
      <UnstyledButton
        className="head-button"
        onClick={() => onSort({ column, falling: active === null ? numeric : !active.falling })}
      >
        {title}
        {active === null ? '' : active.falling ? ' ↓' : ' ↑'}
      </UnstyledButton>
    </span>
  );
}

const STATE_DOTS = { failing: 'bad', pushing: 'ok', silent: 'none' } as const;

function SourceRow({
  source,
  withTenant,
  open,
  onToggle,
}: {
  source: Source;
  withTenant: boolean;
  open: boolean;
  onToggle: () => void;
}) {
  const name = nameOf(source);
  return (
    <div className="list-row" role="presentation">
      <div className="push-line">
        <span role="cell">
          <OpenButton open={open} label={`Details of ${name}`} onToggle={onToggle} />
        </span>
        <span role="cell" className="row-state">
          <StateDot state={STATE_DOTS[source.state]} />
          {source.state}
        </span>
        <span role="cell" className="push-name">
          <span title={name}>{name}</span>
          {source.address === '' || source.address === name ? null : (
            <span className="quiet">{source.address}</span>
          )}
          {withTenant ? <span className="quiet">{`tenant ${source.tenant}`}</span> : null}
        </span>
        <span role="cell" className="push-protocol">
          <Anchor
            component={Link}
            to={exploreLink(queryOf(source.protocol))}
            inherit
            title="Samples of this protocol over time"
          >
            {protocolWords(source.protocol)}
          </Anchor>
        </span>
        <NumberCell value={source.samples} unit="count" words="samples" />
        <NumberCell value={source.samplesPerSecond} unit="/s" />
        <NumberCell value={source.refused} unit="count" words="refused" trouble />
        <NumberCell value={source.errors} unit="count" words="failed" trouble />
        <span role="cell" className="num push-seen">
          <When ms={source.lastSeenMs} relative />
        </span>
      </div>
      {source.lastError === undefined ? null : (
        <div
          role="cell"
          className={source.state === 'failing' ? 'push-error failing' : 'push-error'}
          data-testid="push-error"
        >
          <span className="wrap-anywhere">{source.lastError}</span>
          {source.lastErrorMs === null || source.state === 'failing' ? null : (
            <>
              {' · '}
              <When ms={source.lastErrorMs} relative />
            </>
          )}
        </div>
      )}
      {open ? <Details source={source} /> : null}
    </div>
  );
}

/** `words` stand beside the number where no heading stands above it. */
function NumberCell({
  value,
  unit,
  words,
  trouble = false,
}: {
  value: number;
  unit: Unit;
  words?: string;
  trouble?: boolean;
}) {
  const kind = trouble ? (value > 0 ? ' push-bad' : ' push-none') : '';
  return (
    <span role="cell" className={`num push-fact${kind}`} title={fullValue(value, unit)}>
      {formatValue(value, unit, 3)}
      {words === undefined ? null : <span className="push-words">{` ${words}`}</span>}
    </span>
  );
}

function Details({ source }: { source: Source }) {
  const perPush = source.requests > 0 ? source.samples / source.requests : 0;
  const address = isOwn(source) ? 'this server' : source.address;
  return (
    <div role="cell">
      <dl className="push-details">
        <Fact name="Client">{source.userAgent === '' ? 'does not name itself' : nameOf(source)}</Fact>
        <Fact name="Address">{address === '' ? 'none, as of a Unix socket' : address}</Fact>
        <Fact name="Tenant">{source.tenant}</Fact>
        <Fact name="First seen">
          <When ms={source.firstSeenMs} />
        </Fact>
        <Fact name="Last seen">
          <When ms={source.lastSeenMs} />
        </Fact>
        <Fact name="Pushes">
          {many(source.requests, 'push', 'pushes')}, {formatValue(perPush, 'count', 3)} samples each
        </Fact>
        <Fact name="Received">
          <span title={fullValue(source.bytes, 'bytes')}>{formatValue(source.bytes, 'bytes', 3)}</span>
        </Fact>
        <Fact name="Not written">
          {many(source.refused, 'sample')} refused, {many(source.errors, 'push', 'pushes')} failed as a whole
        </Fact>
        {source.lastErrorMs === null ? null : (
          <Fact name="Last error">
            <When ms={source.lastErrorMs} />
          </Fact>
        )}
      </dl>
      {source.protocol === 'statsd' && !isOwn(source) ? (
        <Text size="xs" c="dimmed" className="push-hint">
          What StatsD’s clients send is aggregated first: the samples that come of it count as Kymo’s.
        </Text>
      ) : null}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <Text component="dt" size="xs" fw={600} c="dimmed">
        {name}
      </Text>
      <dd className="wrap-anywhere tabular">{children}</dd>
    </div>
  );
}
