//! Types: what a function takes, what operators join, what a selector must say.

use model::{METRIC_NAME, Matcher};

use super::token::quoted;
use crate::ast::{
    AggregateOp, Binary, Call, Cardinality, Expr, ExprKind, MatrixSelector, Span, ValueType, VectorSelector,
};
use crate::error::ParseError;
use crate::functions;

/// Checks a tree and completes it: cardinality of set operators, no matching beside scalars.
pub(crate) fn check(query: &str, expr: &mut Expr, errors: &mut Vec<ParseError>) {
    Checker { query, errors }.expr(expr);
}

struct Checker<'a> {
    query: &'a str,
    errors: &'a mut Vec<ParseError>,
}

impl Checker<'_> {
    fn fault(&mut self, span: &Span, message: impl Into<String>) {
        self.errors.push(ParseError::new(self.query, span.clone(), message.into()));
    }

    /// Checks a node and all below; returns its type.
    fn expr(&mut self, expr: &mut Expr) -> ValueType {
        let span = &expr.span;
        match &mut expr.kind {
            ExprKind::Number(_) | ExprKind::Duration(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::VectorSelector(selector) => {
                self.selector(selector, span, false);
                ValueType::Vector
            }
            ExprKind::MatrixSelector(MatrixSelector { selector, selector_span, .. }) => {
                self.selector(selector, selector_span, false);
                ValueType::Matrix
            }
            ExprKind::Subquery(subquery) => {
                let got = self.expr(&mut subquery.expr);
                if got != ValueType::Vector {
                    let got = got.as_str();
                    self.fault(
                        span,
                        format!("subquery is only allowed on instant vector, got {got} instead"),
                    );
                }
                ValueType::Matrix
            }
            ExprKind::Unary(_, inner) => {
                let got = self.expr(inner);
                if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                    let only =
                        "unary expression only allowed on expressions of type scalar or instant vector";
                    self.fault(span, format!("{only}, got {}", quoted(got.documented())));
                }
                got
            }
            ExprKind::Paren(inner) => self.expr(inner),
            ExprKind::Binary(binary) => self.binary(binary, span),
            ExprKind::Aggregate(aggregate) => {
                self.expect(&mut aggregate.expr, ValueType::Vector, "aggregation expression");
                let wanted = if aggregate.op == AggregateOp::CountValues {
                    ValueType::String
                } else {
                    ValueType::Scalar
                };
                if let Some(param) = &mut aggregate.param {
                    self.expect(param, wanted, "aggregation parameter");
                }
                ValueType::Vector
            }
            ExprKind::Call(call) => self.call(call, span),
        }
    }

    fn expect(&mut self, expr: &mut Expr, wanted: ValueType, context: &str) {
        let got = self.expr(expr);
        if got != wanted {
            let (wanted, got) = (wanted.documented(), got.documented());
            self.fault(&expr.span, format!("expected type {wanted} in {context}, got {got}"));
        }
    }

    fn selector(&mut self, selector: &VectorSelector, span: &Span, may_be_empty: bool) {
        for matchers in std::iter::once(&selector.matchers).chain(&selector.alternatives) {
            if let Some(name) = &selector.name {
                // The last matcher is the one made of the name itself.
                let inner = matchers.split_last().map_or(&[][..], |(_, rest)| rest);
                for matcher in inner.iter().filter(|m| m.name() == METRIC_NAME) {
                    let (name, other) = (quoted(name), quoted(matcher.value()));
                    self.fault(span, format!("metric name must not be set twice: {name} or {other}"));
                }
            } else if !may_be_empty && matchers.iter().all(Matcher::matches_empty) {
                self.fault(span, "vector selector must contain at least one non-empty matcher");
            }
        }
    }

    fn binary(&mut self, binary: &mut Binary, span: &Span) -> ValueType {
        let lhs = self.expr(&mut binary.lhs);
        let rhs = self.expr(&mut binary.rhs);
        let op = binary.op;
        let both_scalar = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
        if binary.return_bool && !op.is_comparison() {
            self.fault(&self.operator_span(binary), "bool modifier can only be used on comparison operators");
        }
        if op.is_comparison() && !binary.return_bool && both_scalar {
            self.fault(&self.operator_span(binary), "comparisons between scalars must use BOOL modifier");
        }
        self.matching_labels(binary);
        for (side, got) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
            if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                self.fault(&side.span, "binary expression must contain only scalar and instant vector types");
            }
        }
        if lhs == ValueType::Vector && rhs == ValueType::Vector {
            self.vector_matching(binary, span);
        } else if let Some(matching) = binary.matching.take() {
            if !matching.labels.is_empty() {
                self.fault(span, "vector matching only allowed between instant vectors");
            }
            if matching.fill.left.is_some() || matching.fill.right.is_some() {
                self.fault(span, "filling in missing series only allowed between instant vectors");
            }
        }
        if op.is_set_operator() && (lhs == ValueType::Scalar || rhs == ValueType::Scalar) {
            let op = quoted(op.as_str());
            self.fault(span, format!("set operator {op} not allowed in binary scalar expression"));
        }
        binary.value_type()
    }

    /// The operator with its modifiers, as Prometheus marks it: its last byte is left out.
    fn operator_span(&self, binary: &Binary) -> Span {
        let text = self.query.as_bytes();
        let is_space = |at: usize| text.get(at).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
        let (mut start, mut end) = (binary.lhs.span.end, binary.rhs.span.start.saturating_sub(1));
        while start < end && is_space(start) {
            start += 1;
        }
        while end > start && is_space(end) {
            end -= 1;
        }
        start..end.max(start)
    }

    /// A label of `on` must not be one of `group_left` or `group_right` too.
    fn matching_labels(&mut self, binary: &Binary) {
        let Some(matching) = binary.matching.as_ref().filter(|matching| matching.on) else { return };
        for label in matching.labels.iter().filter(|label| matching.include.contains(label)) {
            let message = format!("label {} must not occur in ON and GROUP clause at once", quoted(label));
            self.fault(&self.operator_span(binary), message);
        }
    }

    /// Checks the matching of two vectors.
    fn vector_matching(&mut self, binary: &mut Binary, span: &Span) {
        let (op, Some(matching)) = (binary.op, &mut binary.matching) else { return };
        if !op.is_set_operator() && !op.is_gap_operator() {
            return;
        }
        if matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        let (grouped, fill) = (matching.cardinality != Cardinality::ManyToMany, matching.fill);
        if grouped {
            self.fault(span, format!("no grouping allowed for {} operation", quoted(op.as_str())));
            self.fault(span, "set operations must always be many-to-many");
        }
        if fill.left.is_some() || fill.right.is_some() {
            self.fault(span, "filling in missing series not allowed for set operators");
        }
    }

    fn call(&mut self, call: &mut Call, span: &Span) -> ValueType {
        let function = call.function;
        self.argument_count(call, span);
        if function.name == "info" {
            self.info_argument(call, span);
        }
        for (at, arg) in call.args.iter_mut().enumerate() {
            let wanted = match function.args.get(at) {
                Some(wanted) => *wanted,
                // Too many arguments: that was said already, and they have no types.
                None if function.variadic == 0 => break,
                None => match function.args.last() {
                    Some(last) => *last,
                    None => break,
                },
            };
            let got = match &arg.kind {
                ExprKind::VectorSelector(selector) if function.name == "info" && at == 1 => {
                    self.selector(selector, &arg.span, true);
                    ValueType::Vector
                }
                _ => self.expr(arg),
            };
            if got != wanted {
                let (wanted, got, name) = (wanted.documented(), got.documented(), quoted(function.name));
                self.fault(
                    &arg.span,
                    format!("expected type {wanted} in call to function {name}, got {got}"),
                );
            }
        }
        function.returns
    }

    fn argument_count(&mut self, call: &Call, span: &Span) {
        if let Some((first, what)) = functions::kymo::pairs_of(call.function.name)
            && call.args.len() > first
            && !(call.args.len() - first).is_multiple_of(2)
        {
            let name = quoted(call.function.name);
            self.fault(
                span,
                format!("expected pairs of {what} in call to {name}, the last one is not whole"),
            );
        }
        let (wanted, got, name) = (call.function.args.len(), call.args.len(), quoted(call.function.name));
        let variadic = call.function.variadic;
        if variadic == 0 {
            if wanted != got {
                self.fault(span, format!("expected {wanted} argument(s) in call to {name}, got {got}"));
            }
            return;
        }
        let at_least = wanted.saturating_sub(1);
        if got < at_least {
            self.fault(
                span,
                format!("expected at least {at_least} argument(s) in call to {name}, got {got}"),
            );
        } else if let Ok(more) = usize::try_from(variadic)
            && got > at_least + more
        {
            let at_most = at_least + more;
            self.fault(span, format!("expected at most {at_most} argument(s) in call to {name}, got {got}"));
        }
    }

    /// The second argument of `info` selects labels: matchers without a name.
    fn info_argument(&mut self, call: &Call, span: &Span) {
        let Some(second) = call.args.get(1) else { return };
        let got = second.value_type();
        if got != ValueType::Vector {
            let (wanted, got) = (ValueType::Vector.documented(), got.documented());
            self.fault(span, format!("expected type {wanted} in call to function \"info\", got {got}"));
        }
        match &second.kind {
            ExprKind::VectorSelector(selector) if !selector.alternatives.is_empty() => {
                self.fault(&second.span, "label selectors of info take no alternatives with \"or\"");
            }
            ExprKind::VectorSelector(VectorSelector { name: None, .. }) => {}
            ExprKind::VectorSelector(_) => {
                self.fault(&second.span, "expected label selectors only, got vector selector instead");
            }
            _ => self.fault(&second.span, "expected label selectors only"),
        }
    }
}
