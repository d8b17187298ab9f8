// Alerts: what fires and what is about to, what keeps it quiet, and who is told.
import { Group, NativeSelect, Text } from '@mantine/core';
import { useMemo } from 'react';

import { useNotifiedAlerts, type NotifiedAlert } from '../../api/alertmanager';
import { useAcks, type Ack } from '../../api/alerts';
import { useRules } from '../../api/hooks';
import type { RuleGroups } from '../../api/types';
import { Answered } from '../../app/Answered';
import { ErrorNote, StateDot } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { ChoiceSelect, FilterBar, NothingMatches } from '../../list/FilterBar';
import { FoldAll, GroupHead } from '../../list/GroupHead';
import { groupRows } from '../../list/groups';
import { RowList, useOpenRows } from '../../list/RowList';
import { choiceField, textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { useFolds } from '../../list/useFolds';
import {
  ALERT_STATES,
  countAlerts,
  filterAlerts,
  groupAlerts,
  groupLabels,
  readAlerts,
  type AlertFilter,
  type AlertGroup,
} from './alertData';
import { SilenceButton } from '../silences/SilenceButton';
import { AlertRow } from './AlertRow';
import './alerts.css';

interface Shown extends AlertFilter {
  /** The label that makes the groups. */
  by: string;
}

const FIELDS: Fields<Shown> = {
  text: textField('find'),
  state: choiceField('state', [...ALERT_STATES, 'all'], 'all'),
  receiver: textField('receiver'),
  by: {
    param: 'by',
    read: (text) => (text === '' ? 'alertname' : text),
    write: (value) => (value === 'alertname' ? '' : value),
  },
};

export default function Alerts() {
  const { refreshMs } = useTime();
  const rules = useRules(refreshMs);
  const notified = useNotifiedAlerts(refreshMs);
  const acks = useAcks(refreshMs);
  return (
    <Answered loaded={rules} what="alerts">
      {(data) => (
        <>
          {notified.error ? (
            <ErrorNote
              title="What is silenced and who is told could not be asked for"
              error={notified.error}
              onRetry={() => void notified.refetch()}
            />
          ) : null}
          <List data={data} notified={notified.data ?? null} acks={acks.data?.acks ?? null} />
        </>
      )}
    </Answered>
  );
}

function List({
  data,
  notified,
  acks,
}: {
  data: RuleGroups;
  notified: NotifiedAlert[] | null;
  /** `null`: there is no such thing as an acknowledgement. */
  acks: Ack[] | null;
}) {
  const owners = useMemo(
    () => (acks === null ? null : new Map(acks.map((ack) => [ack.fingerprint, ack.owner]))),
    [acks],
  );
  const [filter, change] = useUrlFields(FIELDS);
  const control = useFolds();
  const { isOpen, toggle } = useOpenRows();
  const { text, state, receiver, by } = filter;
  const all = useMemo(() => readAlerts(data.groups, notified), [data, notified]);
  const counts = useMemo(() => countAlerts(all, { text, receiver }), [all, text, receiver]);
  const shown = useMemo(() => filterAlerts(all, { text, state, receiver }), [all, text, state, receiver]);
  const groups = useMemo(() => groupAlerts(shown, by), [shown, by]);
  const labels = useMemo(() => [...new Set([...groupLabels(all), by])], [all, by]);
  const receivers = useMemo(() => [...new Set(all.flatMap((one) => one.receivers))].sort(), [all]);
  const rows = groupRows(groups, (one) => one.key, shown, (one) => one.labels[by] ?? '', control.folds); // prettier-ignore

  if (all.length === 0) return <Calm data={data} />;
  const quieted = (['silenced', 'inhibited', 'muted'] as const).filter(
    (one) => counts[one] > 0 || state === one || (notified !== null && one === 'silenced'),
  );
  return (
    <div className="list-page">
      <FilterBar
        stateLabel="State"
        state={state}
        states={[
          { value: 'all', label: 'All', count: counts.all },
          { value: 'firing', label: 'Firing', count: counts.firing },
          { value: 'pending', label: 'Pending', count: counts.pending },
          ...quieted.map((value) => ({ value, label: QUIET_WORDS[value], count: counts[value] })),
        ]}
        onState={(value) => change({ state: value })}
        findLabel="Filter alerts"
        placeholder="Filter by label (severity=page) or by words"
        find={text}
        onFind={(value) => change({ text: value })}
      >
        {receivers.length > 0 || receiver !== '' ? (
          <ChoiceSelect
            label="Receiver"
            all="All receivers"
            value={receiver}
            options={receivers}
            onChange={(value) => change({ receiver: value })}
          />
        ) : null}
        <NativeSelect
          size="xs"
          aria-label="Group by"
          value={by}
          onChange={(event) => change({ by: event.currentTarget.value })}
          data={labels.map((value) => ({ value, label: `By ${value}` }))}
        />
      </FilterBar>
      <Group justify="flex-end">
        <FoldAll groups={groups.length} control={control} />
      </Group>
      {rows.length > 0 ? (
        <RowList rows={rows} label="Alerts" rowPx={66}>
          {(row) =>
            row.kind === 'group' ? (
              <AlertGroupHead
                by={by}
                group={row.group}
                notified={notified !== null}
                folded={row.folded}
                onToggle={() => control.toggle(row.group.key)}
              />
            ) : row.kind === 'item' ? (
              <AlertRow
                item={row.item}
                by={by}
                notified={notified !== null}
                owner={owners === null ? null : (owners.get(row.item.fingerprint) ?? '')}
                open={isOpen(row.key)}
                onToggle={() => toggle(row.key)}
              />
            ) : null
          }
        </RowList>
      ) : (
        <NothingMatches
          words={
            state === 'firing' && text === '' && receiver === '' ? 'Nothing is firing.' : 'No alert matches.'
          }
          onShowAll={() => change({ text: '', state: 'all', receiver: '' })}
        />
      )}
    </div>
  );
}

const QUIET_WORDS = { silenced: 'Silenced', inhibited: 'Inhibited', muted: 'Muted' } as const;

function AlertGroupHead({
  by,
  group,
  notified,
  folded,
  onToggle,
}: {
  by: string;
  group: AlertGroup;
  notified: boolean;
  folded: boolean;
  onToggle: () => void;
}) {
  const { counts } = group;
  const title = group.key === '' ? `No ${by}` : by === 'alertname' ? group.key : `${by}=${group.key}`;
  const words = ALERT_STATES.filter((state) => counts[state] > 0).map(
    (state) => `${counts[state].toLocaleString('en-US')} ${state}`,
  );
  return (
    <GroupHead
      title={title}
      label={`Alerts of ${title}`}
      dot={counts.firing > 0 ? 'bad' : counts.pending > 0 ? 'warn' : 'none'}
      folded={folded}
      onToggle={onToggle}
    >
      <Text size="xs" c="dimmed" className="tabular">
        {words.join(', ')}
      </Text>
      {notified && group.key !== '' ? (
        <span className="alert-actions">
          <SilenceButton matchers={[{ name: by, op: '=', value: group.key }]} of={`all of ${title}`} />
        </span>
      ) : null}
    </GroupHead>
  );
}

/** Nothing is wrong, or nothing could be: that is not the same. */
function Calm({ data }: { data: RuleGroups }) {
  const rules = data.groups.flatMap((group) => group.rules).filter((rule) => rule.type === 'alerting');
  const failing = rules.filter((rule) => rule.health === 'err').length;
  return (
    <div className="panel banner" role="status">
      <Text fw={600}>
        <StateDot state={failing > 0 ? 'warn' : rules.length > 0 ? 'ok' : 'none'} /> Nothing is pending or
        firing
      </Text>
      <Text size="sm" c="dimmed">
        {rules.length === 0
          ? 'There are no alerting rules, so nothing ever would. Files named under rule_files in the configuration hold them.'
          : `${rules.length.toLocaleString('en-US')} alerting ${rules.length === 1 ? 'rule is' : 'rules are'} evaluated.`}
        {failing > 0
          ? ` ${failing.toLocaleString('en-US')} of them ${failing === 1 ? 'fails' : 'fail'} and cannot fire.`
          : ''}
      </Text>
    </div>
  );
}
