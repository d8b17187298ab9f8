// Discovery: everything that was found, what became of it, and which rule decided that.
import { useMemo } from 'react';

import { useTargets } from '../../api/hooks';
import type { TargetsResult } from '../../api/types';
import { Answered } from '../../app/Answered';
import { useTime } from '../../app/timeControl';
import { choiceField, textField, useUrlFields, type Fields } from '../../list/useUrlFields';
import { allFound, countFates, FATES, filterFound, unkeptOf, type FoundFilter } from '../targets/found';
import { FoundRow } from '../targets/FoundRow';
import { PoolList } from '../targets/PoolList';
import { countPools } from '../targets/pools';

const FIELDS: Fields<FoundFilter> = {
  text: textField('find'),
  pool: textField('pool'),
  state: choiceField('fate', [...FATES, 'all'], 'all'),
};

export default function Discovery() {
  const { refreshMs } = useTime();
  const loaded = useTargets(refreshMs);
  return (
    <Answered loaded={loaded} what="targets">
      {(data) => <Shown data={data} />}
    </Answered>
  );
}

function Shown({ data }: { data: TargetsResult }) {
  const [filter, change] = useUrlFields(FIELDS);
  const { text, pool, state } = filter;
  const found = useMemo(() => allFound(data), [data]);
  const pools = useMemo(() => countPools(data), [data]);
  const counts = useMemo(() => countFates(found, pools, { text, pool }), [found, pools, text, pool]);
  const shown = useMemo(() => filterFound(found, { text, pool, state }), [found, text, pool, state]);
  return (
    <PoolList
      label="Discovered"
      findLabel="Filter what was discovered"
      placeholder="Filter by label before or after relabelling, or by error"
      stateLabel="What became of them"
      states={[
        { value: 'all', label: 'All', count: counts.all },
        { value: 'scraped', label: 'Scraped', count: counts.scraped },
        { value: 'dropped', label: 'Dropped', count: counts.dropped },
        { value: 'invalid', label: 'Invalid', count: counts.invalid },
      ]}
      filter={filter}
      onFilter={change}
      pools={pools}
      items={shown}
      poolOf={(one) => one.pool}
      unkept={text === '' && (state === 'all' || state === 'dropped') ? unkeptOf(pools, pool) : 0}
      nothing={
        state === 'invalid' && text === '' && pool === ''
          ? 'All that was discovered and not dropped can be scraped.'
          : null
      }
      withLink={false}
    >
      {(one, open, onToggle) => <FoundRow found={one} open={open} onToggle={onToggle} />}
    </PoolList>
  );
}
