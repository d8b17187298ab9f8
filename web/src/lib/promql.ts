// What can be known about a query by reading it: its selectors, its unit and why, where an error points to.
// The server decides what a query means; this only helps to write and to read it.
import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode, Tree } from '@lezer/common';

import { quote } from './labels';
import { perSecond, unitOfBuckets, unitOfMetric, unitWords, type Unit } from './units';

export interface Matcher {
  name: string;
  op: '=' | '!=' | '=~' | '!~';
  value: string;
}

export interface Selector {
  metric: string | null;
  matchers: Matcher[];
  /** Character offsets in the query, end exclusive. */
  from: number;
  to: number;
}

export function parseQuery(query: string): Tree {
  return parser.parse(query);
}

const text = (query: string, node: SyntaxNode) => query.slice(node.from, node.to);

export function unquote(literal: string): string {
  const mark = literal[0];
  if (mark === undefined || literal.length < 2) return literal;
  const body = literal.slice(1, -1);
  if (mark === '`') return body;
  return body.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c === 't' ? '\t' : c));
}

/** Every vector selector of a query, in the order they stand. */
export function selectorsOf(query: string): Selector[] {
  const found: Selector[] = [];
  parseQuery(query).iterate({
    enter: (ref) => {
      if (ref.name === 'VectorSelector') {
        found.push(readSelector(query, ref.node));
        return false;
      }
      return undefined;
    },
  });
  return found;
}

function readSelector(query: string, node: SyntaxNode): Selector {
  let metric: string | null = null;
  const matchers: Matcher[] = [];
  const identifier = node.getChild('Identifier');
  if (identifier) metric = text(query, identifier);
  const list = node.getChild('LabelMatchers');
  for (let child = list?.firstChild ?? null; child; child = child.nextSibling) {
    if (child.name === 'QuotedLabelName') {
      metric = unquote(text(query, child));
      continue;
    }
    if (child.name !== 'UnquotedLabelMatcher' && child.name !== 'QuotedLabelMatcher') continue;
    const name = child.getChild('LabelName') ?? child.getChild('QuotedLabelName');
    const op = child.getChild('MatchOp');
    const value = child.getChild('StringLiteral');
    if (!name || !op || !value) continue;
    const label = name.name === 'LabelName' ? text(query, name) : unquote(text(query, name));
    const matcher = { name: label, op: text(query, op) as Matcher['op'], value: unquote(text(query, value)) };
    if (label === '__name__' && matcher.op === '=') metric = matcher.value;
    else matchers.push(matcher);
  }
  return { metric, matchers, from: node.from, to: node.to };
}

export function matcherText(matcher: Matcher): string {
  return `${matcher.name}${matcher.op}${quote(matcher.value)}`;
}

/** A selector as text again, optionally with only some of its matchers. */
export function selectorText(selector: Pick<Selector, 'metric' | 'matchers'>): string {
  const pairs = selector.matchers.map(matcherText);
  if (selector.metric !== null) pairs.unshift(`__name__=${quote(selector.metric)}`);
  return `{${pairs.join(',')}}`;
}

export interface UnitGuess {
  unit: Unit;
  /** One step of the reasoning a line, innermost first. */
  because: string[];
}

const SAME = new Set([
  'abs', 'ceil', 'floor', 'round', 'clamp', 'clamp_max', 'clamp_min', 'sort', 'sort_desc', 'sort_by_label',
  'sort_by_label_desc', 'label_replace', 'label_join', 'avg_over_time', 'max_over_time', 'min_over_time',
  'sum_over_time', 'last_over_time', 'first_over_time', 'quantile_over_time', 'stddev_over_time', 'mad_over_time',
  'holt_winters', 'double_exponential_smoothing', 'predict_linear', 'increase', 'delta', 'idelta', 'histogram_sum',
  'histogram_avg', 'limitk', 'increase_exact', 'keep_last_value', 'keep_next_value', 'interpolate', 'label_set',
  'label_map', 'union', 'median_over_time', 'mode_over_time', 'range_avg', 'range_sum', 'range_min', 'range_max',
  'range_first', 'range_last', 'range_median', 'range_quantile', 'range_stddev', 'range_mad', 'running_sum',
  'running_avg', 'running_min', 'running_max',
]); // prettier-ignore
const PER_SECOND = new Set(['rate', 'irate', 'deriv', 'rate_exact']);
const COUNTS = new Set([
  'count_over_time',
  'changes',
  'resets',
  'histogram_count',
  'absent',
  'absent_over_time',
]);
const INSTANTS = new Set([
  'time',
  'timestamp',
  'ts_of_max_over_time',
  'ts_of_min_over_time',
  'ts_of_last_over_time',
]);
const SAME_AGGREGATES = new Set([
  'sum',
  'avg',
  'min',
  'max',
  'topk',
  'bottomk',
  'quantile',
  'stddev',
  'limitk',
  'limit_ratio',
]);

/** Infers the unit of a query's result from metric names and what is done with them. */
export function unitOfQuery(query: string): UnitGuess {
  const root = parseQuery(query).topNode.firstChild;
  const because: string[] = [];
  const unit = root ? unitOf(query, root, because) : 'none';
  return { unit, because };
}

function unitOf(query: string, node: SyntaxNode, because: string[]): Unit {
  switch (node.name) {
    case 'VectorSelector': {
      const { metric } = readSelector(query, node);
      if (metric === null) return 'none';
      const guess = unitOfMetric(metric);
      if (guess.because !== null) {
        because.push(`${metric} measures ${unitWords(guess.unit)}: its name says “${guess.because}”`);
      } else because.push(`${metric} names no unit`);
      return guess.unit;
    }
    case 'NumberDurationLiteral':
      return 'none';
    case 'FunctionCall':
      return unitOfCall(query, node, because);
    case 'AggregateExpr':
      return unitOfAggregate(query, node, because);
    case 'BinaryExpr':
      return unitOfBinary(query, node, because);
    default: {
      // Parentheses, signs, offsets, ranges, subqueries: the unit of what they hold.
      for (let child = node.firstChild; child; child = child.nextSibling) {
        if (isExpression(child)) return unitOf(query, child, because);
      }
      return 'none';
    }
  }
}

const EXPRESSIONS = new Set([
  'VectorSelector', 'MatrixSelector', 'FunctionCall', 'AggregateExpr', 'BinaryExpr', 'ParenExpr', 'UnaryExpr',
  'SubqueryExpr', 'OffsetExpr', 'StepInvariantExpr', 'NumberDurationLiteral', 'StringLiteral',
]); // prettier-ignore

function isExpression(node: SyntaxNode): boolean {
  return EXPRESSIONS.has(node.name);
}

function argumentsOf(node: SyntaxNode): SyntaxNode[] {
  const body = node.getChild('FunctionCallBody');
  const list: SyntaxNode[] = [];
  for (let child = body?.firstChild ?? null; child; child = child.nextSibling) {
    if (isExpression(child)) list.push(child);
  }
  return list;
}

function unitOfCall(query: string, node: SyntaxNode, because: string[]): Unit {
  const identifier = node.getChild('FunctionIdentifier');
  const name = identifier ? text(query, identifier) : '';
  const args = argumentsOf(node);
  const say = (unit: Unit) => {
    because.push(`${name}() makes it ${unitWords(unit)}`);
    return unit;
  };
  if (INSTANTS.has(name)) return say('instant');
  if (COUNTS.has(name)) return say('count');
  if (name === 'histogram_quantile' || name === 'histogram_fraction') {
    if (name === 'histogram_fraction') return say('ratio');
    const metric = selectorsOf(query.slice(node.from, node.to))[0]?.metric;
    if (metric === undefined || metric === null) return 'none';
    const unit = unitOfBuckets(metric);
    because.push(`${name}() answers in the unit of the buckets of ${metric}: ${unitWords(unit)}`);
    return unit;
  }
  const first =
    args.find((arg) => arg.name !== 'NumberDurationLiteral' && arg.name !== 'StringLiteral') ?? args[0];
  if (!first) return 'none';
  if (PER_SECOND.has(name)) return say(perSecond(unitOf(query, first, because)));
  if (SAME.has(name)) return unitOf(query, first, because);
  return 'none';
}

function unitOfAggregate(query: string, node: SyntaxNode, because: string[]): Unit {
  const op = node.getChild('AggregateOp');
  const name = op ? text(query, op).toLowerCase() : '';
  if (name === 'count' || name === 'count_values') {
    because.push(`${name}() counts series`);
    return 'count';
  }
  if (!SAME_AGGREGATES.has(name)) return 'none';
  const args = argumentsOf(node);
  const vector = args[args.length - 1];
  return vector ? unitOf(query, vector, because) : 'none';
}

const COMPARISONS = new Set(['Eql', 'EqlSingle', 'Neq', 'Gtr', 'Gte', 'Lss', 'Lte']);

function unitOfBinary(query: string, node: SyntaxNode, because: string[]): Unit {
  const sides: SyntaxNode[] = [];
  let op = '';
  let bool = false;
  for (let child = node.firstChild; child; child = child.nextSibling) {
    if (isExpression(child)) sides.push(child);
    else if (child.name === 'BoolModifier') bool = true;
    else if (child.name !== 'MatchingModifierClause' && op === '') op = child.name;
  }
  const [left, right] = sides;
  if (!left || !right) return 'none';
  if (COMPARISONS.has(op)) {
    if (bool) {
      because.push('a comparison with bool answers 1 or 0');
      return 'bool';
    }
    return unitOf(query, left, because);
  }
  const literal = (side: SyntaxNode) => literalValue(query, side);
  const leftUnit = unitOf(query, left, because);
  const rightUnit = unitOf(query, right, because);
  if (op === 'Div') return unitOfDivision(leftUnit, rightUnit, literal(right), because);
  if (op === 'Mul') return unitOfProduct([leftUnit, literal(left)], [rightUnit, literal(right)], because);
  if (op === 'Sub' && leftUnit === 'instant' && rightUnit === 'instant') {
    because.push('a difference of two points in time is seconds');
    return 'seconds';
  }
  if (op === 'Add' || op === 'Sub') return leftUnit !== 'none' ? leftUnit : rightUnit;
  if (op === 'And' || op === 'Or' || op === 'Unless' || op === 'Mod') return leftUnit;
  return 'none';
}

function literalValue(query: string, node: SyntaxNode): number | null {
  if (node.name === 'ParenExpr' && node.firstChild && isExpression(node.firstChild)) {
    return literalValue(query, node.firstChild);
  }
  if (node.name !== 'NumberDurationLiteral') return null;
  const value = Number(text(query, node));
  return Number.isNaN(value) ? null : value;
}

function unitOfDivision(left: Unit, right: Unit, divisor: number | null, because: string[]): Unit {
  if (divisor !== null) {
    // Dividing by a power of 1,024 or 1,000 changes the unit to one with a prefix: no longer ours to name.
    return [1_000, 1_024].some((base) => isPowerOf(divisor, base)) && left !== 'none' ? 'none' : left;
  }
  if (left === right && left !== 'none') {
    because.push(`${unitWords(left)} divided by ${unitWords(right)} is a share`);
    return 'ratio';
  }
  if (left === 'seconds/s' && right === '/s') return saying('seconds', because);
  if (left === 'bytes/s' && right === '/s') return saying('bytes', because);
  if (right === 'count' || right === 'none') return left === 'count' ? 'none' : left;
  return 'none';
}

function saying(unit: Unit, because: string[]): Unit {
  because.push(`divided by a rate of events, it is ${unitWords(unit)} per event`);
  return unit;
}

function isPowerOf(value: number, base: number): boolean {
  let n = value;
  while (n > 1 && n % base === 0) n /= base;
  return n === 1 && value > 1;
}

function unitOfProduct(
  [left, leftValue]: [Unit, number | null],
  [right, rightValue]: [Unit, number | null],
  because: string[],
): Unit {
  const [unit, factor] = leftValue !== null ? [right, leftValue] : [left, rightValue];
  if (factor === 100 && (unit === 'ratio' || unit === 'seconds/s')) {
    because.push('a share times 100 is percent');
    return 'percent';
  }
  if (factor === 8 && (unit === 'bytes' || unit === 'bytes/s')) return 'none';
  if (factor !== null) return unit;
  if (left === 'none' || left === 'bool' || left === 'count') return right;
  return right === 'none' || right === 'bool' || right === 'count' ? left : 'none';
}

/** The one selector a query consists of, if it is nothing else: the case in which types suggest what to do. */
export function bareSelector(query: string): Selector | null {
  const root = parseQuery(query).topNode.firstChild;
  if (root?.name !== 'VectorSelector' || root.nextSibling) return null;
  return readSelector(query, root);
}

export interface Suggestion {
  query: string;
  label: string;
  why: string;
}

/** What a metric's type suggests to do with it. */
export function suggestFor(
  query: string,
  typeOf: (metric: string) => string | undefined,
  window = '5m',
): Suggestion | null {
  const selector = bareSelector(query);
  if (selector?.metric === null || selector === null) return null;
  const { metric } = selector;
  const type = typeOf(metric) ?? typeOf(metric.replace(/_(bucket|sum|count|total)$/, ''));
  const expression = query.trim();
  if (type === 'histogram' && metric.endsWith('_bucket')) {
    return {
      query: `histogram_quantile(0.95, sum by (le) (rate(${expression}[${window}])))`,
      label: '95th percentile',
      why: `${metric} is a histogram: its buckets make sense together.`,
    };
  }
  if (type === 'counter' || ((type === 'histogram' || type === 'summary') && /_(sum|count)$/.test(metric))) {
    return {
      query: `rate(${expression}[${window}])`,
      label: `per second: rate(…[${window}])`,
      why: `${metric} is a counter: it only grows, so its rate says more.`,
    };
  }
  return null;
}

export interface ErrorPlace {
  /** Character offsets in the query, end exclusive. */
  from: number;
  to: number;
  message: string;
}

/**
 * Where the server's error points to: `invalid parameter "query": 1:5: parse error: …` is line 1, column 5.
 * Without a position the whole query is meant.
 */
export function errorPlace(query: string, message: string): ErrorPlace {
  const found = /(?:^|: )(\d+):(\d+): (?:parse error: )?([\s\S]*)$/.exec(message);
  if (!found)
    return { from: 0, to: query.length, message: message.replace(/^invalid parameter "query": /, '') };
  const line = Number(found[1]);
  const column = Number(found[2]);
  const lines = query.split('\n');
  let from = 0;
  for (let i = 0; i < Math.min(line - 1, lines.length); i += 1) from += (lines[i]?.length ?? 0) + 1;
  from = Math.max(0, Math.min(from + column - 1, query.length));
  const word = /^[A-Za-z0-9_:.]+/.exec(query.slice(from));
  let to = from + Math.max(1, word ? word[0].length : 1);
  // An error at the end of the text marks its last character, or nothing would show.
  if (from >= query.length) {
    from = Math.max(0, query.length - 1);
    to = query.length;
  }
  return { from, to: Math.min(to, query.length), message: found[3] ?? message };
}

/** A shell line that asks the same. */
export function asCurl(origin: string, path: string, params: Record<string, string>): string {
  const shellQuote = (value: string) => `'${value.replace(/'/g, `'\\''`)}'`;
  const parts = Object.entries(params).map(
    ([key, value]) => `  --data-urlencode ${shellQuote(`${key}=${value}`)}`,
  );
  return [`curl -sG ${shellQuote(`${origin}${path}`)}`, ...parts].join(' \\\n');
}
