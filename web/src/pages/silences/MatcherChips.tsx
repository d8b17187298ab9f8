// Conditions side by side, each of which can be taken away where that is wanted.
import { CloseButton, Group } from '@mantine/core';

import { matcherText, type Matcher } from '../../lib/matchers';
import './silences.css';

export function MatcherChips({
  matchers,
  onRemove,
}: {
  matchers: readonly Matcher[];
  onRemove?: (index: number) => void;
}) {
  return (
    <Group gap={4} component="span">
      {matchers.map((matcher, i) => (
        <code key={`${i}|${matcherText(matcher)}`} className="matcher-chip">
          {matcherText(matcher)}
          {onRemove && matchers.length > 1 ? (
            <CloseButton
              size={16}
              aria-label={`Without ${matcherText(matcher)}`}
              onClick={() => onRemove(i)}
            />
          ) : null}
        </code>
      ))}
    </Group>
  );
}
