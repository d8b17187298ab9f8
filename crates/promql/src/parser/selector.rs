//! Selectors: a metric's name, and matchers in braces.

use model::{METRIC_NAME, MatchOp, Matcher};

use super::grammar::{Parsed, Parser};
use super::literal;
use super::token::{Token, TokenKind as T};
use crate::ast::{BinaryOp, Expr, ExprKind, TimeModifiers, VectorSelector};

const CONTEXT: &str = "label matching";

impl Parser<'_> {
    /// A text that is a selector and nothing else.
    pub(crate) fn only_selector(&mut self) -> Parsed<VectorSelector> {
        let name = match self.next.kind {
            T::LeftBrace => None,
            kind if kind.is_metric_name() => Some(self.take()),
            _ => return Err(self.stuck()),
        };
        let expr = self.selector(name)?;
        self.expect_end()?;
        match expr.kind {
            ExprKind::VectorSelector(selector) => Ok(selector),
            _ => Err(self.stuck()),
        }
    }

    /// A selector whose name, if it has one in front of its braces, was taken.
    pub(crate) fn selector(&mut self, name: Option<Token>) -> Parsed<Expr> {
        let mut span = name.map_or(self.next.span(), Token::span);
        let mut sets = vec![Vec::new()];
        if self.next.kind == T::LeftBrace {
            span.end = self.matchers(&mut sets)?;
        }
        let name = name.map(|token| token.text(self.query).to_owned());
        if let Some(name) = &name {
            sets.iter_mut().for_each(|matchers| matchers.push(Matcher::equal(METRIC_NAME, name)));
        }
        let alternatives = sets.split_off(1);
        let matchers = sets.pop().unwrap_or_default();
        let time = TimeModifiers::default();
        let selector =
            VectorSelector { name, matchers, alternatives, time, offset_expr: None, extended: None };
        self.height = 1;
        Ok(Expr { kind: ExprKind::VectorSelector(selector), span })
    }

    /// `{a="b", …}`, which comes next; returns its end. Each `or` begins a new set of matchers.
    pub(crate) fn matchers(&mut self, sets: &mut Vec<Vec<Matcher>>) -> Parsed<usize> {
        self.take();
        loop {
            match self.next.kind {
                T::RightBrace => return Ok(self.take().end),
                T::Identifier | T::String => {
                    let found = self.matcher_or_template()?;
                    if let Some(set) = sets.last_mut() {
                        set.extend(found);
                    }
                }
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            }
            if self.next.kind == T::Identifier && self.next.text(self.query).eq_ignore_ascii_case("or") {
                self.take();
                sets.push(Vec::new());
                if !matches!(self.next.kind, T::Identifier | T::String) {
                    return Err(self.unexpected(CONTEXT, "identifier"));
                }
            } else if self.take_if(T::Comma).is_none() && self.next.kind != T::RightBrace {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    /// One matcher, or those of a template that is named alone.
    fn matcher_or_template(&mut self) -> Parsed<Vec<Matcher>> {
        let token = self.take();
        let ends = matches!(self.next.kind, T::Comma | T::RightBrace | T::Identifier);
        if token.kind == T::Identifier
            && ends
            && let Some(at) = self.template_named(token.text(self.query))
        {
            return self.template_matchers(at, token);
        }
        Ok(self.matcher(token)?.into_iter().collect())
    }

    /// `a="b"`, `"a.b"="c"`, or a quoted metric name alone. `None` if its expression is faulty.
    fn matcher(&mut self, token: Token) -> Parsed<Option<Matcher>> {
        let text = token.text(self.query);
        let is_string = token.kind == T::String;
        let name = if is_string { literal::unquote(text) } else { text.to_owned() };
        let op = match self.next.kind {
            T::Equal => MatchOp::Equal,
            T::Op(BinaryOp::Neq) => MatchOp::NotEqual,
            T::EqualRegex => MatchOp::Regex,
            T::NotRegex => MatchOp::NotRegex,
            _ if is_string => return Ok(Some(Matcher::equal(METRIC_NAME, &name))),
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.take();
        if self.next.kind != T::String {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        let value = self.take();
        match Matcher::new(op, &name, &literal::unquote(value.text(self.query))) {
            Ok(matcher) => Ok(Some(matcher)),
            Err(error) => {
                self.fault(token.start..value.end, error.to_string());
                Ok(None)
            }
        }
    }
}
