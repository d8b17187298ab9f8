// What each relabelling rule of a pool did to one target.
import { Skeleton, Text } from '@mantine/core';

import { useRelabelSteps } from '../../api/hooks';
import { ErrorNote } from '../../app/parts';
import type { Labels } from '../../lib/labels';
import { changesOf, isUnseen, ruleText } from './relabelData';

export function RelabelSteps({ pool, labels }: { pool: string; labels: Labels }) {
  return (
    <section aria-label="What relabelling did">
      <Text size="xs" fw={600} c="dimmed">
        What relabelling did
      </Text>
      <Steps pool={pool} labels={labels} />
    </section>
  );
}

function Steps({ pool, labels }: { pool: string; labels: Labels }) {
  const { data: steps, error, refetch } = useRelabelSteps(pool, labels);
  if (error && !steps)
    return (
      <ErrorNote
        title="The rules could not be asked for"
        error={error}
        kept={false}
        onRetry={() => void refetch()}
      />
    );
  if (!steps) return <Skeleton height={40} aria-label="Asking for the rules" />;
  if (steps.length === 0) return <Text size="sm">This job has no relabel_configs.</Text>;
  return (
    <ol className="relabel-steps" aria-label="Relabelling rules">
      {steps.map((step, at) => {
        const unseen = isUnseen(steps, at);
        const before = at === 0 ? labels : (steps[at - 1]?.output ?? {});
        return (
          <li key={at} className={unseen ? 'step-unseen' : undefined}>
            <span className="step-number tabular">{at + 1}</span>
            <div>
              <div className="mono wrap-anywhere">{ruleText(step.rule)}</div>
              {unseen ? (
                <div className="relabel-change">is not reached</div>
              ) : (
                changesOf(before, step).map((change) => (
                  <div key={change.text} className={`relabel-change ${change.kind}`}>
                    {change.text}
                  </div>
                ))
              )}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
