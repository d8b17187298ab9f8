// The list of targets, pools as headings; only what is in sight is in the page.
import { Anchor, Badge, Collapse, Group, Text, Tooltip, UnstyledButton } from '@mantine/core';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef, useState } from 'react';
import { Link } from 'react-router';

import type { DroppedTarget, Target } from '../../api/types';
import { IconDown, IconRight } from '../../app/icons';
import { StateDot, When } from '../../app/parts';
import type { Labels } from '../../lib/labels';
import { exploreLink } from '../../lib/urlState';
import { formatValue, fullValue } from '../../lib/units';
import { ruleText } from './relabelData';
import { RelabelSteps } from './RelabelSteps';
import { poolOfDropped, sampleKey, scrapedAtMs, selectorOf, type PoolCounts, type Row } from './targetData';

export function TargetList({
  rows,
  samples,
}: {
  rows: readonly Row[];
  samples: ReadonlyMap<string, number>;
}) {
  const host = useRef<HTMLDivElement>(null);
  const [offset, setOffset] = useState(0);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  useLayoutEffect(() => {
    const top = host.current?.getBoundingClientRect().top ?? 0;
    setOffset(top + window.scrollY);
  }, []);
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: (i) => (rows[i]?.kind === 'pool' ? 44 : 45),
    overscan: 12,
    scrollMargin: offset,
    getItemKey: (i) => rows[i]?.key ?? i,
  });
  const toggle = (key: string) =>
    setOpen((old) => {
      const next = new Set(old);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  return (
    <div ref={host} className="panel target-list" role="list" aria-label="Targets">
      <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <div
              key={item.key}
              ref={virtual.measureElement}
              data-index={item.index}
              role="listitem"
              className="target-item"
              style={{ transform: `translateY(${item.start - offset}px)` }}
            >
              {row.kind === 'pool' ? <PoolHead counts={row.counts} /> : null}
              {row.kind === 'target' ? (
                <TargetRow
                  target={row.target}
                  sampleCount={samples.get(sampleKey(row.target.labels))}
                  open={open.has(row.key)}
                  onToggle={() => toggle(row.key)}
                />
              ) : null}
              {row.kind === 'dropped' ? <DroppedRow target={row.target} /> : null}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function PoolHead({ counts }: { counts: PoolCounts }) {
  const total = counts.up + counts.down + counts.unknown;
  return (
    <div className="pool-head">
      <StateDot state={counts.down > 0 ? 'bad' : counts.up > 0 ? 'ok' : 'none'} />
      <h2>{counts.pool}</h2>
      <Text size="xs" c="dimmed" className="tabular">
        {total === 0 ? 'none active' : `${counts.up} of ${total} up`}
        {counts.down > 0 ? (
          <Text span inherit c="var(--kymo-bad)">
            {`, ${counts.down} down`}
          </Text>
        ) : null}
        {counts.unknown > 0 ? `, ${counts.unknown} not yet scraped` : ''}
        {counts.dropped > 0 ? `, ${counts.dropped} dropped` : ''}
      </Text>
    </div>
  );
}

const STATE_WORDS = { up: 'up', down: 'down', unknown: 'not yet' } as const;
const STATE_DOTS = { up: 'ok', down: 'bad', unknown: 'none' } as const;

function TargetRow({
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
  const scrapedMs = scrapedAtMs(target);
  return (
    <div className="target-row">
      <div className="target-line">
        <UnstyledButton
          className="target-open"
          aria-expanded={open}
          aria-label={`Details of ${target.scrapeUrl}`}
          onClick={onToggle}
        >
          {open ? <IconDown size={14} /> : <IconRight size={14} />}
        </UnstyledButton>
        <span className="target-state">
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
      <Collapse expanded={open} transitionDuration={0}>
        {open ? <Details target={target} /> : null}
      </Collapse>
    </div>
  );
}

function Details({ target }: { target: Target }) {
  return (
    <div className="target-details">
      <div>
        <Text size="xs" fw={600} c="dimmed">
          Fetched
        </Text>
        <Text size="sm" className="mono wrap-anywhere">
          {target.scrapeUrl}
        </Text>
        <Text size="xs" c="dimmed">
          every {target.scrapeInterval}, given {target.scrapeTimeout}
        </Text>
      </div>
      <LabelList title="Labels of its series" labels={target.labels} />
      <LabelList title="Labels before relabelling" labels={target.discoveredLabels} />
      <div className="target-steps">
        <Text size="xs" fw={600} c="dimmed">
          What relabelling did
        </Text>
        <RelabelSteps pool={target.scrapePool} labels={target.discoveredLabels} />
      </div>
    </div>
  );
}

export function LabelList({ title, labels }: { title: string; labels: Labels }) {
  return (
    <div>
      <Text size="xs" fw={600} c="dimmed">
        {title}
      </Text>
      <dl className="label-list mono">
        {Object.keys(labels)
          .sort()
          .map((name) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd className="wrap-anywhere">{labels[name]}</dd>
            </div>
          ))}
      </dl>
    </div>
  );
}

const CHIPS_MAX = 4;

function LabelChips({ labels, without }: { labels: Labels; without: readonly string[] }) {
  const names = Object.keys(labels)
    .filter((name) => !without.includes(name))
    .sort();
  if (names.length === 0) return null;
  return (
    <Group gap={4} component="span">
      {names.slice(0, CHIPS_MAX).map((name) => (
        <Badge key={name} component="span" size="sm" variant="default" radius="sm" tt="none" fw={400}>
          {name}={labels[name]}
        </Badge>
      ))}
      {names.length > CHIPS_MAX ? (
        <Tooltip
          label={names
            .slice(CHIPS_MAX)
            .map((name) => `${name}=${labels[name] ?? ''}`)
            .join(', ')}
        >
          <Text size="xs" c="dimmed" span>
            +{names.length - CHIPS_MAX}
          </Text>
        </Tooltip>
      ) : null}
    </Group>
  );
}

function DroppedRow({ target }: { target: DroppedTarget }) {
  return (
    <div className="target-row">
      <Text size="xs" c="dimmed" mb={4}>
        {target.droppedBy
          ? `Dropped by rule ${target.droppedBy.index + 1} of relabel_configs: ${ruleText(target.droppedBy.rule)}. It was discovered with:`
          : 'Dropped by relabelling. It was discovered with:'}
      </Text>
      <LabelList title={target.discoveredLabels['__address__'] ?? ''} labels={target.discoveredLabels} />
      <Anchor
        component={Link}
        size="xs"
        to={`/discovery?${new URLSearchParams({ pool: poolOfDropped(target), find: target.discoveredLabels['__address__'] ?? '' }).toString()}`}
      >
        What each rule did to it
      </Anchor>
    </div>
  );
}
