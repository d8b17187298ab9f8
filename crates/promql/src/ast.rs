//! The abstract syntax tree: what a query says, with the position of every part.
//!
//! Positions are byte offsets into the query text, end exclusive, as Prometheus reports them. Durations are
//! `i64` milliseconds. The parser yields only well-typed trees: a function's arguments have the types of its
//! signature, a binary operation's sides fit its operator.

pub mod duration;
pub mod kymo;
mod walk;

use std::ops::Range;

use model::Matcher;

pub use duration::{DurationExpr, resolve_durations};
pub use kymo::KymoAggregate;

/// Where a node stands in the query text: bytes, end exclusive.
pub type Span = Range<usize>;

/// An expression with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// What it yields.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Duration(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::VectorSelector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::MatrixSelector(_) | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => inner.value_type(),
            ExprKind::Binary(binary) => binary.value_type(),
            ExprKind::Call(call) => call.function.returns,
        }
    }
}

impl Binary {
    /// A scalar if both sides are, and the operator yields one.
    pub fn value_type(&self) -> ValueType {
        if self.op.is_gap_operator() {
            return ValueType::Vector;
        }
        match (self.lhs.value_type(), self.rhs.value_type()) {
            (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
            _ => ValueType::Vector,
        }
    }
}

/// What an expression yields at one point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A number.
    Scalar,
    /// A text.
    String,
    /// One sample for each of some label sets.
    Vector,
    /// A range of samples for each of some label sets.
    Matrix,
}

impl ValueType {
    /// How messages and documentation name it.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// How the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

/// The kinds of expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1.5`, `0x1f`, `Inf`.
    Number(f64),
    /// `5m` where a number may stand: its seconds. Differs from [`Self::Number`] only in how it is printed.
    Duration(f64),
    /// `"text"`.
    String(String),
    /// `metric{a="b"} offset 5m @ 1600000000`.
    VectorSelector(VectorSelector),
    /// `metric[5m]`.
    MatrixSelector(MatrixSelector),
    /// `expr[30m:1m]`.
    Subquery(Box<Subquery>),
    /// `-expr`, `+expr`.
    Unary(UnaryOp, Box<Expr>),
    /// `a + on (x) group_left b`.
    Binary(Box<Binary>),
    /// `sum by (a) (expr)`.
    Aggregate(Box<Aggregate>),
    /// `rate(expr)`.
    Call(Call),
    /// `(expr)`.
    Paren(Box<Expr>),
}

/// An instant selector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The name in front of the braces; its matcher is among `matchers` too.
    pub name: Option<String>,
    /// All matchers, that of the name included.
    pub matchers: Vec<Matcher>,
    /// What stands behind `or` in the braces: further sets of matchers, that of the name included. A series is
    /// selected if it meets all of `matchers` or all of one of these.
    pub alternatives: Vec<Vec<Matcher>>,
    /// `offset` and `@`.
    pub time: TimeModifiers,
    /// An `offset` that must be computed; `time.offset_ms` is 0 until [`resolve_durations`] has set it.
    pub offset_expr: Option<Box<DurationExpr>>,
    /// `anchored` or `smoothed`.
    pub extended: Option<Extended>,
}

/// How a range is completed with samples around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extended {
    /// `anchored`: with the last sample before the range.
    Anchored,
    /// `smoothed`: with values interpolated at both ends.
    Smoothed,
}

/// `offset` and `@`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimeModifiers {
    /// As written: positive looks back.
    pub offset_ms: i64,
    /// The `@` modifier.
    pub at: Option<At>,
}

/// The `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum At {
    /// `@ 1600000000.123`, in milliseconds.
    TimeMs(i64),
    /// `@ start()`.
    Start,
    /// `@ end()`.
    End,
}

/// A range selector.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// What is selected.
    pub selector: VectorSelector,
    /// Where the selector without its range stands.
    pub selector_span: Span,
    /// Width of the window, positive.
    pub range_ms: i64,
    /// A width that must be computed; `range_ms` is 0 until [`resolve_durations`] has set it.
    pub range_expr: Option<Box<DurationExpr>>,
}

/// A subquery.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each of its steps.
    pub expr: Expr,
    /// Width of the window, positive.
    pub range_ms: i64,
    /// Distance of steps; `None` for the default interval.
    pub step_ms: Option<i64>,
    /// `offset` and `@` of the subquery itself.
    pub time: TimeModifiers,
    /// As in [`MatrixSelector`].
    pub range_expr: Option<Box<DurationExpr>>,
    /// A distance that must be computed; `step_ms` is `None` until [`resolve_durations`] has set it.
    pub step_expr: Option<Box<DurationExpr>>,
    /// As in [`VectorSelector`].
    pub offset_expr: Option<Box<DurationExpr>>,
}

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Eql,
    /// `!=`
    Neq,
    /// `>`
    Gtr,
    /// `<`
    Lss,
    /// `>=`
    Gte,
    /// `<=`
    Lte,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`: the part of a histogram below a bound.
    TrimUpper,
    /// `>/`: the part of a histogram above a bound.
    TrimLower,
    /// `default`: the right side where the left one has no sample (Kymo's).
    Default,
    /// `if`: the left side where the right one has a sample (Kymo's).
    If,
    /// `ifnot`: the left side where the right one has no sample (Kymo's).
    IfNot,
}

impl BinaryOp {
    /// All operators.
    pub const ALL: [Self; 21] = [
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Div,
        Self::Mod,
        Self::Pow,
        Self::Atan2,
        Self::Eql,
        Self::Neq,
        Self::Gtr,
        Self::Lss,
        Self::Gte,
        Self::Lte,
        Self::And,
        Self::Or,
        Self::Unless,
        Self::TrimUpper,
        Self::TrimLower,
        Self::Default,
        Self::If,
        Self::IfNot,
    ];

    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Default => "default",
            Self::If => "if",
            Self::IfNot => "ifnot",
            Self::Eql => "==",
            Self::Neq => "!=",
            Self::Gtr => ">",
            Self::Lss => "<",
            Self::Gte => ">=",
            Self::Lte => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// `== != > < >= <=`.
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Eql | Self::Neq | Self::Gtr | Self::Lss | Self::Gte | Self::Lte)
    }

    /// Whether it is one of Kymo's `default`, `if` and `ifnot`.
    pub fn is_gap_operator(self) -> bool {
        matches!(self, Self::Default | Self::If | Self::IfNot)
    }

    /// The operator of one of Kymo's words, in any case.
    pub fn of_kymo_word(word: &str) -> Option<Self> {
        [Self::Default, Self::If, Self::IfNot].into_iter().find(|op| op.as_str().eq_ignore_ascii_case(word))
    }

    /// `and or unless`.
    pub fn is_set_operator(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// A binary operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Left side.
    pub lhs: Expr,
    /// Right side.
    pub rhs: Expr,
    /// `bool`: comparisons yield 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How samples of two vectors are paired. Present exactly if both sides are vectors.
    pub matching: Option<VectorMatching>,
}

/// How samples of two vectors are paired.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VectorMatching {
    /// How many of each side may be in one group.
    pub cardinality: Cardinality,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `labels` are those of `on`; otherwise of `ignoring` (or there was neither, and it is empty).
    pub on: bool,
    /// Labels of the "one" side to copy, from `group_left(…)` or `group_right(…)`.
    pub include: Vec<String>,
    /// `fill` values for a missing left and right side.
    pub fill: FillValues,
}

/// Values to use where one side of a pair is missing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FillValues {
    /// For a missing left side.
    pub left: Option<f64>,
    /// For a missing right side.
    pub right: Option<f64>,
}

/// How many samples of each side may be in one group of a vector matching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Cardinality {
    /// One of each.
    #[default]
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is PromQL's word")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    CountValues,
    Quantile,
    LimitK,
    LimitRatio,
    Kymo(KymoAggregate),
}

impl AggregateOp {
    /// All aggregations, those of Prometheus first.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_prometheus = [
            Self::Sum,
            Self::Avg,
            Self::Count,
            Self::Min,
            Self::Max,
            Self::Group,
            Self::Stddev,
            Self::Stdvar,
            Self::TopK,
            Self::BottomK,
            Self::CountValues,
            Self::Quantile,
            Self::LimitK,
            Self::LimitRatio,
        ];
        of_prometheus.into_iter().chain(kymo::KYMO_AGGREGATES.iter().map(|(_, op)| Self::Kymo(*op)))
    }

    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::TopK => "topk",
            Self::BottomK => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::LimitK => "limitk",
            Self::LimitRatio => "limit_ratio",
            Self::Kymo(op) => op.as_str(),
        }
    }

    /// Whether it takes a parameter in front of what it aggregates.
    pub fn has_param(self) -> bool {
        match self {
            Self::TopK
            | Self::BottomK
            | Self::CountValues
            | Self::Quantile
            | Self::LimitK
            | Self::LimitRatio => true,
            Self::Kymo(op) => op.has_param(),
            _ => false,
        }
    }

    /// Whether a step's result depends on the other steps of the query.
    pub fn sees_all_steps(self) -> bool {
        matches!(self, Self::Kymo(op) if op.sees_all_steps())
    }
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The parameter of `topk`, `quantile`, `count_values`…
    pub param: Option<Expr>,
    /// The labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether `grouping` are those of `without`; otherwise of `by` (or there was neither, and it is empty).
    pub without: bool,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function's signature, from the table in [`crate::functions`].
    pub function: &'static crate::functions::Signature,
    /// Arguments as written; optional ones may be missing.
    pub args: Vec<Expr>,
}
