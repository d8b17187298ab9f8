// Hosts: a table when there are several, and the vital signs of the one looked at.
import { Anchor, Group, Text } from '@mantine/core';
import { useMemo } from 'react';
import { Link, useSearchParams } from 'react-router';

import { useInstantQueries } from '../../api/asked';
import { vectorOf } from '../../api/hooks';
import type { Target } from '../../api/types';
import { StateDot } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { quote } from '../../lib/labels';
import { chooseStep, rateWindow } from '../../lib/step';
import { readableSpan, spanOf } from '../../lib/time';
import { formatValue, fullValue, parseSample } from '../../lib/units';
import { HostPanel } from './HostPanel';
import { byHost, intervalOf, panelsOf, vitals, type Host } from './hosts';

export function HostPart({
  hosts,
  targets,
  stale,
}: {
  hosts: readonly Host[];
  targets: readonly Target[];
  stale: boolean;
}) {
  const [params] = useSearchParams();
  const { range, refreshMs } = useTime();
  const asked = params.get('host');
  const host = hosts.find((one) => one.id === asked) ?? hosts[0];
  const intervalMs = host ? intervalOf(host, targets) : 15_000;
  const stepMs = chooseStep(spanOf(range), 640);
  const windowMs = rateWindow(intervalMs, stepMs);
  const { job = '', instance = '' } = host ?? {};
  const panels = useMemo(() => panelsOf({ job, instance }, windowMs), [job, instance, windowMs]);
  if (!host) return null;
  return (
    <div className={stale ? 'stale' : undefined}>
      {hosts.length > 1 ? (
        <HostTable hosts={hosts} chosen={host} windowMs={rateWindow(intervalMs, 0)} />
      ) : null}
      <HostHead host={host} />
      <div className="host-grid">
        {panels.map((panel) => (
          <HostPanel
            key={`${host.id}|${panel.id}`}
            spec={panel}
            range={range}
            stepMs={stepMs}
            refreshMs={refreshMs}
          />
        ))}
      </div>
    </div>
  );
}

function HostHead({ host }: { host: Host }) {
  const { refreshMs } = useTime();
  const h = `job=${quote(host.job)},instance=${quote(host.instance)}`;
  const facts = useInstantQueries(
    [
      `time() - node_boot_time_seconds{${h}}`,
      `count(node_cpu_seconds_total{${h},mode="idle"})`,
      `node_memory_MemTotal_bytes{${h}}`,
    ],
    { kind: 'relative', spanMs: 60_000 },
    refreshMs,
    true,
  );
  const valueOf = (i: number) => {
    const found = vectorOf(facts[i]?.data)[0]?.value;
    return found ? parseSample(found[1]) : null;
  };
  const [uptime, processors, memory] = [valueOf(0), valueOf(1), valueOf(2)];
  const words = [
    host.about,
    processors === null ? '' : `${processors} ${processors === 1 ? 'processor' : 'processors'}`,
    memory === null ? '' : formatValue(memory, 'bytes', 3),
    uptime === null ? '' : `up for ${readableSpan(uptime * 1_000)}`,
  ].filter((part) => part !== '');
  return (
    <Group gap="sm" className="host-head" align="baseline">
      <StateDot state={host.up ? 'ok' : 'bad'} />
      <h2>{host.name}</h2>
      <Text size="xs" c="dimmed" className="tabular">
        {host.up ? words.join(' · ') : `${host.id} reports nothing any more`}
      </Text>
    </Group>
  );
}

function HostTable({ hosts, chosen, windowMs }: { hosts: readonly Host[]; chosen: Host; windowMs: number }) {
  const [params] = useSearchParams();
  const { range, refreshMs } = useTime();
  const specs = useMemo(() => vitals(windowMs), [windowMs]);
  const answers = useInstantQueries(
    specs.map((spec) => spec.query),
    range,
    refreshMs,
    true,
  );
  const columns = answers.map((answer) => byHost(vectorOf(answer.data)));
  const troubled = (host: Host) =>
    (host.up ? 0 : 10) + specs.filter((spec, i) => (columns[i]?.get(host.id) ?? 0) >= spec.warnAt).length;
  const ordered = [...hosts].sort((a, b) => troubled(b) - troubled(a) || a.name.localeCompare(b.name));
  const linkTo = (host: Host) => {
    const next = new URLSearchParams(params);
    next.set('host', host.id);
    return `/overview?${next.toString()}`;
  };
  return (
    <section className="panel section host-table-panel">
      <h2 className="visually-hidden">Hosts</h2>
      <table className="host-table">
        <thead>
          <tr>
            <th scope="col">Host</th>
            {specs.map((spec) => (
              <th key={spec.id} scope="col" className="num">
                {spec.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {ordered.map((host) => (
            <tr key={host.id} aria-current={host.id === chosen.id ? 'true' : undefined}>
              <th scope="row">
                <StateDot state={host.up ? 'ok' : 'bad'} />{' '}
                <Anchor component={Link} to={linkTo(host)} size="sm">
                  {host.name}
                </Anchor>
              </th>
              {specs.map((spec, i) => {
                const value = columns[i]?.get(host.id);
                const warn = value !== undefined && value >= spec.warnAt;
                return (
                  <td
                    key={spec.id}
                    data-name={spec.title}
                    className={warn ? 'num warn' : 'num'}
                    title={value === undefined ? undefined : fullValue(value, spec.unit)}
                  >
                    {value === undefined ? '–' : formatValue(value, spec.unit, 3)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
