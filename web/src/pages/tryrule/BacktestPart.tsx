// What a rule would have done in the past: alerts, pages by day, and how that differs from the rule in force.
import { Button, Group, Progress, SegmentedControl, Text } from '@mantine/core';
import { useState } from 'react';

import { useBacktest, type BacktestReport } from '../../api/backtest';
import { ErrorNote, Section, When } from '../../app/parts';
import { goTimeMs } from '../../lib/goTime';
import { ruleFileOf, type NamedRule } from '../../lib/ruleText';
import { formatDuration, parseDuration, readableSpan } from '../../lib/time';
import { parseSample, plainNumber } from '../../lib/units';
import { LabelChips } from '../../list/LabelChips';
import { alertsWords, comparisonWords, dayBars, pagesWords } from './backtestData';

const BACK = ['1d', '7d', '30d'] as const;
const LISTED_MAX = 50;

export function BacktestPart({
  rule,
  old,
  fault,
}: {
  rule: NamedRule;
  old: NamedRule | undefined;
  fault: string | null;
}) {
  const [back, setBack] = useState<(typeof BACK)[number]>('7d');
  const { report, error, progress, run, cancel } = useBacktest();
  const running = progress !== null;
  const start = () => {
    const to = Math.floor(Date.now() / 1_000);
    run({
      groups: ruleFileOf(rule),
      ...(old === undefined ? {} : { compare: ruleFileOf(old) }),
      from: to - (parseDuration(back) ?? 0) / 1_000,
      to,
      limit: LISTED_MAX,
    });
  };
  return (
    <Section title="What it would have done">
      <Group gap={8}>
        <SegmentedControl
          size="xs"
          aria-label="How far back"
          value={back}
          transitionDuration={0}
          onChange={(value) => setBack(value)}
          data={BACK.map((value) => ({ value, label: `Last ${value}` }))}
        />
        <Button size="xs" onClick={start} disabled={fault !== null || running}>
          Backtest
        </Button>
        {running ? (
          <>
            <Progress value={progress * 100} w={160} aria-label="How far it is" />
            <Button size="compact-xs" variant="default" onClick={cancel}>
              Cancel
            </Button>
          </>
        ) : null}
        <Text size="xs" c="dimmed">
          {old === undefined
            ? 'No rule in force has this name.'
            : 'Compared with the rule of this name in force.'}
        </Text>
      </Group>
      {error ? <ErrorNote title="The backtest failed" error={error} kept={report !== null} /> : null}
      {report ? <Report report={report} stale={running} /> : null}
    </Section>
  );
}

function Report({ report, stale }: { report: BacktestReport; stale: boolean }) {
  const bars = dayBars(report);
  const [fromMs, toMs] = [goTimeMs(report.from), goTimeMs(report.to)];
  const errors = report.rules.flatMap((one) => (one.lastError === undefined ? [] : [one.lastError]));
  return (
    <div className={stale ? 'stale try-report' : 'try-report'} role="status">
      <Text size="sm" fw={600}>
        {alertsWords(report)}
      </Text>
      <Text size="sm">{pagesWords(report.pages)}</Text>
      {report.compare ? <Text size="sm">{comparisonWords(report.compare, report.pages)}</Text> : null}
      {errors.map((text) => (
        <Text key={text} size="sm" className="trouble wrap-anywhere">
          {text}
        </Text>
      ))}
      <Text size="xs" c="dimmed">
        {fromMs === null || toMs === null ? null : (
          <>
            <When ms={fromMs} />
            {' to '}
            <When ms={toMs} />
            {`, ${formatDuration(toMs - fromMs)}`}
          </>
        )}
      </Text>
      {bars.length > 0 ? (
        <ul className="day-bars" aria-label="Pages by day">
          {bars.map(({ day, pages, share }) => (
            <li key={day}>
              <span className="tabular quiet">{day}</span>
              <span className="day-bar" style={{ width: `${share * 100}%` }} aria-hidden="true" />
              <span className="num">{pages.toLocaleString('en-US')}</span>
            </li>
          ))}
        </ul>
      ) : null}
      {report.alerts.length > 0 ? (
        <ul className="try-alerts" aria-label="Alerts that it would have raised">
          {report.alerts.map((one, i) => {
            const firedMs = goTimeMs(one.firedAt ?? undefined);
            const endMs = goTimeMs(one.resolvedAt ?? undefined);
            return (
              <li key={i}>
                <span className="tabular">{firedMs === null ? '–' : <When ms={firedMs} />}</span>
                <span className="tabular quiet">
                  {firedMs === null
                    ? ''
                    : endMs === null
                      ? 'goes on'
                      : `for ${readableSpan(endMs - firedMs)}`}
                </span>
                <LabelChips labels={one.labels} without={['alertname']} />
                <span
                  className="num"
                  title="Its highest value (of a rule that watches for low ones the lowest)"
                >
                  {plainNumber(parseSample(one.peak))}
                </span>
              </li>
            );
          })}
        </ul>
      ) : null}
      {report.alertCount > report.alerts.length ? (
        <Text size="xs" c="dimmed">
          {`and ${(report.alertCount - report.alerts.length).toLocaleString('en-US')} more`}
        </Text>
      ) : null}
    </div>
  );
}
