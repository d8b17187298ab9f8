// What relabelling rules say in words, and what they changed.
import type { RelabelRule, RelabelStep } from '../../api/types';
import type { Labels } from '../../lib/labels';

/** A rule in one line, without what every rule has by default. */
export function ruleText(rule: RelabelRule): string {
  const action = rule.action ?? 'replace';
  const regex = rule.regex ?? '(.*)';
  const source = (rule.sourceLabels ?? []).join(rule.separator ?? ';');
  const matching = regex === '(.*)' ? '' : ` matching ${regex}`;
  const target = rule.targetLabel ?? '';
  switch (action) {
    case 'keep':
    case 'drop':
      return `${action} if ${source === '' ? '(nothing)' : source} matches ${regex}`;
    case 'keepequal':
      return `keep if ${source} equals ${target}`;
    case 'dropequal':
      return `drop if ${source} equals ${target}`;
    case 'labeldrop':
      return `remove labels${matching === '' ? ' (all)' : matching}`;
    case 'labelkeep':
      return `remove labels not matching ${regex}`;
    case 'labelmap':
      return `copy labels${matching} to ${rule.replacement ?? '$1'}`;
    case 'hashmod':
      return `set ${target} to the hash of ${source} modulo ${rule.modulus ?? 0}`;
    case 'lowercase':
    case 'uppercase':
      return `set ${target} to ${source} in ${action.replace('case', '')} case`;
    default: {
      const value = rule.replacement ?? '';
      if (value === '') return `remove ${target}${source === '' ? '' : ` if ${source}`}${matching}`;
      return `set ${target} to ${value}${source === '' ? '' : ` from ${source}`}${matching}`;
    }
  }
}

export interface Change {
  kind: 'added' | 'changed' | 'removed' | 'dropped' | 'unchanged';
  text: string;
}

/** What a step did to the labels that the one before it left. */
export function changesOf(before: Labels, step: RelabelStep): Change[] {
  if (!step.keep) return [{ kind: 'dropped', text: 'drops the target' }];
  const changes: Change[] = [];
  const names = [...new Set([...Object.keys(before), ...Object.keys(step.output)])].sort();
  for (const name of names) {
    const [old, now] = [before[name], step.output[name]];
    if (old === now) continue;
    if (now === undefined) changes.push({ kind: 'removed', text: `− ${name}="${old ?? ''}"` });
    else if (old === undefined) changes.push({ kind: 'added', text: `+ ${name}="${now}"` });
    else changes.push({ kind: 'changed', text: `${name}="${old}" → "${now}"` });
  }
  return changes.length > 0 ? changes : [{ kind: 'unchanged', text: 'changes nothing' }];
}

/** Whether a rule was never reached, because one before it dropped the target. */
export function isUnseen(steps: readonly RelabelStep[], at: number): boolean {
  return at > 0 && steps[at - 1]?.keep === false;
}
