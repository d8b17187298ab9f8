// The plan of a query as a tree: what each part did, and how much of the time was its own.
import { Stack, Text } from '@mantine/core';

import type { Asked } from '../../api/asked';
import type { RangeAnswer } from '../../api/hooks';
import type { PlanNode } from '../../api/types';
import { formatValue } from '../../lib/units';
import { ownSeconds, planNotes } from './planData';

const LETTERS = 'ABCDEFGHIJKLMNOPQRST';

export function PlanTree({ results }: { results: readonly Asked<RangeAnswer>[] }) {
  return (
    <Stack gap="md" className="results-body">
      {results.map((result, i) => {
        const data = result.data?.answer.data;
        if (!data) return null;
        return (
          <div key={i} className={result.stale ? 'stale' : undefined}>
            {results.length > 1 ? (
              <Text size="xs" c="dimmed" mb={4}>
                {LETTERS[i] ?? '?'}
              </Text>
            ) : null}
            {data.plan ? (
              <OnePlan plan={data.plan} keptSteps={data.keptSteps ?? 0} />
            ) : (
              <Text size="sm">This server does not tell its plans.</Text>
            )}
          </div>
        );
      })}
    </Stack>
  );
}

function OnePlan({ plan, keptSteps }: { plan: PlanNode; keptSteps: number }) {
  const whole = plan.measured?.seconds ?? 0;
  return (
    <>
      {keptSteps > 0 ? (
        <Text size="sm" c="dimmed" mb="xs">
          {keptSteps.toLocaleString('en-US')} steps were answered from kept results; what follows is the rest.
        </Text>
      ) : null}
      <ul className="plan" role="tree" aria-label="Plan of the query">
        <Part node={plan} whole={whole} depth={1} />
      </ul>
    </>
  );
}

function Part({ node, whole, depth }: { node: PlanNode; whole: number; depth: number }) {
  const own = ownSeconds(node);
  const share = whole > 0 && own !== null ? own / whole : 0;
  return (
    <li role="treeitem" aria-level={depth} aria-selected={false} className="plan-part">
      <div className="plan-line">
        <span className="plan-share" aria-hidden="true">
          <span style={{ width: `${Math.round(share * 100)}%` }} />
        </span>
        <strong>{node.operator}</strong>
        {own !== null ? (
          <Text
            span
            size="xs"
            className="tabular"
            title={`With what is below it: ${formatValue(node.measured?.seconds ?? 0, 'seconds', 3)}`}
          >
            {formatValue(own, 'seconds', 3)}
          </Text>
        ) : null}
        <Text span size="xs" c="dimmed" className="tabular">
          {planNotes(node).join(' · ')}
        </Text>
      </div>
      <Text size="xs" className="mono plan-text" c="dimmed" title={node.text}>
        {node.text}
      </Text>
      {node.children.length > 0 ? (
        <ul role="group">
          {node.children.map((child, i) => (
            <Part key={i} node={child} whole={whole} depth={depth + 1} />
          ))}
        </ul>
      ) : null}
    </li>
  );
}
