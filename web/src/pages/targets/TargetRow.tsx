// One target: how it is, and on wish where it comes from and what relabelling did to it.
import { Anchor, Text } from '@mantine/core';
import { Link } from 'react-router';

import type { Target } from '../../api/types';
import { StateDot, When } from '../../app/parts';
import { goTimeMs } from '../../lib/goTime';
import { exploreLink } from '../../lib/urlState';
import { formatValue, fullValue } from '../../lib/units';
import { LabelChips } from '../../list/LabelChips';
import { OpenButton } from '../../list/RowList';
import { LabelTable } from './LabelTable';
import { RelabelSteps } from './RelabelSteps';
import { selectorOf } from './targetData';

const STATE_WORDS = { up: 'up', down: 'down', unknown: 'not yet' } as const;
const STATE_DOTS = { up: 'ok', down: 'bad', unknown: 'none' } as const;

export function TargetRow({
  target,
  sampleCount,
  open,
  onToggle,
}: {
  target: Target;
  sampleCount: number | undefined;
  open: boolean;
  onToggle: () => void;
}) {
  const scrapedMs = goTimeMs(target.lastScrape);
  return (
    <div className="list-row target-row">
      <div className="target-line">
        <OpenButton open={open} label={`Details of ${target.scrapeUrl}`} onToggle={onToggle} />
        <span className="row-state">
          <StateDot state={STATE_DOTS[target.health]} />
          {STATE_WORDS[target.health]}
        </span>
        <span className="target-name">
          <Anchor component={Link} to={exploreLink(selectorOf(target.labels), { tab: 'table' })} inherit>
            {target.labels['instance'] ?? target.scrapeUrl}
          </Anchor>
          <LabelChips labels={target.labels} without={['instance', 'job']} />
        </span>
        <span className="num target-fact" title="Last scrape">
          {scrapedMs === null ? 'not yet' : <When ms={scrapedMs} relative />}
        </span>
        <span className="num target-fact" title={`Took ${fullValue(target.lastScrapeDuration, 'seconds')}`}>
          {scrapedMs === null ? '–' : formatValue(target.lastScrapeDuration, 'seconds', 3)}
        </span>
        <span className="num target-fact" title="Samples of the last scrape">
          {sampleCount === undefined ? '–' : `${sampleCount.toLocaleString('en-US')} samples`}
        </span>
      </div>
      {target.lastError === '' ? null : (
        <Text size="sm" className="target-error wrap-anywhere" role="note">
          {target.lastError}
        </Text>
      )}
      {target.seriesLimitExcess ? (
        <Text size="sm" className="target-warning" role="note">
          {`series_limit of job ${target.scrapePool}: ${target.seriesLimitExcess.toLocaleString('en-US')} new series were left out of the last scrape; the others go on.`}
        </Text>
      ) : null}
      {open ? <Details target={target} /> : null}
    </div>
  );
}

function Details({ target }: { target: Target }) {
  return (
    <>
      <Text size="sm" className="target-fetched">
        <span className="mono wrap-anywhere">{target.scrapeUrl}</span>
        <span className="quiet">{` every ${target.scrapeInterval}, given ${target.scrapeTimeout}`}</span>
      </Text>
      <div className="target-details">
        <RelabelSteps pool={target.scrapePool} labels={target.discoveredLabels} />
        <LabelTable before={target.discoveredLabels} after={target.labels} />
      </div>
    </>
  );
}
