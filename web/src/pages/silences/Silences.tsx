// Silences: what is kept quiet, by whom, why, and until when.
import { Button, Group, Text } from '@mantine/core';
import { useMemo } from 'react';
import { Link } from 'react-router';

import { useSilences, type Silence, type SilenceState } from '../../api/alertmanager';
import { useSilencesMore } from '../../api/alerts';
import { Answered } from '../../app/Answered';
import { IconPlus } from '../../app/icons';
import { StateDot } from '../../app/parts';
import { useTime } from '../../app/timeControl';
import { FilterBar, NothingMatches } from '../../list/FilterBar';
import { GroupHead } from '../../list/GroupHead';
import { groupRows } from '../../list/groups';
import { RowList, useOpenRows } from '../../list/RowList';
import { choiceField, textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { useFolds } from '../../list/useFolds';
import {
  countSilences,
  filterSilences,
  readSilences,
  SILENCE_STATES,
  type SilenceFilter,
} from './silenceData';
import { SilenceRow } from './SilenceRow';
import './silences.css';

const FIELDS: Fields<SilenceFilter> = {
  text: textField('find'),
  state: choiceField('state', [...SILENCE_STATES, 'all'], 'all'),
};

const WORDS: Record<SilenceState, string> = { active: 'Active', pending: 'Pending', expired: 'Expired' };

export default function Silences() {
  const { refreshMs } = useTime();
  const loaded = useSilences(refreshMs);
  return (
    <Answered loaded={loaded} what="silences">
      {(data) => (data === null ? <NoNotifier /> : <List data={data} />)}
    </Answered>
  );
}

function List({ data }: { data: Silence[] }) {
  const [filter, change] = useUrlFields(FIELDS);
  const control = useFolds();
  const { isOpen, toggle } = useOpenRows();
  const { text, state } = filter;
  const { refreshMs } = useTime();
  const said = useSilencesMore(refreshMs).data?.silences;
  const more = useMemo(() => new Map((said ?? []).map((one) => [one.id, one])), [said]);
  const all = useMemo(() => readSilences(data), [data]);
  const counts = useMemo(() => countSilences(all, text), [all, text]);
  const shown = useMemo(() => filterSilences(all, { text, state }), [all, text, state]);
  const rows = groupRows(SILENCE_STATES, (one) => one, shown, (one) => one.state, control.folds); // prettier-ignore
  if (all.length === 0) return <None />;
  // Somebody who followed a link to one wants to see it.
  const only = shown.length === 1 && text !== '';
  return (
    <div className="list-page">
      <FilterBar
        stateLabel="State"
        state={state}
        states={[
          { value: 'all', label: 'All', count: counts.all },
          ...SILENCE_STATES.map((value) => ({ value, label: WORDS[value], count: counts[value] })),
        ]}
        onState={(value) => change({ state: value })}
        findLabel="Filter silences"
        placeholder="Filter by condition (team=db), author or words"
        find={text}
        onFind={(value) => change({ text: value })}
      >
        <NewButton />
      </FilterBar>
      {rows.length > 0 ? (
        <RowList rows={rows} label="Silences" rowPx={66}>
          {(row) =>
            row.kind === 'group' ? (
              <GroupHead
                title={WORDS[row.group]}
                label={`${WORDS[row.group]} silences`}
                dot={row.group === 'active' ? 'ok' : row.group === 'pending' ? 'warn' : 'none'}
                folded={row.folded}
                onToggle={() => control.toggle(row.group)}
              >
                <Text size="xs" c="dimmed" className="tabular">
                  {counts[row.group].toLocaleString('en-US')}
                </Text>
              </GroupHead>
            ) : row.kind === 'item' ? (
              <SilenceRow
                item={row.item}
                more={more.get(row.item.key)}
                open={isOpen(row.key) !== only}
                onToggle={() => toggle(row.key)}
              />
            ) : null
          }
        </RowList>
      ) : (
        <NothingMatches words="No silence matches." onShowAll={() => change({ text: '', state: 'all' })} />
      )}
    </div>
  );
}

function NewButton() {
  return (
    <Button component={Link} to="/silences/new" size="xs" leftSection={<IconPlus size={14} />}>
      New silence
    </Button>
  );
}

function None() {
  return (
    <div className="panel section">
      <Group justify="space-between">
        <Text fw={600}>
          <StateDot state="none" /> Nothing is silenced
        </Text>
        <NewButton />
      </Group>
      <Text size="sm" c="dimmed" mt={4}>
        A silence keeps alerts quiet for a time: they fire and are shown, but nobody is told. Make one here,
        on the page Alerts beside an alert, or from a shell:
      </Text>
      <pre className="mono teach">{`amtool --alertmanager.url ${window.location.origin} silence add \\
  alertname=DiskFull instance=~'db.*' -d 2h -c 'new disks'`}</pre>
    </div>
  );
}

function NoNotifier() {
  return (
    <div className="panel banner" role="status">
      <Text fw={600}>This server tells nobody about alerts</Text>
      <Text size="sm" c="dimmed">
        Silences are kept where alerts are sent to.
      </Text>
    </div>
  );
}
