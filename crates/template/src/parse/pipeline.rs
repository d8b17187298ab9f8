//! Pipelines: commands handed on by `|`, and the variables that take their value.

use std::sync::Arc;

use super::{NESTING_MAX, Parser};
use crate::error::Error;
use crate::lex::Kind;
use crate::literal;
use crate::tree::{Command, Expr, ExprKind, Pipe};

impl Parser<'_> {
    /// Reads a pipeline up to and with its `end`.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, Error> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe { pos, assigns: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.peek_non_space().clone();
            match token.kind {
                kind if kind == end => {
                    self.next();
                    self.check_pipeline(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => pipe.commands.push(self.command()?),
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// `$x :=`, `$x =`, and in a range `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), Error> {
        loop {
            let token = self.peek_non_space().clone();
            if token.kind != Kind::Variable {
                return Ok(());
            }
            let before = self.at;
            self.next();
            let next = self.peek_non_space().clone();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    pipe.assigns = next.kind == Kind::Assign;
                    self.next();
                    self.declare(pipe, &token.text);
                    return Ok(());
                }
                Kind::Char if next.text == "," => {
                    self.next();
                    self.declare(pipe, &token.text);
                    if context != "range" || pipe.variables.len() >= 2 {
                        return self.fail(&format!("too many declarations in {context}"));
                    }
                    match self.peek_non_space().kind {
                        Kind::Variable | Kind::RightDelim | Kind::RightParen => {}
                        _ => return self.fail("range can only initialize variables"),
                    }
                }
                _ => {
                    self.at = before;
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, name: &str) {
        let name: Arc<str> = Arc::from(name);
        pipe.variables.push(name.clone());
        self.variables.push(name);
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Result<(), Error> {
        if pipe.commands.is_empty() {
            return self.fail(&format!("missing value for {context}"));
        }
        for (at, command) in pipe.commands.iter().enumerate().skip(1) {
            if command.args[0].kind.is_constant() {
                return self.fail(&format!("non executable command in pipeline stage {}", at + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, Error> {
        let pos = self.peek_non_space().pos;
        let mut args = Vec::new();
        loop {
            self.peek_non_space();
            args.extend(self.operand()?);
            let token = self.peek().clone();
            match token.kind {
                Kind::Space => {
                    self.next();
                    continue;
                }
                Kind::RightDelim | Kind::RightParen => {}
                Kind::Pipe => {
                    self.next();
                }
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if args.is_empty() { self.fail("empty command") } else { Ok(Command { pos, args }) }
    }

    /// A term and the fields behind it.
    fn operand(&mut self) -> Result<Option<Expr>, Error> {
        let Some(term) = self.term()? else { return Ok(None) };
        let pos = self.peek().pos;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.next().text[1..].to_owned());
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        let kind = match term.kind {
            ExprKind::Field(mut names) => {
                names.append(&mut fields);
                ExprKind::Field(names)
            }
            ExprKind::Variable(mut names) => {
                names.append(&mut fields);
                ExprKind::Variable(names)
            }
            kind if kind.is_constant() => {
                let text = crate::format::quote(&Expr { pos, kind }.to_string());
                return self.fail(&format!("unexpected . after term {text}"));
            }
            kind => ExprKind::Chain(Box::new(Expr { pos: term.pos, kind }), fields),
        };
        Ok(Some(Expr { pos, kind }))
    }

    fn term(&mut self) -> Result<Option<Expr>, Error> {
        let token = self.peek_non_space().clone();
        let text = &*token.text;
        let kind = match token.kind {
            Kind::Identifier if !(self.knows)(text) => {
                return self.fail(&format!("function {} not defined", crate::format::quote(text)));
            }
            Kind::Identifier => ExprKind::Identifier(text.to_owned()),
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Variable if !self.variables.iter().any(|known| **known == *text) => {
                return self.fail(&format!("undefined variable {}", crate::format::quote(text)));
            }
            Kind::Variable => ExprKind::Variable(vec![text.to_owned()]),
            Kind::Field => ExprKind::Field(vec![text[1..].to_owned()]),
            Kind::Bool => ExprKind::Bool(text == "true"),
            Kind::CharConstant | Kind::Complex | Kind::Number => {
                let number = match token.kind {
                    Kind::CharConstant => literal::character(text),
                    _ => literal::number(text),
                };
                match number {
                    Ok(number) => ExprKind::Number(number),
                    Err(message) => return self.fail(&message),
                }
            }
            Kind::String | Kind::RawString => match literal::unquote(text) {
                Some(meaning) => ExprKind::String(text.to_owned(), meaning.into()),
                None => return self.fail("invalid syntax"),
            },
            Kind::LeftParen => {
                self.next();
                return Ok(Some(Expr { pos: token.pos, kind: self.parentheses()? }));
            }
            _ => return Ok(None),
        };
        self.next();
        Ok(Some(Expr { pos: token.pos, kind }))
    }

    fn parentheses(&mut self) -> Result<ExprKind, Error> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return self.fail("max expression depth exceeded");
        }
        let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
        self.nesting -= 1;
        Ok(ExprKind::Pipe(Box::new(pipe)))
    }
}

impl ExprKind {
    /// Whether it stands for itself, so that it can neither be called nor have fields.
    fn is_constant(&self) -> bool {
        matches!(self, Self::Bool(_) | Self::Dot | Self::Nil | Self::Number(_) | Self::String(..))
    }
}
