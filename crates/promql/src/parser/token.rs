//! The tokens of PromQL, and how messages name them.

use std::fmt::Write as _;

use model::labels::write_quoted;

use crate::ast::{AggregateOp, BinaryOp, Span};

/// What a token is. Words are recognised in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// End of the text.
    Eof,
    /// The lexer stopped; its message stands in [`super::lexer::Lexer::message`].
    Error,
    /// A name without a colon.
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    /// `1.5`, `0x1f`, `Inf`.
    Number,
    /// `1h30m`.
    Duration,
    /// A quoted string, quotes included.
    String,
    Comma,
    Colon,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    /// `=`
    Equal,
    /// `=~`, only within braces.
    EqualRegex,
    /// `!~`, only within braces.
    NotRegex,
    /// `@`
    At,
    /// An operator between two expressions; `!=` within braces too.
    Op(BinaryOp),
    /// `sum`, `topk`…
    Aggregate(AggregateOp),
    Offset,
    Anchored,
    Smoothed,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Fill,
    FillLeft,
    FillRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    MinOf,
    MaxOf,
}

use TokenKind as T;

impl TokenKind {
    /// What a word means outside of braces; `None` for a plain name.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        use AggregateOp as A;
        // Keywords are short; a longer name need not be folded to lower case.
        let mut folded = [0_u8; 12];
        let folded = folded.get_mut(..word.len())?;
        folded.copy_from_slice(word.as_bytes());
        folded.make_ascii_lowercase();
        Some(match &*folded {
            b"and" => T::Op(BinaryOp::And),
            b"or" => T::Op(BinaryOp::Or),
            b"unless" => T::Op(BinaryOp::Unless),
            b"atan2" => T::Op(BinaryOp::Atan2),
            b"sum" => T::Aggregate(A::Sum),
            b"avg" => T::Aggregate(A::Avg),
            b"count" => T::Aggregate(A::Count),
            b"min" => T::Aggregate(A::Min),
            b"max" => T::Aggregate(A::Max),
            b"group" => T::Aggregate(A::Group),
            b"stddev" => T::Aggregate(A::Stddev),
            b"stdvar" => T::Aggregate(A::Stdvar),
            b"topk" => T::Aggregate(A::TopK),
            b"bottomk" => T::Aggregate(A::BottomK),
            b"count_values" => T::Aggregate(A::CountValues),
            b"quantile" => T::Aggregate(A::Quantile),
            b"limitk" => T::Aggregate(A::LimitK),
            b"limit_ratio" => T::Aggregate(A::LimitRatio),
            b"offset" => T::Offset,
            b"anchored" => T::Anchored,
            b"smoothed" => T::Smoothed,
            b"by" => T::By,
            b"without" => T::Without,
            b"on" => T::On,
            b"ignoring" => T::Ignoring,
            b"group_left" => T::GroupLeft,
            b"group_right" => T::GroupRight,
            b"fill" => T::Fill,
            b"fill_left" => T::FillLeft,
            b"fill_right" => T::FillRight,
            b"bool" => T::Bool,
            b"start" => T::Start,
            b"end" => T::End,
            b"step" => T::Step,
            b"range" => T::Range,
            b"min_of" => T::MinOf,
            b"max_of" => T::MaxOf,
            b"inf" | b"nan" => T::Number,
            _ => return None,
        })
    }

    /// Whether a selector may begin with it: names, and the words that may be names.
    pub(crate) fn is_metric_name(self) -> bool {
        matches!(
            self,
            T::Identifier
                | T::MetricIdentifier
                | T::Aggregate(_)
                | T::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
                | T::By
                | T::Without
                | T::Offset
                | T::Anchored
                | T::Smoothed
                | T::Fill
                | T::FillLeft
                | T::FillRight
                | T::Start
                | T::End
                | T::Step
                | T::Range
                | T::MinOf
                | T::MaxOf
        )
    }

    /// Whether in front of `(` it names a function.
    pub(crate) fn may_be_function(self) -> bool {
        matches!(self, T::Identifier | T::Start | T::End | T::Step | T::Range | T::MinOf | T::MaxOf)
    }

    /// Whether it may be a label's name in `by (…)`, `on (…)` and the like.
    pub(crate) fn is_grouping_label(self) -> bool {
        self.is_metric_name()
            || matches!(
                self,
                T::Op(BinaryOp::Atan2) | T::Bool | T::On | T::Ignoring | T::GroupLeft | T::GroupRight
            )
    }

    /// Whether an expression may begin with it.
    pub(crate) fn starts_expression(self) -> bool {
        self.is_metric_name()
            || matches!(
                self,
                T::Number
                    | T::Duration
                    | T::String
                    | T::LeftParen
                    | T::LeftBrace
                    | T::Op(BinaryOp::Add | BinaryOp::Sub)
            )
    }

    fn is_keyword(self) -> bool {
        matches!(
            self,
            T::Offset
                | T::Anchored
                | T::Smoothed
                | T::By
                | T::Without
                | T::On
                | T::Ignoring
                | T::GroupLeft
                | T::GroupRight
                | T::Fill
                | T::FillLeft
                | T::FillRight
                | T::Bool
        )
    }
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Token {
    pub(crate) fn span(self) -> Span {
        self.start..self.end
    }

    pub(crate) fn text(self, query: &str) -> &str {
        &query[self.start..self.end]
    }

    /// How "unexpected …" names it.
    pub(crate) fn describe(self, query: &str) -> String {
        let text = self.text(query);
        match self.kind {
            T::Eof => "end of input".to_owned(),
            T::Identifier => format!("identifier {}", quoted(text)),
            T::MetricIdentifier => format!("metric identifier {}", quoted(text)),
            T::Number => format!("number {}", shortened(text)),
            T::Duration => format!("duration {}", shortened(text)),
            T::String => format!("string {}", shortened(text)),
            T::Op(_) | T::EqualRegex | T::NotRegex | T::At => format!("<op:{text}>"),
            T::Aggregate(_) => format!("<aggr:{text}>"),
            kind if kind.is_keyword() => format!("<{text}>"),
            _ => quoted(text),
        }
    }
}

/// At most ten characters of a long token, quoted.
fn shortened(text: &str) -> String {
    if text.len() <= 10 {
        return quoted(text);
    }
    let cut = text.char_indices().nth(10).map_or(text.len(), |(at, _)| at);
    quoted(&text[..cut]) + "..."
}

/// A string as Go's `%q` writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_quoted(&mut out, text).expect("writing to a String cannot fail");
    out
}

/// A character as Go's `%q` writes it; the end of the text becomes the replacement character, as there.
pub(crate) fn quoted_char(c: Option<char>) -> String {
    let mut out = String::with_capacity(6);
    match c.unwrap_or('\u{fffd}') {
        '\'' => out.push_str("'\\''"),
        '"' => out.push_str("'\"'"),
        c => {
            let text = quoted(c.encode_utf8(&mut [0; 4]));
            write!(out, "'{}'", &text[1..text.len() - 1]).expect("writing to a String cannot fail");
        }
    }
    out
}
