// Rules: what is computed and watched here, whether it works, and what it costs.
import { Button, Group, NativeSelect, Text } from '@mantine/core';
import { useMemo } from 'react';
import { Link } from 'react-router';

import { useRules } from '../../api/hooks';
import type { RuleGroups } from '../../api/types';
import { Answered } from '../../app/Answered';
import { StateDot, When } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { formatDuration } from '../../lib/time';
import { formatValue } from '../../lib/units';
import { FilterBar, NothingMatches } from '../../list/FilterBar';
import { FoldAll, GroupHead } from '../../list/GroupHead';
import { groupRows } from '../../list/groups';
import { RowList, useOpenRows } from '../../list/RowList';
import { choiceField, textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { useFolds } from '../../list/useFolds';
import {
  countRules,
  filterRules,
  readRules,
  RULE_ORDERS,
  RULE_STATES,
  SHARE_WARN,
  type GroupItem,
  type RuleFilter,
  type RuleOrder,
} from './ruleData';
import { RuleRow } from './RuleRow';
import './rules.css';

const FIELDS: Fields<RuleFilter> = {
  text: textField('find'),
  state: choiceField('state', [...RULE_STATES, 'all'], 'all'),
  order: choiceField('order', RULE_ORDERS, 'group'),
};

const ORDER_WORDS: Record<RuleOrder, string> = {
  group: 'By group',
  cost: 'Slowest first',
  name: 'By name',
};

export default function Rules() {
  const { refreshMs } = useTime();
  const loaded = useRules(refreshMs);
  return (
    <Answered loaded={loaded} what="rules">
      {(data) => <Shown data={data} />}
    </Answered>
  );
}

function Shown({ data }: { data: RuleGroups }) {
  const [filter, change] = useUrlFields(FIELDS);
  const control = useFolds();
  const { isOpen, toggle } = useOpenRows();
  const { text, state, order } = filter;
  const { groups, rules } = useMemo(() => readRules(data.groups), [data]);
  const counts = useMemo(() => countRules(rules, text), [rules, text]);
  const shown = useMemo(() => filterRules(rules, { text, state, order }), [rules, text, state, order]);
  const rows =
    order === 'group'
      ? groupRows(groups, (one) => one.key, shown, (one) => one.groupKey, control.folds) // prettier-ignore
      : shown.map((item) => ({ kind: 'item' as const, key: item.key, item }));

  if (rules.length === 0) return <NoRules />;
  return (
    <div className="list-page">
      <FilterBar
        stateLabel="State"
        state={state}
        states={[
          { value: 'all', label: 'All', count: counts.all },
          { value: 'failing', label: 'Failing', count: counts.failing },
          { value: 'firing', label: 'Firing', count: counts.firing },
          { value: 'pending', label: 'Pending', count: counts.pending },
          { value: 'inactive', label: 'Inactive', count: counts.inactive },
          { value: 'recording', label: 'Recording', count: counts.recording },
        ]}
        onState={(value) => change({ state: value })}
        findLabel="Filter rules"
        placeholder="Filter by name, group, query, label or error"
        find={text}
        onFind={(value) => change({ text: value })}
      >
        <NativeSelect
          size="xs"
          aria-label="Order"
          value={order}
          onChange={(event) => change({ order: event.currentTarget.value as RuleOrder })}
          data={RULE_ORDERS.map((value) => ({ value, label: ORDER_WORDS[value] }))}
        />
      </FilterBar>
      <Group justify="space-between" gap="xs">
        <Text size="xs" c="dimmed" className="tabular">
          {`${groups.length.toLocaleString('en-US')} ${groups.length === 1 ? 'group' : 'groups'}, evaluated in ${formatValue(
            groups.reduce((sum, { group }) => sum + group.evaluationTime, 0),
            'seconds',
            3,
          )}`}
        </Text>
        <Group gap="xs">
          <Button component={Link} to="/rules/try" size="compact-xs" variant="default">
            Try a rule
          </Button>
          <FoldAll groups={rows.filter((row) => row.kind === 'group').length} control={control} />
        </Group>
      </Group>
      {rows.length > 0 ? (
        <RowList rows={rows} label="Rules" rowPx={64}>
          {(row) =>
            row.kind === 'group' ? (
              <RuleGroupHead
                item={row.group}
                folded={row.folded}
                onToggle={() => control.toggle(row.group.key)}
              />
            ) : row.kind === 'item' ? (
              <RuleRow item={row.item} open={isOpen(row.key)} onToggle={() => toggle(row.key)} />
            ) : null
          }
        </RowList>
      ) : (
        <NothingMatches
          words={state === 'failing' && text === '' ? 'No rule is failing.' : 'No rule matches.'}
          onShowAll={() => change({ text: '', state: 'all' })}
        />
      )}
    </div>
  );
}

function RuleGroupHead({
  item,
  folded,
  onToggle,
}: {
  item: GroupItem;
  folded: boolean;
  onToggle: () => void;
}) {
  const { group, counts, share, evaluatedMs } = item;
  const late = share > 1;
  const dot = counts.failing + counts.firing > 0 || late ? 'bad' : counts.pending > 0 ? 'warn' : 'ok';
  return (
    <GroupHead
      title={group.name}
      label={`Group ${group.name}`}
      dot={evaluatedMs === null ? 'none' : dot}
      folded={folded}
      onToggle={onToggle}
    >
      <Text size="xs" c="dimmed" className="tabular wrap-anywhere rule-group-file">
        {group.file}
        {counts.failing > 0 ? <span className="trouble">{`, ${counts.failing} failing`}</span> : null}
        {counts.firing > 0 ? `, ${counts.firing} firing` : ''}
        {counts.pending > 0 ? `, ${counts.pending} pending` : ''}
      </Text>
      <Text size="xs" c="dimmed" className="tabular rule-group-cost">
        {`every ${formatDuration(group.interval * 1_000)}, takes `}
        <span
          title={`Took ${formatValue(group.evaluationTime, 'seconds', 5)}, ${formatValue(share * 100, 'percent', 2)} of its interval`}
        >
          {formatValue(group.evaluationTime, 'seconds', 3)}
        </span>
        {evaluatedMs === null ? ', not yet evaluated' : null}
        {evaluatedMs === null ? null : (
          <>
            {', '}
            <When ms={evaluatedMs} relative />
          </>
        )}
      </Text>
      {share > SHARE_WARN ? (
        <div className={late ? 'group-note trouble' : 'group-note warning'} role="note">
          {late
            ? `Its evaluation takes ${formatValue(share * 100, 'percent', 3)} of its interval: evaluations are missed. Make the interval longer, or split the group.`
            : `Its evaluation takes ${formatValue(share * 100, 'percent', 3)} of its interval.`}
        </div>
      ) : null}
    </GroupHead>
  );
}

function NoRules() {
  return (
    <div className="panel section">
      <Text fw={600}>
        <StateDot state="none" /> No rules are evaluated
      </Text>
      <Text size="sm" c="dimmed" mt={4}>
        A rule asks again and again: an alerting rule tells when its query answers something, a recording rule
        keeps what it answers as a series. Files named in the configuration hold them:
      </Text>
      <pre className="mono teach">{`rule_files: [rules/*.yml]

# rules/targets.yml
groups:
  - name: targets
    rules:
      - alert: TargetDown
        expr: up == 0
        for: 5m
        labels: { severity: page }
        annotations: { summary: '{{ $labels.instance }} is down' }`}</pre>
    </div>
  );
}
