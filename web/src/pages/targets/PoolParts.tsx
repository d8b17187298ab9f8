// Parts of lists by pool: the heading, what stands for a pool without rows, and the page of a server without pools.
import { Anchor, Text } from '@mantine/core';
import { Link } from 'react-router';

import { IconWarning } from '../../app/icons';
import { StateDot } from '../../app/parts';
import { GroupHead } from '../../list/GroupHead';
import { scrapedOf, whyNone, type PoolCounts } from './pools';

export function PoolHead({
  counts,
  folded,
  onToggle,
}: {
  counts: PoolCounts;
  folded: boolean;
  onToggle: () => void;
}) {
  const { pool, up, down, unknown, dropped, invalid, failures } = counts;
  const total = scrapedOf(counts);
  const n = (count: number) => count.toLocaleString('en-US');
  const bad = down > 0 || invalid > 0;
  return (
    <GroupHead
      title={pool}
      label={`Pool ${pool}`}
      dot={bad ? 'bad' : failures.length > 0 ? 'warn' : up > 0 ? 'ok' : 'none'}
      folded={folded}
      onToggle={onToggle}
    >
      <Text size="xs" c="dimmed" className="tabular">
        {total === 0 ? 'none scraped' : `${n(up)} of ${n(total)} up`}
        {down > 0 ? <Bad>{`, ${n(down)} down`}</Bad> : null}
        {unknown > 0 ? `, ${n(unknown)} not yet scraped` : ''}
        {dropped > 0 ? `, ${n(dropped)} dropped` : ''}
        {invalid > 0 ? <Bad>{`, ${n(invalid)} invalid`}</Bad> : null}
      </Text>
      {failures.map((failure) => (
        <div key={failure} className="pool-failure" role="note">
          <IconWarning size={14} />
          <span className="wrap-anywhere">{`Discovery: ${failure}`}</span>
        </div>
      ))}
    </GroupHead>
  );
}

function Bad({ children }: { children: string }) {
  return (
    <Text span inherit c="var(--kymo-bad)">
      {children}
    </Text>
  );
}

export function PoolNone({ counts, withLink }: { counts: PoolCounts; withLink: boolean }) {
  return (
    <div className="list-row pool-none">
      {whyNone(counts)}{' '}
      {withLink && counts.dropped + counts.invalid > 0 ? (
        <Anchor
          component={Link}
          inherit
          underline="always"
          to={`/discovery?${new URLSearchParams({ pool: counts.pool }).toString()}`}
        >
          What each rule did
        </Anchor>
      ) : null}
    </div>
  );
}

export function NoPools() {
  return (
    <div className="panel section">
      <Text fw={600}>
        <StateDot state="none" /> Nothing is scraped yet
      </Text>
      <Text size="sm" c="dimmed" mt={4}>
        A target is an address that answers with metrics; it is fetched again and again. These lines in the
        configuration make one:
      </Text>
      <pre className="mono teach">{`scrape_configs:
  - job_name: node
    static_configs: [{ targets: ['localhost:9100'] }]`}</pre>
    </div>
  );
}
