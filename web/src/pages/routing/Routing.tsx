// Routing: who is told about which alerts, whether telling works, and where an alert would go.
import { Badge, Button, CloseButton, Group, Stack, Text, TextInput } from '@mantine/core';
import { useMemo, useState } from 'react';

import {
  useFailedNotifications,
  useRoutingTree,
  useWay,
  type RouteNode,
  type RoutingTree,
} from '../../api/routing';
import { Answered } from '../../app/Answered';
import { ErrorNote, Section } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { fromApi, matcherText, parseLabels } from '../../lib/matchers';
import { textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { Receivers } from './Receivers';
import { matchersWords, passingOf, routeFacts, type Passing } from './tree';
import '../../list/list.css';
import './routing.css';

interface Shown {
  labels: string;
}

const FIELDS: Fields<Shown> = { labels: textField('labels') };

export default function Routing() {
  const { refreshMs } = useTime();
  const tree = useRoutingTree(refreshMs);
  return (
    <Answered loaded={tree} what="routes">
      {(data) => <Shown data={data} />}
    </Answered>
  );
}

function Shown({ data }: { data: RoutingTree }) {
  const { refreshMs } = useTime();
  const [{ labels: text }, change] = useUrlFields(FIELDS);
  const failed = useFailedNotifications(refreshMs);
  const read = useMemo(() => parseLabels(text), [text]);
  const asked = text.trim() !== '' && read.ok ? read.value : null;
  const way = useWay(asked);
  const ends = asked === null ? null : (way.data?.routes ?? null);
  const passing = useMemo(() => passingOf(data.route, ends), [data, ends]);
  const told = asked !== null && way.data ? way.data.receivers : null;
  return (
    <Stack gap="sm">
      <Section title="Where would this alert go?">
        <WayForm key={text} text={text} onAsk={(labels) => change({ labels })} />
        {!read.ok ? (
          <Text size="sm" className="trouble" role="alert" mt={6}>
            {read.error}
          </Text>
        ) : null}
        {asked !== null && way.error ? (
          <ErrorNote
            title="The way could not be asked for"
            error={way.error}
            onRetry={() => void way.refetch()}
          />
        ) : null}
        {told ? (
          <Text size="sm" mt={8} role="status">
            It goes to <strong>{told.join(', ')}</strong>
            {told.length > 1 ? `: ${told.length} routes take it.` : '.'}
          </Text>
        ) : null}
      </Section>
      <Section title="Routes">
        <Text size="xs" c="dimmed" mb={8}>
          From the top: the first route whose conditions hold takes an alert, and asks its own routes before
          it tells its receiver. What a route does not say is as above it.
        </Text>
        <ul className="route-tree" aria-label="Routing tree">
          <RouteItem node={data.route} above={null} passing={passing} />
        </ul>
        {data.route.routes.length === 0 ? (
          <pre className="mono teach">{`# alertmanager.yml: routes say which alerts go elsewhere
route:
  receiver: mail
  routes:
    - matchers: [severity="page"]
      receiver: pager`}</pre>
        ) : null}
      </Section>
      <Receivers tree={data} failed={failed} />
    </Stack>
  );
}

/** Asked for when it is sent: half a label is none. */
function WayForm({ text, onAsk }: { text: string; onAsk: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  return (
    <form
      className="way-form"
      onSubmit={(event) => {
        event.preventDefault();
        onAsk(typed.trim());
      }}
    >
      <TextInput
        size="sm"
        aria-label="Labels of the alert"
        placeholder={'alertname="DiskFull", team=db, severity=page'}
        value={typed}
        onChange={(event) => setTyped(event.currentTarget.value)}
        className="way-labels"
        rightSection={
          text === '' ? null : <CloseButton size="sm" aria-label="No alert" onClick={() => onAsk('')} />
        }
      />
      <Button type="submit" size="sm">
        Show its way
      </Button>
    </form>
  );
}

const PASSING_WORDS: Record<Passing, string> = {
  ends: 'it ends here',
  passed: 'on its way',
  missed: '',
  none: '',
};

function RouteItem({
  node,
  above,
  passing,
}: {
  node: RouteNode;
  above: RouteNode | null;
  passing: ReadonlyMap<number, Passing>;
}) {
  const how = passing.get(node.id) ?? 'none';
  const facts = routeFacts(node, above);
  return (
    <li>
      <div className={`route-node ${how}`} aria-current={how === 'ends' ? 'true' : undefined}>
        <Group gap={6} className="route-line">
          {above === null ? <Text size="sm">All alerts</Text> : null}
          {node.matchers.map((matcher) => (
            <code key={matcherText(fromApi(matcher))} className="matcher">
              {matcherText(fromApi(matcher))}
            </code>
          ))}
          {above !== null && node.matchers.length === 0 ? <Text size="sm">Whatever is left</Text> : null}
          <Text size="sm" span className="route-arrow" aria-label="to">
            →
          </Text>
          <Text size="sm" fw={600} span className="wrap-anywhere">
            {node.receiver}
          </Text>
          {node.continue ? (
            <Badge size="sm" variant="default" tt="none" fw={400} title="Routes behind it are asked, too">
              goes on
            </Badge>
          ) : null}
          {PASSING_WORDS[how] === '' ? null : (
            <Badge size="sm" variant={how === 'ends' ? 'filled' : 'outline'} tt="none" fw={600}>
              {PASSING_WORDS[how]}
            </Badge>
          )}
        </Group>
        {facts.length > 0 ? (
          <Text size="xs" c="dimmed">
            {facts.join(' · ')}
          </Text>
        ) : null}
      </div>
      {node.routes.length > 0 ? (
        <ul aria-label={above === null ? 'Routes' : `Routes below ${matchersWords(node)}`}>
          {node.routes.map((child) => (
            <RouteItem key={child.id} node={child} above={node} passing={passing} />
          ))}
        </ul>
      ) : null}
    </li>
  );
}
