//! Queries as trees that know their text.

use std::fmt;

/// Random choices that a seed repeats.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(crate) fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below((last - first + 1).cast_unsigned()).cast_signed()
    }

    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A vector.
pub(crate) enum Query {
    Select(Select),
    Over(OverTime, Range),
    Map(Map, Box<Query>),
    WithNumber(Operator, Box<Query>, f64),
    Aggregate { operator: Aggregation, without: bool, labels: Vec<&'static str>, inner: Box<Query> },
    Match { operator: Operator, left: Box<Query>, right: Box<Query>, on: Option<Vec<&'static str>> },
    Set { operator: SetOperator, left: Box<Query>, right: Box<Query>, on: Option<Vec<&'static str>> },
}

pub(crate) struct Select {
    pub(crate) name: &'static str,
    /// A label, whether it must be this value, and the value.
    pub(crate) matcher: Option<(&'static str, bool, &'static str)>,
    pub(crate) shift: Shift,
}

/// `@` in seconds, and `offset`.
#[derive(Clone, Copy)]
pub(crate) struct Shift {
    pub(crate) at_s: Option<i64>,
    pub(crate) offset_s: i64,
}

pub(crate) enum Range {
    Stored { select: Select, window_s: i64 },
    Computed { inner: Box<Query>, window_s: i64, step_s: i64, shift: Shift },
}

macro_rules! named {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),* }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

named!(OverTime {
    Rate = "rate", Increase = "increase", Delta = "delta", Irate = "irate", Idelta = "idelta", Sum = "sum_over_time",
    Avg = "avg_over_time", Min = "min_over_time", Max = "max_over_time", Count = "count_over_time", Last = "last_over_time",
    Present = "present_over_time", Stddev = "stddev_over_time", Changes = "changes", Resets = "resets", Deriv = "deriv",
});
named!(Map { Negate = "-", Abs = "abs", Sgn = "sgn", Sqrt = "sqrt", Ceil = "ceil", Floor = "floor" });
named!(Operator { Add = "+", Sub = "-", Mul = "*", Div = "/", Greater = ">", Less = "<=", NotEqualBool = "!= bool" });
named!(Aggregation { Sum = "sum", Avg = "avg", Min = "min", Max = "max", Count = "count", Group = "group" });
named!(SetOperator { And = "and", Or = "or", Unless = "unless" });

impl Operator {
    /// Whether the result is another metric, which has no name.
    pub(crate) fn changes_metric(self) -> bool {
        !matches!(self, Self::Greater | Self::Less)
    }
}

fn labels(choices: &mut Choices) -> Vec<&'static str> {
    ["x", "y"].into_iter().filter(|_| choices.one_in(2)).collect()
}

fn shift(choices: &mut Choices) -> Shift {
    let at_s = choices.one_in(8).then(|| choices.between(0, 700));
    let offset_s = if choices.one_in(5) { choices.between(-60, 200) } else { 0 };
    Shift { at_s, offset_s }
}

fn select(choices: &mut Choices) -> Select {
    let matcher = choices.one_in(3).then(|| {
        let (label, values): (_, &[&'static str]) =
            choices.pick(&[("x", &["0", "1", "2"][..]), ("y", &["0", "1"])]);
        (label, choices.one_in(2), choices.pick(values))
    });
    Select { name: choices.pick(&["a", "b"]), matcher, shift: shift(choices) }
}

/// A random query, of at most so many levels.
pub(crate) fn random(choices: &mut Choices, depth: u32) -> Query {
    if depth == 0 {
        return Query::Select(select(choices));
    }
    let inner = |choices: &mut Choices| Box::new(random(choices, depth - 1));
    let on = |choices: &mut Choices| choices.one_in(2).then(|| labels(choices));
    match choices.below(10) {
        0 => Query::Select(select(choices)),
        1..=3 => {
            let window_s = choices.between(1, 250);
            let range = if choices.one_in(3) {
                let step_s = choices.between(3, 60);
                Range::Computed { inner: inner(choices), window_s, step_s, shift: shift(choices) }
            } else {
                Range::Stored { select: select(choices), window_s }
            };
            Query::Over(choices.pick(OverTime::ALL), range)
        }
        4 => Query::Map(choices.pick(Map::ALL), inner(choices)),
        5 => {
            let number = choices.between(-80, 80) as f64 / 4.0;
            Query::WithNumber(choices.pick(Operator::ALL), inner(choices), number)
        }
        6 | 7 => Query::Aggregate {
            operator: choices.pick(Aggregation::ALL),
            without: choices.one_in(2),
            labels: labels(choices),
            inner: inner(choices),
        },
        8 => Query::Match {
            operator: choices.pick(Operator::ALL),
            left: inner(choices),
            right: inner(choices),
            on: on(choices),
        },
        _ => Query::Set {
            operator: choices.pick(SetOperator::ALL),
            left: inner(choices),
            right: inner(choices),
            on: on(choices),
        },
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at_s) = self.at_s {
            write!(f, " @ {at_s}")?;
        }
        match self.offset_s {
            0 => Ok(()),
            offset_s => write!(f, " offset {offset_s}s"),
        }
    }
}

impl Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>, window: &str) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some((label, equal, value)) = self.matcher {
            write!(f, "{{{label}{}\"{value}\"}}", if equal { "=" } else { "!=" })?;
        }
        write!(f, "{window}{}", self.shift)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored { select, window_s } => select.fmt(f, &format!("[{window_s}s]")),
            Self::Computed { inner, window_s, step_s, shift } => {
                write!(f, "({inner})[{window_s}s:{step_s}s]{shift}")
            }
        }
    }
}

impl Query {
    /// Whether series that lose their names on one side of an operator, or in an aggregation, may go before their labels are compared.
    pub(crate) fn may_fold_clashes(&self) -> bool {
        let loses = |query: &Self| query.loses_names() || query.may_fold_clashes();
        match self {
            Self::Select(_) => false,
            Self::Over(_, range) => range.inner().is_some_and(Self::may_fold_clashes),
            Self::Map(_, inner) | Self::WithNumber(_, inner, _) => inner.may_fold_clashes(),
            Self::Aggregate { .. } => true,
            Self::Match { left, right, .. } | Self::Set { left, right, .. } => loses(left) || loses(right),
        }
    }

    fn loses_names(&self) -> bool {
        match self {
            Self::Select(_) => false,
            Self::Over(..) | Self::Map(..) | Self::WithNumber(..) | Self::Aggregate { .. } => true,
            Self::Match { .. } => true,
            Self::Set { left, right, .. } => left.loses_names() || right.loses_names(),
        }
    }
}

impl Range {
    fn inner(&self) -> Option<&Query> {
        match self {
            Self::Stored { .. } => None,
            Self::Computed { inner, .. } => Some(inner),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on_text = |on: &Option<Vec<&str>>| {
            on.as_ref().map(|on| format!(" on ({})", on.join(", "))).unwrap_or_default()
        };
        match self {
            Self::Select(select) => select.fmt(f, ""),
            Self::Over(function, range) => write!(f, "{}({range})", function.text()),
            Self::Map(function, inner) => write!(f, "{}({inner})", function.text()),
            Self::WithNumber(operator, inner, number) => write!(f, "({inner}) {} {number}", operator.text()),
            Self::Aggregate { operator, without, labels, inner } => {
                let kind = if *without { "without" } else { "by" };
                write!(f, "{} {kind} ({}) ({inner})", operator.text(), labels.join(", "))
            }
            Self::Match { operator, left, right, on } => {
                write!(f, "({left}) {}{} ({right})", operator.text(), on_text(on))
            }
            Self::Set { operator, left, right, on } => {
                write!(f, "({left}) {}{} ({right})", operator.text(), on_text(on))
            }
        }
    }
}
