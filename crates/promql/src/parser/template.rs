//! `WITH (name = expression, f(x) = expression) expression`: parts of a query that have a name.
//!
//! Templates are gone when a query is parsed: each use is replaced by the tree of the template's body. A template
//! may use those in front of it. Prometheus has no function `with`, so that nothing it accepts is read otherwise.
//!
//! Invariant: what a query expands to is bounded, however often its templates use one another.

use model::{METRIC_NAME, Matcher};

use super::HEIGHT_MAX;
use super::grammar::{Parsed, Parser, Stop};
use super::token::{Token, TokenKind as T, quoted};
use crate::ast::{
    Aggregate, Binary, Call, Expr, ExprKind, MatrixSelector, Span, Subquery, TimeModifiers, VectorSelector,
};

/// The most that the templates of a query may expand to: expressions, matchers, and 16 bytes of text each count.
const EXPANDED_MAX: usize = 10_000;

/// The most templates and parameters that may be in scope: each name is looked up among them.
const TEMPLATES_MAX: usize = 500;

const CONTEXT: &str = "WITH";

/// Stands in front of the name of a parameter in its template's body; no metric has such a name.
const PARAMETER_MARK: char = '\u{1}';

/// A name and what it stands for.
#[derive(Debug)]
pub(crate) struct Template {
    name: String,
    /// Names of its parameters; `None` if it is used without parentheses.
    params: Option<Vec<String>>,
    body: Expr,
}

impl Template {
    /// A parameter, as the body sees it.
    fn parameter(name: &str) -> Self {
        let marked = format!("{PARAMETER_MARK}{name}");
        let selector = VectorSelector {
            matchers: vec![Matcher::equal(METRIC_NAME, &marked)],
            name: Some(marked),
            alternatives: Vec::new(),
            time: TimeModifiers::default(),
            offset_expr: None,
            extended: None,
        };
        let body = Expr { kind: ExprKind::VectorSelector(selector), span: 0..0 };
        Self { name: name.to_owned(), params: None, body }
    }
}

/// How much of [`EXPANDED_MAX`] an expression takes.
fn weight(expr: &Expr) -> usize {
    let mut weight = 0;
    expr.walk(&mut |part| {
        weight += match &part.kind {
            ExprKind::VectorSelector(selector)
            | ExprKind::MatrixSelector(MatrixSelector { selector, .. }) => {
                1 + selector.matchers.len() + selector.alternatives.iter().map(Vec::len).sum::<usize>()
            }
            ExprKind::String(text) => 1 + text.len() / 16,
            _ => 1,
        };
    });
    weight
}

/// How many levels an expression has.
fn height(expr: &Expr) -> usize {
    let of_all = |parts: &mut dyn Iterator<Item = &Expr>| parts.map(height).max().unwrap_or(0);
    1 + match &expr.kind {
        ExprKind::Subquery(subquery) => height(&subquery.expr),
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => height(inner),
        ExprKind::Binary(binary) => height(&binary.lhs).max(height(&binary.rhs)),
        ExprKind::Aggregate(aggregate) => {
            height(&aggregate.expr).max(aggregate.param.as_ref().map_or(0, height))
        }
        ExprKind::Call(call) => of_all(&mut call.args.iter()),
        _ => 0,
    }
}

/// Puts parentheses around what would bind otherwise in its new place.
fn enclosed(expr: Expr) -> Expr {
    if !matches!(expr.kind, ExprKind::Binary(_) | ExprKind::Unary(..)) {
        return expr;
    }
    let span = expr.span.clone();
    Expr { kind: ExprKind::Paren(Box::new(expr)), span }
}

impl Parser<'_> {
    /// The template of a name, the innermost of several.
    pub(crate) fn template_named(&self, name: &str) -> Option<usize> {
        self.templates.iter().rposition(|template| template.name == name)
    }

    /// The rest of `WITH (…) expression`, whose first word was taken.
    pub(crate) fn with(&mut self, word: Token) -> Parsed<Expr> {
        self.take();
        let outer = self.templates.len();
        loop {
            self.template()?;
            if self.take_if(T::Comma).is_none() || self.next.kind == T::RightParen {
                break;
            }
        }
        if self.take_if(T::RightParen).is_none() {
            return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
        }
        let expr = self.binary(0)?;
        self.templates.truncate(outer);
        let before = self.query[..word.start].trim_end();
        if before.is_empty() || before.ends_with(['(', ',', '=']) {
            return Ok(expr);
        }
        self.grow()?;
        Ok(enclosed(expr))
    }

    /// `name = expression` or `name(a, b) = expression`.
    fn template(&mut self) -> Parsed<()> {
        if self.next.kind != T::Identifier {
            return Err(self.unexpected(CONTEXT, "name of a template"));
        }
        let name = self.take().text(self.query).to_owned();
        let params = if self.next.kind == T::LeftParen { Some(self.template_params()?) } else { None };
        if self.take_if(T::Equal).is_none() {
            return Err(self.unexpected(CONTEXT, "\"=\""));
        }
        let outer = self.templates.len();
        for param in params.iter().flatten() {
            self.define(Template::parameter(param))?;
        }
        let body = self.binary(0)?;
        self.templates.truncate(outer);
        self.define(Template { name, params, body })
    }

    fn define(&mut self, template: Template) -> Parsed<()> {
        if self.templates.len() == TEMPLATES_MAX {
            let message = format!("more than {TEMPLATES_MAX} templates and parameters");
            return Err(self.refused(self.next.span(), message));
        }
        self.templates.push(template);
        Ok(())
    }

    fn template_params(&mut self) -> Parsed<Vec<String>> {
        self.take();
        let mut params = Vec::new();
        while self.next.kind == T::Identifier {
            params.push(self.take().text(self.query).to_owned());
            if self.take_if(T::Comma).is_none() {
                break;
            }
        }
        if self.take_if(T::RightParen).is_none() {
            return Err(self.unexpected(CONTEXT, "name of a parameter or \")\""));
        }
        Ok(params)
    }

    /// A template where an expression stands; its name was taken.
    pub(crate) fn template_use(&mut self, at: usize, name: Token) -> Parsed<Expr> {
        let expr = match self.templates[at].params.as_ref().map(Vec::len) {
            Some(wanted) => {
                if self.next.kind != T::LeftParen {
                    return Err(self.unexpected(CONTEXT, "\"(\" and the arguments of a template"));
                }
                let args = self.arguments()?;
                let got = args.exprs.len();
                if got != wanted {
                    let called = quoted(name.text(self.query));
                    let message = format!("expected {wanted} argument(s) for template {called}, got {got}");
                    self.fault(name.start..args.end, message);
                    return Err(Stop);
                }
                self.charge(at, &args.exprs, name)?;
                let template = &self.templates[at];
                let params = template.params.as_deref().unwrap_or_default();
                let filled = Filler { params, args: &args.exprs }.fill(&template.body);
                filled.map_err(|message| self.refused(name.start..args.end, message))?
            }
            None => {
                self.charge(at, &[], name)?;
                let mut expr = self.templates[at].body.clone();
                if self.next.kind == T::LeftBrace {
                    self.more_matchers(&mut expr, name)?;
                }
                expr
            }
        };
        let expr = enclosed(expr);
        self.height = height(&expr);
        if self.height > HEIGHT_MAX {
            return Err(
                self.too_deep(format!("expression has too many levels, at most {HEIGHT_MAX} are allowed"))
            );
        }
        Ok(expr)
    }

    fn refused(&mut self, span: Span, message: String) -> Stop {
        self.fault(span, message);
        Stop
    }

    /// Counts what a use of a template adds to the query.
    fn charge(&mut self, at: usize, args: &[Expr], name: Token) -> Parsed<()> {
        let template = &self.templates[at];
        let mut added = weight(&template.body);
        for (param, arg) in template.params.iter().flatten().zip(args) {
            let mut uses: usize = 0;
            template.body.walk(&mut |part| uses += usize::from(parameter_of(part) == Some(param.as_str())));
            added = added.saturating_add(uses.saturating_mul(weight(arg)));
        }
        self.expanded = self.expanded.saturating_add(added);
        if self.expanded > EXPANDED_MAX {
            let message = format!("templates expand to more than {EXPANDED_MAX} parts");
            return Err(self.refused(name.span(), message));
        }
        Ok(())
    }

    /// `{…}` behind a template adds matchers to its selector.
    fn more_matchers(&mut self, expr: &mut Expr, name: Token) -> Parsed<()> {
        let start = self.next.start;
        let mut sets = vec![Vec::new()];
        let end = self.matchers(&mut sets)?;
        let called = quoted(name.text(self.query));
        match &mut expr.kind {
            ExprKind::VectorSelector(selector) if sets.len() == 1 || selector.alternatives.is_empty() => {
                let copies = sets.len().max(selector.alternatives.len() + 1);
                self.expanded = self.expanded.saturating_add(copies.saturating_mul(selector.matchers.len()));
                if self.expanded > EXPANDED_MAX {
                    let message = format!("templates expand to more than {EXPANDED_MAX} parts");
                    return Err(self.refused(name.span(), message));
                }
                add_sets(selector, sets);
                Ok(())
            }
            ExprKind::VectorSelector(_) => {
                let message = format!("template {called} has alternatives already");
                Err(self.refused(start..end, message))
            }
            _ => {
                let message = format!("template {called} is no selector, so it takes no label matchers");
                Err(self.refused(start..end, message))
            }
        }
    }

    /// A template within braces: its matchers.
    pub(crate) fn template_matchers(&mut self, at: usize, name: Token) -> Parsed<Vec<Matcher>> {
        self.charge(at, &[], name)?;
        match &self.templates[at].body.kind {
            ExprKind::VectorSelector(selector)
                if selector.alternatives.is_empty()
                    && selector.time == TimeModifiers::default()
                    && parameter_of(&self.templates[at].body).is_none() =>
            {
                Ok(selector.matchers.clone())
            }
            _ => {
                let called = quoted(name.text(self.query));
                let message = format!("template {called} is no plain selector, so it has no label matchers");
                Err(self.refused(name.span(), message))
            }
        }
    }
}

/// Adds matchers in front of that of the name, which stands last.
fn add_matchers(selector: &mut VectorSelector, matchers: &[Matcher]) {
    let named = usize::from(selector.name.is_some());
    for set in std::iter::once(&mut selector.matchers).chain(&mut selector.alternatives) {
        let at = set.len() - named;
        set.splice(at..at, matchers.iter().cloned());
    }
}

/// Adds one set of matchers to all that the selector has, or several to the one that it has.
fn add_sets(selector: &mut VectorSelector, sets: Vec<Vec<Matcher>>) {
    if let [matchers] = &sets[..] {
        return add_matchers(selector, matchers);
    }
    let base = selector.clone();
    let mut all = sets.into_iter().map(|matchers| {
        let mut one = base.clone();
        add_matchers(&mut one, &matchers);
        one.matchers
    });
    selector.matchers = all.next().unwrap_or_default();
    selector.alternatives = all.collect();
}

/// The parameter that an expression stands for, or that it selects from.
fn parameter_of(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::VectorSelector(selector) | ExprKind::MatrixSelector(MatrixSelector { selector, .. }) => {
            selector.name.as_deref()?.strip_prefix(PARAMETER_MARK)
        }
        _ => None,
    }
}

/// Puts arguments in the place of parameters.
struct Filler<'a> {
    params: &'a [String],
    args: &'a [Expr],
}

impl Filler<'_> {
    fn fill(&self, expr: &Expr) -> Result<Expr, String> {
        if let Some(arg) = self.argument(expr) {
            return fill_parameter(expr, arg);
        }
        let kind = match &expr.kind {
            ExprKind::Subquery(subquery) => {
                let expr = self.fill(&subquery.expr)?;
                ExprKind::Subquery(Box::new(Subquery { expr, ..Subquery::clone(subquery) }))
            }
            ExprKind::Unary(op, inner) => ExprKind::Unary(*op, Box::new(self.fill(inner)?)),
            ExprKind::Paren(inner) => ExprKind::Paren(Box::new(self.fill(inner)?)),
            ExprKind::Binary(binary) => {
                let (lhs, rhs) = (self.fill(&binary.lhs)?, self.fill(&binary.rhs)?);
                let (op, return_bool) = (binary.op, binary.return_bool);
                let matching = binary.matching.clone();
                ExprKind::Binary(Box::new(Binary { op, lhs, rhs, return_bool, matching }))
            }
            ExprKind::Aggregate(aggregate) => {
                let expr = self.fill(&aggregate.expr)?;
                let param = aggregate.param.as_ref().map(|param| self.fill(param)).transpose()?;
                let (op, grouping, without) = (aggregate.op, aggregate.grouping.clone(), aggregate.without);
                ExprKind::Aggregate(Box::new(Aggregate { op, expr, param, grouping, without }))
            }
            ExprKind::Call(call) => {
                let args = call.args.iter().map(|arg| self.fill(arg)).collect::<Result<_, _>>()?;
                ExprKind::Call(Call { function: call.function, args })
            }
            other => other.clone(),
        };
        Ok(Expr { kind, span: expr.span.clone() })
    }

    fn argument(&self, expr: &Expr) -> Option<&Expr> {
        let name = parameter_of(expr)?;
        let at = self.params.iter().rposition(|param| param == name)?;
        self.args.get(at)
    }
}

/// The argument in the place of a parameter, with what the body adds to it.
fn fill_parameter(place: &Expr, arg: &Expr) -> Result<Expr, String> {
    let added = match &place.kind {
        ExprKind::VectorSelector(selector) => selector,
        ExprKind::MatrixSelector(matrix) => &matrix.selector,
        _ => return Ok(arg.clone()),
    };
    if !added.alternatives.is_empty() {
        return Err("alternatives with \"or\" cannot be added to an argument".to_owned());
    }
    let is_bare = added.matchers.len() == 1
        && added.time == TimeModifiers::default()
        && added.offset_expr.is_none()
        && added.extended.is_none();
    if is_bare && matches!(place.kind, ExprKind::VectorSelector(_)) {
        return Ok(enclosed(arg.clone()));
    }
    let ExprKind::VectorSelector(selector) = &arg.kind else {
        return Err("an argument that the template selects from must be a selector".to_owned());
    };
    let mut selector = selector.clone();
    let extra = added.matchers.split_last().map_or(&[][..], |(_, extra)| extra);
    add_matchers(&mut selector, extra);
    if added.time != TimeModifiers::default() || added.offset_expr.is_some() {
        if selector.time != TimeModifiers::default() || selector.offset_expr.is_some() {
            return Err("offset and @ may be set in the template or in its argument, not in both".to_owned());
        }
        (selector.time, selector.offset_expr) = (added.time, added.offset_expr.clone());
    }
    selector.extended = selector.extended.or(added.extended);
    let kind = match &place.kind {
        ExprKind::MatrixSelector(matrix) => ExprKind::MatrixSelector(MatrixSelector {
            selector,
            selector_span: arg.span.clone(),
            range_ms: matrix.range_ms,
            range_expr: matrix.range_expr.clone(),
        }),
        _ => ExprKind::VectorSelector(selector),
    };
    Ok(Expr { kind, span: place.span.clone() })
}
