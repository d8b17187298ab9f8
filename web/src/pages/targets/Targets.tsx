// Targets: where samples come from, whether they do, and why not.
import { useMemo } from 'react';

import { useInstant, useTargets, vectorOf } from '../../api/hooks';
import type { TargetsResult } from '../../api/types';
import { Answered } from '../../app/Answered';
import { useTime } from '../../app/timeControl';
import { parseSample } from '../../lib/units';
import { choiceField, textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { unkeptOf } from './found';
import { FoundRow } from './FoundRow';
import { PoolList } from './PoolList';
import { countPools } from './pools';
import { countStates, itemsOf, poolOfItem, sampleKey, STATES, type TargetFilter } from './targetData';
import { TargetRow } from './TargetRow';

const FIELDS: Fields<TargetFilter> = {
  text: textField('find'),
  pool: textField('pool'),
  state: choiceField('state', STATES, 'all'),
};

export default function Targets() {
  const { refreshMs } = useTime();
  const loaded = useTargets(refreshMs);
  return (
    <Answered loaded={loaded} what="targets">
      {(data) => <Shown data={data} />}
    </Answered>
  );
}

/** How many samples the last scrape of each target gave. */
function useSamples(): ReadonlyMap<string, number> {
  const { refreshMs } = useTime();
  const scraped = useInstant('scrape_samples_scraped', null, refreshMs);
  return useMemo(() => {
    const found = new Map<string, number>();
    for (const { metric, value } of vectorOf(scraped.data))
      if (value) found.set(sampleKey(metric), parseSample(value[1]));
    return found;
  }, [scraped.data]);
}

function Shown({ data }: { data: TargetsResult }) {
  const [filter, change] = useUrlFields(FIELDS);
  const { text, state, pool } = filter;
  const samples = useSamples();
  const pools = useMemo(() => countPools(data), [data]);
  const counts = useMemo(() => countStates(data, pools, { text, pool }), [data, pools, text, pool]);
  const items = useMemo(() => itemsOf(data, { text, state, pool }), [data, text, state, pool]);
  return (
    <PoolList
      label="Targets"
      findLabel="Filter targets"
      placeholder="Filter by label, address or error"
      stateLabel="State"
      states={[
        { value: 'all', label: 'All', count: counts.all },
        { value: 'up', label: 'Up', count: counts.up },
        { value: 'down', label: 'Down', count: counts.down },
        { value: 'unknown', label: 'Not yet', count: counts.unknown },
        { value: 'dropped', label: 'Dropped', count: counts.dropped },
      ]}
      filter={filter}
      onFilter={change}
      pools={pools}
      items={items}
      poolOf={poolOfItem}
      unkept={text === '' && state === 'dropped' ? unkeptOf(pools, pool) : 0}
      nothing={state === 'down' && text === '' && pool === '' ? 'No target is down.' : 'No target matches.'}
      withLink
    >
      {(item, open, onToggle) =>
        item.kind === 'dropped' ? (
          <FoundRow found={item.found} open={open} onToggle={onToggle} />
        ) : (
          <TargetRow
            target={item.target}
            sampleCount={samples.get(sampleKey(item.target.labels))}
            open={open}
            onToggle={onToggle}
          />
        )
      }
    </PoolList>
  );
}
