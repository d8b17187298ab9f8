//! Tokens to tree: expressions by precedence climbing, one token of lookahead.
//!
//! Prometheus' parser is generated from a grammar in which some rules name what they expected when something else
//! came. The innermost such rule that is open words the error; [`Parser::stuck`] is for places without one.

use super::lexer::Lexer;
use super::template::Template;
use super::token::{Token, TokenKind as T, quoted};
use super::{HEIGHT_MAX, NESTING_MAX, literal};
use crate::ast::{
    AggregateOp, Binary, BinaryOp, Call, Cardinality, Expr, ExprKind, KymoAggregate, Span, UnaryOp,
    VectorMatching,
};
use crate::error::ParseError;
use crate::functions;

/// A syntax error was recorded, and there is nothing more to parse.
#[derive(Debug)]
pub(crate) struct Stop;

pub(crate) type Parsed<T> = Result<T, Stop>;

/// The state of one parse.
#[derive(Debug)]
pub(crate) struct Parser<'a> {
    pub(crate) query: &'a str,
    lexer: Lexer<'a>,
    /// The next token, not yet taken.
    pub(crate) next: Token,
    errors: Vec<ParseError>,
    /// Whether an aggregation's parentheses are open around us: its rule words errors that have no closer one.
    pub(crate) in_aggregation: bool,
    /// How many levels are open.
    nesting: usize,
    /// Levels of the expression parsed last.
    pub(crate) height: usize,
    /// Templates in scope, inner ones last.
    pub(crate) templates: Vec<Template>,
    /// What templates have expanded to so far.
    pub(crate) expanded: usize,
}

/// Binding strength of operators; higher binds tighter.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Default => 1,
        BinaryOp::If | BinaryOp::IfNot => 2,
        BinaryOp::Or => 3,
        BinaryOp::And | BinaryOp::Unless => 4,
        BinaryOp::Eql
        | BinaryOp::Neq
        | BinaryOp::Gtr
        | BinaryOp::Lss
        | BinaryOp::Gte
        | BinaryOp::Lte
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 5,
        BinaryOp::Add | BinaryOp::Sub => 6,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 7,
        BinaryOp::Pow => POW,
    }
}

/// Precedence of `^`. A sign binds like `*`, so its operand takes what binds tighter: only `^`.
pub(crate) const POW: u8 = 8;

impl<'a> Parser<'a> {
    pub(crate) fn new(query: &'a str) -> Self {
        let mut lexer = Lexer::new(query);
        let next = lexer.next_token();
        Self {
            query,
            lexer,
            next,
            errors: Vec::new(),
            in_aggregation: false,
            nesting: 0,
            height: 0,
            templates: Vec::new(),
            expanded: 0,
        }
    }

    pub(crate) fn into_errors(self) -> Vec<ParseError> {
        self.errors
    }

    /// A whole query.
    pub(crate) fn expression(&mut self) -> Parsed<Expr> {
        if self.next.kind == T::Eof {
            self.fault(0..0, "no expression found in input".to_owned());
            return Err(Stop);
        }
        let expr = self.binary(0)?;
        self.expect_end()?;
        Ok(expr)
    }

    pub(crate) fn expect_end(&mut self) -> Parsed<()> {
        if self.next.kind == T::Eof { Ok(()) } else { Err(self.stuck()) }
    }

    // Tokens.

    /// Takes the next token.
    pub(crate) fn take(&mut self) -> Token {
        let taken = self.next;
        // The lexer is not asked again after it has stopped.
        if !matches!(taken.kind, T::Eof | T::Error) {
            self.next = self.lexer.next_token();
        }
        taken
    }

    pub(crate) fn take_if(&mut self, kind: T) -> Option<Token> {
        (self.next.kind == kind).then(|| self.take())
    }

    // Errors.

    /// Records what is wrong with a well-formed part.
    pub(crate) fn fault(&mut self, span: Span, message: String) {
        self.errors.push(ParseError::new(self.query, span, message));
    }

    /// Records that the next token cannot be here.
    pub(crate) fn unexpected(&mut self, context: &str, expected: &str) -> Stop {
        if self.next.kind == T::Error {
            self.note_lexer_error();
            return Stop;
        }
        let mut message = format!("unexpected {}", self.next.describe(self.query));
        if !context.is_empty() {
            message = format!("{message} in {context}");
        }
        if !expected.is_empty() {
            message = format!("{message}, expected {expected}");
        }
        self.fault(self.next.span(), message);
        Stop
    }

    /// [`Self::unexpected`] where no rule says what was expected.
    pub(crate) fn stuck(&mut self) -> Stop {
        let context = if self.in_aggregation { "aggregation" } else { "" };
        self.unexpected(context, "")
    }

    /// Records the lexer's error, if the next token is one, before other faults that Prometheus finds only when
    /// it has seen that token.
    pub(crate) fn note_lexer_error(&mut self) {
        if self.next.kind == T::Error {
            let message = self.lexer.message();
            if !message.is_empty() {
                self.fault(self.next.span(), message);
            }
        }
    }

    /// Runs `parse` one level deeper.
    pub(crate) fn nested<R>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<R>) -> Parsed<R> {
        if self.nesting == NESTING_MAX {
            return Err(self
                .too_deep(format!("expression nests too deeply, at most {NESTING_MAX} levels are allowed")));
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    /// Counts one level on top of the expression parsed last.
    pub(crate) fn grow(&mut self) -> Parsed<()> {
        self.height += 1;
        if self.height > HEIGHT_MAX {
            return Err(
                self.too_deep(format!("expression has too many levels, at most {HEIGHT_MAX} are allowed"))
            );
        }
        Ok(())
    }

    pub(crate) fn too_deep(&mut self, message: String) -> Stop {
        self.fault(self.next.span(), message);
        Stop
    }

    // Expressions.

    /// An expression of operators that bind at least as tight as `precedence_min`.
    //
    // What this and the other functions on the way down keep on the stack is kept small, by building nodes in
    // functions of their own: queries nest.
    pub(crate) fn binary(&mut self, precedence_min: u8) -> Parsed<Expr> {
        let mut lhs = self.nested(Self::unary)?;
        while let Some(op) = self.next_operator()
            && precedence(op) >= precedence_min
        {
            lhs = self.operation(op, lhs)?;
        }
        Ok(lhs)
    }

    /// The operator that comes next. Kymo's words are operators only here, where Prometheus takes no name.
    fn next_operator(&self) -> Option<BinaryOp> {
        match self.next.kind {
            T::Op(op) => Some(op),
            T::Identifier => BinaryOp::of_kymo_word(self.next.text(self.query)),
            _ => None,
        }
    }

    /// The rest of an operation whose left side was parsed.
    fn operation(&mut self, op: BinaryOp, lhs: Expr) -> Parsed<Expr> {
        self.take();
        let height = self.height;
        let modifiers = self.operator_modifiers()?;
        // Only `^` is right-associative.
        let precedence_min = if op == BinaryOp::Pow { POW } else { precedence(op) + 1 };
        let rhs = self.nested(|p| p.binary(precedence_min))?;
        self.height = height.max(self.height);
        self.grow()?;
        Ok(operation(op, lhs, rhs, *modifiers))
    }

    /// `bool`, `on (…)`, `group_left (…)`, `fill (…)` behind an operator.
    fn operator_modifiers(&mut self) -> Parsed<OperatorModifiers> {
        let return_bool = self.take_if(T::Bool).is_some();
        let mut matching = VectorMatching::default();
        if matches!(self.next.kind, T::On | T::Ignoring) {
            matching.on = self.take().kind == T::On;
            matching.labels = self.grouping_labels()?;
            if matches!(self.next.kind, T::GroupLeft | T::GroupRight) {
                let left = self.take().kind == T::GroupLeft;
                matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                // Without parentheses an expression must follow; with them, they are taken to be labels.
                if !self.next.kind.starts_expression() || self.next.kind == T::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok(Box::new((return_bool, matching)))
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        let fill = &mut matching.fill;
        match self.next.kind {
            T::Fill => {
                self.take();
                let value = self.fill_value()?;
                (fill.left, fill.right) = (Some(value), Some(value));
            }
            T::FillLeft => {
                self.take();
                fill.left = Some(self.fill_value()?);
                if self.take_if(T::FillRight).is_some() {
                    fill.right = Some(self.fill_value()?);
                }
            }
            T::FillRight => {
                self.take();
                fill.right = Some(self.fill_value()?);
                if self.take_if(T::FillLeft).is_some() {
                    fill.left = Some(self.fill_value()?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(T::LeftParen)?;
        let Some((value, _)) = self.signed_number()? else { return Err(self.stuck()) };
        self.expect(T::RightParen)?;
        Ok(value)
    }

    pub(crate) fn expect(&mut self, kind: T) -> Parsed<Token> {
        match self.take_if(kind) {
            Some(token) => Ok(token),
            None => Err(self.stuck()),
        }
    }

    /// `+5`, `-5m`, `5` and its end; `None` if something else comes.
    pub(crate) fn signed_number(&mut self) -> Parsed<Option<(f64, usize)>> {
        let negative = self.next.kind == T::Op(BinaryOp::Sub);
        if negative || self.next.kind == T::Op(BinaryOp::Add) {
            self.take();
        }
        if !matches!(self.next.kind, T::Number | T::Duration) {
            return Ok(None);
        }
        let (value, span) = self.number();
        Ok(Some((if negative { -value } else { value }, span.end)))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        if !matches!(self.next.kind, T::Op(BinaryOp::Add | BinaryOp::Sub)) {
            return self.with_modifiers();
        }
        let sign = self.take();
        let operand = self.binary(POW)?;
        if !matches!(operand.kind, ExprKind::Number(_) | ExprKind::Duration(_)) {
            self.grow()?;
        }
        Ok(signed(sign, operand))
    }

    /// What stands between operators, without what may follow it.
    pub(crate) fn primary(&mut self) -> Parsed<Expr> {
        self.height = 1;
        match self.next.kind {
            T::Number | T::Duration => Ok(self.number_literal()),
            T::String => Ok(self.string_literal()),
            T::LeftParen => self.paren(),
            T::LeftBrace => self.selector(None),
            T::Identifier => self.identifier(),
            kind if kind.is_metric_name() => {
                let name = self.take();
                match (kind, self.next.kind) {
                    (T::Aggregate(op), T::LeftParen | T::By | T::Without) => self.aggregate(op, name),
                    (kind, T::LeftParen) if kind.may_be_function() => self.call(name),
                    _ => self.selector(Some(name)),
                }
            }
            _ => Err(self.stuck()),
        }
    }

    /// What begins with a plain name: a selector, a call, or one of Kymo's words where Prometheus has no meaning for it.
    fn identifier(&mut self) -> Parsed<Expr> {
        let name = self.take();
        let text = name.text(self.query);
        if let Some(at) = self.template_named(text) {
            return self.template_use(at, name);
        }
        if matches!(self.next.kind, T::LeftParen | T::By | T::Without)
            && let Some(op) = KymoAggregate::of_word(text)
        {
            return self.aggregate(AggregateOp::Kymo(op), name);
        }
        if self.next.kind != T::LeftParen {
            return self.selector(Some(name));
        }
        if text.eq_ignore_ascii_case("with") { self.with(name) } else { self.call(name) }
    }

    fn number_literal(&mut self) -> Expr {
        let is_duration = self.next.kind == T::Duration;
        let (value, span) = self.number();
        Expr { kind: if is_duration { ExprKind::Duration(value) } else { ExprKind::Number(value) }, span }
    }

    fn string_literal(&mut self) -> Expr {
        let token = self.take();
        Expr { kind: ExprKind::String(literal::unquote(token.text(self.query))), span: token.span() }
    }

    /// Takes a number or a duration, which comes next; a duration's value is its seconds.
    pub(crate) fn number(&mut self) -> (f64, Span) {
        let token = self.take();
        let text = token.text(self.query);
        let value = if token.kind == T::Duration {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53 milliseconds")]
            model::time::parse_duration_ms(text).map(|ms| ms as f64 / 1e3).map_err(|error| error.to_string())
        } else {
            literal::number(text).map_err(|error| format!("error parsing number: {error}"))
        };
        let value = value.unwrap_or_else(|message| {
            self.fault(token.span(), message);
            0.0
        });
        (value, token.span())
    }

    fn paren(&mut self) -> Parsed<Expr> {
        let start = self.take().start;
        let inner = self.binary(0)?;
        let end = self.expect(T::RightParen)?.end;
        self.grow()?;
        Ok(Expr { kind: ExprKind::Paren(Box::new(inner)), span: start..end })
    }

    fn call(&mut self, name: Token) -> Parsed<Expr> {
        let args = self.arguments()?;
        self.grow()?;
        Ok(self.finish_call(name, args))
    }

    fn finish_call(&mut self, name: Token, args: Arguments) -> Expr {
        let span = name.start..args.end;
        let text = name.text(self.query);
        let Some(function) = functions::lookup(text) else {
            self.fault(name.span(), format!("unknown function with name {}", quoted(text)));
            return Expr { kind: ExprKind::Number(0.0), span };
        };
        Expr { kind: ExprKind::Call(Call { function, args: args.exprs }), span }
    }

    pub(crate) fn arguments(&mut self) -> Parsed<Arguments> {
        self.expect(T::LeftParen)?;
        let mut exprs = Vec::new();
        let mut height = 0;
        if let Some(end) = self.take_if(T::RightParen) {
            return Ok(Arguments { exprs, end: end.end });
        }
        loop {
            exprs.push(self.binary(0)?);
            height = height.max(self.height);
            let Some(comma) = self.take_if(T::Comma) else { break };
            if !self.next.kind.starts_expression() {
                self.note_lexer_error();
                self.fault(comma.span(), "trailing commas not allowed in function call args".to_owned());
                break;
            }
        }
        self.height = height;
        Ok(Arguments { exprs, end: self.expect(T::RightParen)?.end })
    }
}

/// Arguments and the end of their closing parenthesis.
pub(crate) struct Arguments {
    pub(crate) exprs: Vec<Expr>,
    pub(crate) end: usize,
}

/// `bool`, and how vectors are matched.
type OperatorModifiers = Box<(bool, VectorMatching)>;

fn operation(op: BinaryOp, lhs: Expr, rhs: Expr, (return_bool, matching): (bool, VectorMatching)) -> Expr {
    let span = lhs.span.start..rhs.span.end;
    let binary = Binary { op, lhs, rhs, return_bool, matching: Some(matching) };
    Expr { kind: ExprKind::Binary(Box::new(binary)), span }
}

/// A sign in front of an expression; it becomes part of a number.
fn signed(sign: Token, mut operand: Expr) -> Expr {
    let op = if sign.kind == T::Op(BinaryOp::Sub) { UnaryOp::Minus } else { UnaryOp::Plus };
    if let ExprKind::Number(value) | ExprKind::Duration(value) = &mut operand.kind {
        if op == UnaryOp::Minus {
            *value = -*value;
        }
        operand.span.start = sign.start;
        return operand;
    }
    let span = sign.start..operand.span.end;
    Expr { kind: ExprKind::Unary(op, Box::new(operand)), span }
}
