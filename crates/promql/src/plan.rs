//! What is evaluated: the tree without parentheses, functions resolved, times made absolute, and the largest parts
//! that do not change from step to step marked.
//!
//! Such a fixed part (everything under `@`) is evaluated once and its result repeated. So are equal parts ([`share`]).

mod share;
mod tree;

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use model::Matcher;

use crate::ast::{
    self, AggregateOp, At, BinaryOp, Expr, ExprKind, KymoAggregate, Span, UnaryOp, ValueType, VectorMatching,
};
use crate::error::QueryError;
use crate::eval::functions::{self, Function};
use crate::eval::grid::Shift;

pub(crate) use share::Shared;

/// The times of the query, which `start()`, `end()`, `step()` and `range()` stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTimes {
    /// The first step.
    pub(crate) start_ms: i64,
    /// The last step asked for.
    pub(crate) end_ms: i64,
    /// Distance of steps; 0 for an instant query.
    pub(crate) step_ms: i64,
    /// Distance of steps of a subquery that does not say.
    pub(crate) subquery_step_ms: i64,
}

/// A part of the plan.
#[derive(Debug)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) kind: Kind,
    /// Where it stands in the query.
    pub(crate) span: Span,
    /// What it yields.
    pub(crate) value_type: ValueType,
    /// The same at all steps, so that one evaluation is enough.
    pub(crate) fixed: bool,
    /// Set if there are others that are equal.
    pub(crate) shared: OnceLock<Shared>,
}

impl Node {
    fn new(kind: Kind, span: Span, value_type: ValueType, fixed: bool) -> Self {
        Self { kind, span, value_type, fixed, shared: OnceLock::new() }
    }
}

/// The kinds of parts.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// An instant selector.
    Select(Select),
    /// A range selector or a subquery.
    Window(Window),
    /// `-x`.
    Negate(Box<Node>),
    /// `a + b`.
    Binary(Box<Binary>),
    /// `sum by (a) (b)`.
    Aggregate(Box<Aggregate>),
    /// `rate(x)`.
    Call(Call),
}

/// Which series, and when.
#[derive(Debug)]
pub(crate) struct Select {
    /// All must be met.
    pub(crate) matchers: Vec<Matcher>,
    /// Further sets of matchers: all of `matchers` or all of one of these must be met.
    pub(crate) alternatives: Vec<Vec<Matcher>>,
    /// `@` and `offset`.
    pub(crate) shift: Shift,
    /// The function or aggregation around it, for storage.
    pub(crate) hint: &'static str,
    /// `anchored` or `smoothed`.
    pub(crate) extended: Option<ast::Extended>,
    /// Only count and sum of native histograms are used. Prometheus then reads them without their buckets, and
    /// finds counter resets while doing so.
    pub(crate) counts_only: bool,
}

/// A range of samples before each step.
#[derive(Debug)]
pub(crate) struct Window {
    /// What samples.
    pub(crate) source: WindowSource,
    /// Its width, positive.
    pub(crate) range_ms: i64,
    /// `@` and `offset`; of the selector, or of the subquery.
    pub(crate) shift: Shift,
    /// `anchored` or `smoothed`, of a selector.
    pub(crate) extended: Option<ast::Extended>,
}

/// Where the samples of a window come from.
#[derive(Debug)]
pub(crate) enum WindowSource {
    /// From storage.
    Stored(Select),
    /// From evaluating an expression at each multiple of `step_ms`.
    Subquery {
        /// The expression.
        node: Box<Node>,
        /// Distance of its steps, positive.
        step_ms: i64,
    },
}

/// A binary operation.
#[derive(Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Node,
    pub(crate) rhs: Node,
    pub(crate) return_bool: bool,
    pub(crate) matching: Option<VectorMatching>,
}

/// An aggregation.
#[derive(Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) input: Node,
    pub(crate) param: Option<Node>,
    /// Sorted, each once.
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
}

/// A function call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) name: &'static str,
    pub(crate) args: Vec<Node>,
}

/// Builds the plan of a parsed query.
///
/// # Errors
/// If the query uses a function that the parser knows and the engine does not.
pub(crate) fn build(expr: &Expr, times: &QueryTimes) -> Result<Node, QueryError> {
    let plan = Builder { times, counts_only: Cell::new(Counts::Unused) }.node(expr, "")?;
    share::mark(&plan);
    Ok(plan)
}

struct Builder<'a> {
    times: &'a QueryTimes,
    counts_only: Cell<Counts>,
}

/// Whether only count and sum of native histograms are used further up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Unused,
    Used,
    /// Something needs the buckets too.
    WithBuckets,
}

impl Builder<'_> {
    fn node(&self, expr: &Expr, hint: &'static str) -> Result<Node, QueryError> {
        let span = expr.span.clone();
        let (kind, value_type, fixed) = match &expr.kind {
            ExprKind::Paren(inner) => return self.node(inner, hint),
            ExprKind::Unary(UnaryOp::Plus, inner) => return self.node(inner, hint),
            ExprKind::Unary(UnaryOp::Minus, inner) => {
                let inner = self.node(inner, hint)?;
                let (value_type, fixed) = (inner.value_type, inner.fixed);
                (Kind::Negate(Box::new(inner)), value_type, fixed)
            }
            ExprKind::Number(value) | ExprKind::Duration(value) => {
                (Kind::Number(*value), ValueType::Scalar, true)
            }
            ExprKind::String(text) => (Kind::Text(text.clone()), ValueType::String, true),
            ExprKind::VectorSelector(selector) => {
                let select = self.select(selector, hint);
                let fixed = select.shift.at_ms.is_some();
                (Kind::Select(select), ValueType::Vector, fixed)
            }
            ExprKind::MatrixSelector(matrix) => {
                let select = self.select(&matrix.selector, hint);
                let (shift, extended) = (select.shift, select.extended);
                let source = WindowSource::Stored(select);
                let window = Window { source, range_ms: matrix.range_ms, shift, extended };
                (Kind::Window(window), ValueType::Matrix, shift.at_ms.is_some())
            }
            ExprKind::Subquery(subquery) => {
                let shift = self.shift(&subquery.time);
                let node =
                    Box::new(self.inside(Counts::WithBuckets, |this| this.node(&subquery.expr, hint))?);
                let step_ms =
                    subquery.step_ms.filter(|step| *step > 0).unwrap_or(self.times.subquery_step_ms);
                let source = WindowSource::Subquery { node, step_ms };
                let window = Window { source, range_ms: subquery.range_ms, shift, extended: None };
                (Kind::Window(window), ValueType::Matrix, shift.at_ms.is_some())
            }
            ExprKind::Binary(binary) => self.binary(binary)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate)?,
            ExprKind::Call(call) => self.call(call)?,
        };
        Ok(Node::new(kind, span, value_type, fixed))
    }

    /// Builds a part below something that uses histograms in this way.
    fn inside<T>(&self, counts: Counts, build: impl FnOnce(&Self) -> T) -> T {
        let before = self.counts_only.get();
        if counts != Counts::Unused && before != Counts::WithBuckets {
            self.counts_only.set(counts);
        }
        let built = build(self);
        self.counts_only.set(before);
        built
    }

    fn select(&self, selector: &ast::VectorSelector, hint: &'static str) -> Select {
        Select {
            matchers: selector.matchers.clone(),
            alternatives: selector.alternatives.clone(),
            shift: self.shift(&selector.time),
            hint,
            extended: selector.extended,
            counts_only: self.counts_only.get() == Counts::Used,
        }
    }

    fn shift(&self, time: &ast::TimeModifiers) -> Shift {
        let at_ms = time.at.map(|at| match at {
            At::TimeMs(at_ms) => at_ms,
            At::Start => self.times.start_ms,
            At::End => self.times.end_ms,
        });
        Shift { at_ms, offset_ms: time.offset_ms }
    }

    fn binary(&self, binary: &ast::Binary) -> Result<(Kind, ValueType, bool), QueryError> {
        let lhs = self.node(&binary.lhs, "")?;
        let rhs = self.node(&binary.rhs, "")?;
        let value_type = binary.value_type();
        let fixed = lhs.fixed && rhs.fixed;
        let (op, return_bool, matching) = (binary.op, binary.return_bool, binary.matching.clone());
        Ok((Kind::Binary(Box::new(Binary { op, lhs, rhs, return_bool, matching })), value_type, fixed))
    }

    fn aggregate(&self, aggregate: &ast::Aggregate) -> Result<(Kind, ValueType, bool), QueryError> {
        let op = aggregate.op;
        let input = self.node(&aggregate.expr, op.as_str())?;
        let mut param = aggregate.param.as_ref().map(|param| self.node(param, op.as_str())).transpose()?;
        let op = if op == AggregateOp::Kymo(KymoAggregate::Median) {
            let (kind, span) = (Kind::Number(0.5), aggregate.expr.span.clone());
            param = Some(Node::new(kind, span, ValueType::Scalar, true));
            AggregateOp::Quantile
        } else {
            op
        };
        let fixed = input.fixed && param.as_ref().is_none_or(|param| param.fixed);
        let mut grouping = aggregate.grouping.clone();
        grouping.sort_unstable();
        grouping.dedup();
        let aggregate = Aggregate { op, input, param, grouping, without: aggregate.without };
        Ok((Kind::Aggregate(Box::new(aggregate)), ValueType::Vector, fixed))
    }

    fn call(&self, call: &ast::Call) -> Result<(Kind, ValueType, bool), QueryError> {
        let name = call.function.name;
        let function = functions::resolve(name, self.times)
            .ok_or_else(|| QueryError::Execution(format!("function {name}() is not supported yet")))?;
        let counts = match name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => Counts::Used,
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => Counts::WithBuckets,
            _ => Counts::Unused,
        };
        let mut args: Vec<Node> = self.inside(counts, |this| {
            call.args.iter().map(|arg| this.node(arg, name)).collect::<Result<_, _>>()
        })?;
        // These look at the last sample before the window too, which is what `anchored` means.
        if matches!(name, "increase_exact" | "rate_exact" | "tlast_change_over_time") {
            for arg in &mut args {
                if let Kind::Window(window) = &mut arg.kind {
                    window.extended = window.extended.or(Some(ast::Extended::Anchored));
                }
            }
        }
        let fixed = function.depends_only_on_args(&args) && args.iter().all(|arg| arg.fixed);
        Ok((Kind::Call(Call { function, name, args }), call.function.returns, fixed))
    }
}

/// The labels that `absent` gives its result: those the selector's matchers fix.
pub(crate) fn absent_labels(arg: &Node) -> model::Labels {
    let matchers = match &arg.kind {
        Kind::Select(select) | Kind::Window(Window { source: WindowSource::Stored(select), .. })
            if select.alternatives.is_empty() =>
        {
            &select.matchers
        }
        _ => return model::Labels::empty(),
    };
    let mut builder = model::LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name() != model::METRIC_NAME) {
        if matcher.op() == model::MatchOp::Equal && !seen.contains(&matcher.name()) {
            builder.set(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            // Two conditions on one label say nothing about its value.
            builder.remove(matcher.name());
        }
    }
    builder.build()
}

/// The text of an argument that must be a literal.
pub(crate) fn text_of(node: &Node) -> Arc<str> {
    match &node.kind {
        Kind::Text(text) => Arc::from(text.as_str()),
        _ => Arc::from(""),
    }
}
