// An alerting rule's query as what is measured and what it is measured against: `load > 5` is `load`, and a line at 5.
import type { SyntaxNode } from '@lezer/common';

import { parseQuery } from './promql';

export type Comparison = '>' | '>=' | '<' | '<=' | '==' | '!=';

export interface Measured {
  /** What is measured; the whole query if it compares nothing. */
  query: string;
  /** How it must stand to the threshold for the alert. */
  op: Comparison | null;
  /** A number that never changes. */
  threshold: number | null;
  /** A query, if the threshold moves. */
  against: string | null;
}

const OPS: Record<string, Comparison> = { Gtr: '>', Gte: '>=', Lss: '<', Lte: '<=', Eql: '==', Neq: '!=' };
const FLIPPED: Record<Comparison, Comparison> = {
  '>': '<',
  '>=': '<=',
  '<': '>',
  '<=': '>=',
  '==': '==',
  '!=': '!=',
};

/** Of several comparisons (`and`, `or`, `unless`) the first. */
export function measuredOf(query: string): Measured {
  const root = parseQuery(query).topNode.firstChild;
  return (
    (root ? find(query, root) : null) ?? { query: query.trim(), op: null, threshold: null, against: null }
  );
}

function isExpression(node: SyntaxNode): boolean {
  return /(Expr|Selector|Call|Literal)$/.test(node.name);
}

function operands(node: SyntaxNode): { sides: SyntaxNode[]; words: string[] } {
  const sides: SyntaxNode[] = [];
  const words: string[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) {
    if (isExpression(child)) sides.push(child);
    else words.push(child.name);
  }
  return { sides, words };
}

function find(query: string, node: SyntaxNode): Measured | null {
  if (node.name === 'ParenExpr') {
    const [inner] = operands(node).sides;
    return inner ? find(query, inner) : null;
  }
  if (node.name !== 'BinaryExpr') return null;
  const { sides, words } = operands(node);
  const [left, right] = sides;
  if (!left || !right) return null;
  const op = words.map((word) => OPS[word]).find((one) => one !== undefined);
  // A comparison with `bool` answers 1 and 0 wherever it stands: it is no threshold.
  if (op === undefined)
    return words.some((word) => /^(And|Or|Unless)$/.test(word)) ? find(query, left) : null;
  if (words.some((word) => word.startsWith('Bool'))) return null;
  const text = (one: SyntaxNode) => query.slice(one.from, one.to);
  const onLeft = constant(query, left);
  if (onLeft !== null) return { query: text(right), op: FLIPPED[op], threshold: onLeft, against: null };
  const threshold = constant(query, right);
  return { query: text(left), op, threshold, against: threshold === null ? text(right) : null };
}

/** The value of an expression of numbers; `null` if it asks for anything. */
function constant(query: string, node: SyntaxNode): number | null {
  const { sides, words } = operands(node);
  const [left, right] = sides;
  switch (node.name) {
    case 'NumberDurationLiteral':
      return numberOf(query.slice(node.from, node.to));
    case 'ParenExpr':
      return left ? constant(query, left) : null;
    case 'UnaryExpr': {
      const value = left ? constant(query, left) : null;
      return value === null ? null : words.includes('Sub') ? -value : value;
    }
    case 'BinaryExpr': {
      const a = left ? constant(query, left) : null;
      const b = right ? constant(query, right) : null;
      return a === null || b === null ? null : reckon(words[0] ?? '', a, b);
    }
    default:
      return null;
  }
}

function reckon(op: string, a: number, b: number): number | null {
  switch (op) {
    case 'Add':
      return a + b;
    case 'Sub':
      return a - b;
    case 'Mul':
      return a * b;
    case 'Div':
      return a / b;
    case 'Mod':
      return a % b;
    case 'Pow':
      return a ** b;
    default:
      return null;
  }
}

const SECONDS: Record<string, number> = {
  ms: 0.001,
  s: 1,
  m: 60,
  h: 3_600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
};

/** Numbers as PromQL writes them, and durations, which are seconds. */
function numberOf(text: string): number | null {
  if (/^inf$/i.test(text)) return Infinity;
  const plain = Number(text.replace(/_/g, ''));
  if (!Number.isNaN(plain)) return plain;
  if (!/^(\d+(ms|[smhdwy]))+$/.test(text)) return null;
  return [...text.matchAll(/(\d+)(ms|[smhdwy])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (SECONDS[unit ?? ''] ?? 0),
    0,
  );
}
