//! What a template says, as a tree. Written out ([`std::fmt::Display`]) a node is what errors quote after `at`.

use std::fmt;
use std::sync::Arc;

use crate::literal::Number;

/// One named template.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) name: Arc<str>,
    pub(crate) source: Arc<Source>,
    pub(crate) root: Vec<Node>,
}

/// The text that trees came from: for places in errors.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// `NAME:LINE:COLUMN` of a byte, the column counted from 0 in bytes, as Go does.
    pub(crate) fn place(&self, pos: usize) -> String {
        let before = &self.text.as_bytes()[..pos.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{}:{line}:{column}", self.name)
    }
}

#[derive(Debug)]
pub(crate) enum Node {
    Text(Arc<str>),
    Action(Pipe),
    /// `if … else if … else … end`: an arm each, in order.
    If(Vec<Arm>, Option<Vec<Node>>),
    /// `with … else with … else … end`.
    With(Vec<Arm>, Option<Vec<Node>>),
    Range(Range),
    Template(Call),
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct Arm {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Option<Vec<Node>>,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) pos: usize,
    pub(crate) name: Arc<str>,
    pub(crate) pipe: Option<Pipe>,
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) pos: usize,
    /// `=` instead of `:=`.
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<Arc<str>>,
    pub(crate) commands: Vec<Command>,
}

#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) pos: usize,
    /// Never empty: the parser refuses an empty command.
    pub(crate) args: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) pos: usize,
    pub(crate) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    /// As it was written, and what it means.
    String(String, Arc<str>),
    Identifier(String),
    /// `.A.B`.
    Field(Vec<String>),
    /// `$x.A.B`: the variable with its dollar sign, then fields.
    Variable(Vec<String>),
    /// `(…).A.B`.
    Chain(Box<Expr>, Vec<String>),
    Pipe(Box<Pipe>),
}

/// Whether a template says nothing: such a one does not replace another of its name.
pub(crate) fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if at > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, arg) in self.args.iter().enumerate() {
            f.write_str(if at > 0 { " " } else { "" })?;
            arg.write_operand(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Dot => f.write_str("."),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Bool(value) => write!(f, "{value}"),
            ExprKind::Number(number) => f.write_str(&number.text),
            ExprKind::String(quoted, _) => f.write_str(quoted),
            ExprKind::Identifier(name) => f.write_str(name),
            ExprKind::Field(names) => write_fields(f, names),
            ExprKind::Variable(names) => {
                f.write_str(&names[0])?;
                write_fields(f, &names[1..])
            }
            ExprKind::Chain(of, names) => {
                of.write_operand(f)?;
                write_fields(f, names)
            }
            ExprKind::Pipe(pipe) => write!(f, "{pipe}"),
        }
    }
}

impl Expr {
    /// As it stands beside others: a pipeline in its parentheses.
    fn write_operand(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.kind, ExprKind::Pipe(_)) { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

fn write_fields(f: &mut fmt::Formatter<'_>, names: &[String]) -> fmt::Result {
    names.iter().try_for_each(|name| write!(f, ".{name}"))
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {:?}", &*self.name)?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}
