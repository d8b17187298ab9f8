// How to push, to copy: what works at once, and what common senders want to be told.
import { Stack, Text } from '@mantine/core';

import { CopyButton } from '../../app/parts';
import { curlExample, waysToPush } from './waysToPush';

export function HowToPush() {
  const { origin } = window.location;
  const curl = curlExample(origin);
  return (
    <Stack gap="md">
      <Snippet name="A sample by hand" about="as JSON; it shows here at the next refresh" text={curl} />
      {waysToPush(origin).map((way) => (
        <Snippet key={way.name} name={way.name} about={way.about} text={way.text} />
      ))}
      <Text size="sm" c="dimmed">
        StatsD, Graphite, OpenTSDB’s lines and Zabbix’ senders are listened for where the section{' '}
        <code>push</code> of the configuration says. Each protocol, with an example that works, is in{' '}
        <code className="wrap-anywhere">docs/user/collect.md</code>. The header <code>X-Scope-OrgID</code>{' '}
        names the tenant; without it, <code>anonymous</code> is meant.
      </Text>
    </Stack>
  );
}

function Snippet({ name, about, text }: { name: string; about: string; text: string }) {
  return (
    <div>
      <div className="push-way">
        <Text size="sm">
          <Text span inherit fw={600}>
            {name}
          </Text>
          <Text span inherit c="dimmed">{`: ${about}`}</Text>
        </Text>
        <CopyButton text={text} label={`Copy: ${name}`} words="Copy" />
      </div>
      <pre className="mono teach push-snippet">{text}</pre>
    </div>
  );
}
