// What an alert's rule measures, over time, against its threshold.
import { Anchor, Skeleton, Text } from '@mantine/core';
import { useMemo } from 'react';
import { Link } from 'react-router';

import { useKept, useRange, type RangeAnswer } from '../../api/hooks';
import type { NamedRule } from '../../lib/ruleText';
import { ErrorNote, Section } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { Plot } from '../../graph/Plot';
import { useColors } from '../../graph/useColors';
import type { Labels } from '../../lib/labels';
import { unitOfQuery } from '../../lib/promql';
import { chooseStep } from '../../lib/step';
import { measuredOf, type Measured } from '../../lib/threshold';
import { spanOf } from '../../lib/time';
import { formatValue, type Unit } from '../../lib/units';
import { exploreLink } from '../../lib/urlState';
import { linesOf, thresholdLine } from './ruleGraph';

const HEIGHT_PX = 260;

export function RuleGraph({ rule, labels }: { rule: NamedRule; labels: Labels }) {
  const { range, refreshMs } = useTime();
  const measured = useMemo(() => measuredOf(rule.query), [rule.query]);
  const unit = useMemo(() => unitOfQuery(measured.query).unit, [measured]);
  const stepMs = chooseStep(spanOf(range), 900);
  const loaded = useRange(measured.query, range, stepMs, refreshMs);
  const { data, error, stale } = useKept(loaded);
  const against = useRange(measured.against ?? '', range, stepMs, refreshMs, measured.against !== null);
  return (
    <Section
      title="What its rule measures"
      aside={
        <Anchor component={Link} to={exploreLink(rule.query)} size="sm">
          Explore
        </Anchor>
      }
    >
      <Text size="sm" mb={6}>
        <code className="wrap-anywhere">{measured.query.replace(/\s+/g, ' ')}</code>
        {measured.op === null ? null : (
          <span className="threshold-words">{` ${thresholdWords(measured, unit)}`}</span>
        )}
      </Text>
      {error ? (
        <ErrorNote
          title="It could not be asked for"
          error={error}
          kept={stale}
          onRetry={() => void loaded.refetch()}
        />
      ) : null}
      {data ? (
        <Lines
          data={data}
          against={against.data}
          measured={measured}
          unit={unit}
          rule={rule}
          labels={labels}
        />
      ) : error ? null : (
        <Skeleton height={HEIGHT_PX} radius="sm" aria-label="Waiting for the answer" />
      )}
    </Section>
  );
}

function thresholdWords({ op, threshold, against }: Measured, unit: Unit): string {
  const words = {
    '>': 'above',
    '>=': 'at or above',
    '<': 'below',
    '<=': 'at or below',
    '==': 'at',
    '!=': 'other than',
  };
  const side = threshold === null ? (against ?? '').replace(/\s+/g, ' ') : formatValue(threshold, unit);
  return op === null ? '' : `fires ${words[op]} ${side}`;
}

function Lines({
  data,
  against,
  measured,
  unit,
  rule,
  labels,
}: {
  data: RangeAnswer;
  against: RangeAnswer | undefined;
  measured: Measured;
  unit: Unit;
  rule: NamedRule;
  labels: Labels;
}) {
  const { zoomInto, zoomBack } = useTime();
  const { lines, left } = useMemo(() => {
    const given = rule.labels ?? {};
    const found = linesOf(data.frame, labels, given);
    const moving =
      // Answers of different moments share no grid; the late one comes in a moment.
      against?.startMs === data.startMs && against.endMs === data.endMs
        ? linesOf(against.frame, labels, given).lines.map((line) => ({
            ...line,
            key: `against\u0000${line.key}`,
            label: 'threshold',
            isThreshold: true,
          }))
        : [];
    const { threshold } = measured;
    const fixed =
      threshold !== null && Number.isFinite(threshold) && found.lines.length > 0
        ? [thresholdLine(threshold, `threshold ${formatValue(threshold, unit)}`, data.frame.times.length)]
        : [];
    // What is drawn last is on top: a value that lies on its threshold must show.
    return { lines: [...fixed, ...moving, ...found.lines], left: found.left };
  }, [data, against, measured, unit, rule, labels]);
  const keys = useMemo(() => lines.filter((line) => !line.isThreshold).map((line) => line.key), [lines]);
  const slots = useColors(keys);
  const series = useMemo(
    () => lines.map((line) => ({ ...line, slot: slots.get(line.key) ?? 0 })),
    [lines, slots],
  );
  if (keys.length === 0)
    return (
      <Text size="sm" c="dimmed" py="lg" ta="center">
        No data in this range.
      </Text>
    );
  return (
    <>
      <Plot
        times={data.frame.times}
        series={series}
        unit={unit}
        height={HEIGHT_PX}
        label={`${measured.query}, and the threshold of ${rule.name}`}
        onZoom={zoomInto}
        onZoomOut={zoomBack}
      />
      {left > 0 ? (
        <Text size="xs" c="dimmed">
          {`${left.toLocaleString('en-US')} more series are not drawn.`}
        </Text>
      ) : null}
    </>
  );
}
