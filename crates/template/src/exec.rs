//! Runs a template.
//!
//! Why bounds everywhere: templates come from users and run where alerts do. Each node, each evaluation and each turn
//! of a range is a step; text is bounded by [`Text`](crate::text::Text), nesting by a counter.
//! Map: [`call`] functions, methods and fields · here blocks, variables, pipelines.

use crate::error::{Error, ErrorKind};
use crate::html::Writer;
use crate::library::{Library, Room};
use crate::templates::{Limits, Templates};
use crate::tree::{Arm, Call, Command, Expr, ExprKind, Node, Pipe, Range, Tree};
use crate::value::{List, Map, Value};

mod call;

/// How deep templates, blocks and pipelines may be under way within one another. A level needs some kilobytes of stack.
const DEPTH_MAX: usize = 200;

/// What a node does to the range around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// The node that is looked at: errors quote it.
#[derive(Clone, Copy)]
enum Spot<'t> {
    Start,
    Pipe(&'t Pipe),
    Command(&'t Command),
    Expr(&'t Expr),
    Call(&'t Call),
}

pub(crate) struct Run<'t> {
    templates: &'t Templates,
    library: &'t dyn Library,
    limits: Limits,
    steps: u64,
    depth: usize,
    tree: &'t Tree,
    spot: Spot<'t>,
    variables: Vec<(&'t str, Value)>,
    out: Writer,
}

type Result<T, E = Error> = std::result::Result<T, E>;

impl<'t> Run<'t> {
    /// Runs `tree` with `data` for dot.
    pub(crate) fn run(
        templates: &'t Templates,
        tree: &'t Tree,
        library: &'t dyn Library,
        data: &Value,
        out: Writer,
    ) -> Result<String> {
        let limits = templates.limits();
        let mut run = Self {
            templates,
            library,
            limits,
            steps: 0,
            depth: 0,
            tree,
            spot: Spot::Start,
            variables: vec![("$", data.clone())],
            out,
        };
        run.list(data, &tree.root)?;
        run.finish()
    }

    fn finish(self) -> Result<String> {
        if self.out.is_full() {
            self.limit("the output grows beyond the limit for templates")
        } else {
            Ok(self.out.into_string())
        }
    }

    fn room(&self) -> Room {
        Room { bytes_max: self.limits.bytes_max }
    }

    fn fail<T>(&self, message: &str) -> Result<T> {
        self.fault(ErrorKind::Execution, message)
    }

    fn limit<T>(&self, message: &str) -> Result<T> {
        self.fault(ErrorKind::Limit, message)
    }

    fn fault<T>(&self, kind: ErrorKind, message: &str) -> Result<T> {
        let (pos, context) = match self.spot {
            Spot::Start => (None, String::new()),
            Spot::Pipe(pipe) => (Some(pipe.pos), pipe.to_string()),
            Spot::Command(command) => (Some(command.pos), command.to_string()),
            Spot::Expr(expr) => (Some(expr.pos), expr.to_string()),
            Spot::Call(call) => (Some(call.pos), call.to_string()),
        };
        let name = crate::format::quote(&self.tree.name);
        let text = match pos {
            Some(pos) => {
                let place = self.tree.source.place(pos);
                format!("template: {place}: executing {name} at <{context}>: {message}")
            }
            None => format!("template: {}: {message}", self.tree.name),
        };
        Err(Error::new(kind, text))
    }

    fn step(&mut self, count: usize) -> Result<()> {
        self.steps = self.steps.saturating_add(count as u64);
        if self.steps > self.limits.steps_max {
            return self.limit(&format!("the template takes more than {} steps", self.limits.steps_max));
        }
        Ok(())
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH_MAX {
            return self.limit(&format!("exceeded maximum template depth ({DEPTH_MAX})"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn list(&mut self, dot: &Value, nodes: &'t [Node]) -> Result<Flow> {
        self.deeper(|run| {
            for node in nodes {
                let flow = run.node(dot, node)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
            }
            Ok(Flow::Next)
        })
    }

    fn node(&mut self, dot: &Value, node: &'t Node) -> Result<Flow> {
        self.step(1)?;
        match node {
            Node::Text(text) => self.out.text(text),
            Node::Action(pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.spot = Spot::Pipe(pipe);
                    self.print(&value)?;
                }
            }
            Node::If(arms, otherwise) => return self.branches(dot, arms, otherwise.as_deref(), false),
            Node::With(arms, otherwise) => return self.branches(dot, arms, otherwise.as_deref(), true),
            Node::Range(range) => return self.range(dot, range),
            Node::Template(call) => self.template(dot, call)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        if self.out.is_full() {
            return self.limit("the output grows beyond the limit for templates");
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value) -> Result<()> {
        let written = self.out.value(value);
        written.or_else(|message| self.fail(&message))
    }

    fn branches(
        &mut self,
        dot: &Value,
        arms: &'t [Arm],
        otherwise: Option<&'t [Node]>,
        sets_dot: bool,
    ) -> Result<Flow> {
        let known = self.variables.len();
        let mut flow = None;
        for arm in arms {
            let value = self.pipeline(dot, &arm.pipe)?;
            if value.is_true() {
                flow = Some(self.list(if sets_dot { &value } else { dot }, &arm.body)?);
                break;
            }
        }
        let flow = match (flow, otherwise) {
            (Some(flow), _) => flow,
            (None, Some(nodes)) => self.list(dot, nodes)?,
            (None, None) => Flow::Next,
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value, range: &'t Range) -> Result<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &range.pipe)?.bare();
        let mut flow = None;
        match &value {
            Value::Nil => {}
            Value::Int(count) | Value::Duration(count) => {
                if range.pipe.variables.len() > 1 {
                    return self.fail(&format!("can't use {count} to iterate over more than one variable"));
                }
                for at in 0..*count {
                    if self.turn(range, Value::Nil, Value::Int(at), &mut flow)? {
                        break;
                    }
                }
            }
            Value::List(list) => {
                for (at, item) in list.items().iter().enumerate() {
                    if self.turn(range, Value::Int(at as i64), item.clone(), &mut flow)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, item) in map.entries() {
                    if self.turn(range, Value::String(key.clone()), item.clone(), &mut flow)? {
                        break;
                    }
                }
            }
            other => {
                let shown = crate::format::plain(other, self.limits.bytes_max.min(200));
                return self.fail(&format!("range can't iterate over {shown}"));
            }
        }
        let flow = match (flow, &range.otherwise) {
            (None, Some(nodes)) => self.list(dot, nodes)?,
            _ => Flow::Next,
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    /// One turn of a range. Whether it was the last.
    fn turn(&mut self, range: &'t Range, index: Value, item: Value, ran: &mut Option<Flow>) -> Result<bool> {
        self.step(1)?;
        *ran = Some(Flow::Next);
        let known = self.variables.len();
        let variables = &range.pipe.variables;
        let of_item = variables.len().saturating_sub(1);
        for (at, name) in variables.iter().enumerate() {
            let value = if at == of_item { item.clone() } else { index.clone() };
            if range.pipe.assigns {
                self.assign(name, value)?;
            } else {
                self.variables.push((name, value));
            }
        }
        let flow = self.list(&item, &range.body)?;
        self.variables.truncate(known);
        Ok(flow == Flow::Break)
    }

    fn template(&mut self, dot: &Value, call: &'t Call) -> Result<()> {
        self.spot = Spot::Call(call);
        let Some(tree) = self.templates.tree(&call.name) else {
            return self.fail(&format!("template {} not defined", crate::format::quote(&call.name)));
        };
        let data = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Nil,
        };
        self.spot = Spot::Call(call);
        self.within(tree, &data)
    }

    /// Runs another template, which sees no variables of this one.
    fn within(&mut self, tree: &'t Tree, data: &Value) -> Result<()> {
        let variables = std::mem::replace(&mut self.variables, vec![("$", data.clone())]);
        // Errors of too many levels name the call, so the tree changes within.
        self.deeper(|run| {
            let caller = std::mem::replace(&mut run.tree, tree);
            run.list(data, &tree.root)?;
            run.tree = caller;
            Ok(())
        })?;
        self.variables = variables;
        Ok(())
    }

    /// Runs a named template into a text of its own: Prometheus' `tmpl`.
    fn template_text(&mut self, name: &str, data: &Value) -> Result<String> {
        let Some(tree) = self.templates.tree(name) else {
            return self.fail(&format!(
                "error calling tmpl: template: no template {} associated with template {}",
                crate::format::quote(name),
                crate::format::quote(&self.tree.name)
            ));
        };
        let fresh = self.out.fresh(self.limits.bytes_max);
        let outer = std::mem::replace(&mut self.out, fresh);
        self.within(tree, data)?;
        let inner = std::mem::replace(&mut self.out, outer);
        if inner.is_full() {
            self.limit("the output grows beyond the limit for templates")
        } else {
            Ok(inner.into_string())
        }
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => self.fail(&format!("undefined variable: {name}")),
        }
    }

    fn variable(&self, name: &str) -> Result<Value> {
        match self.variables.iter().rev().find(|(known, _)| *known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(&format!("undefined variable: {name}")),
        }
    }

    fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Result<Value> {
        self.spot = Spot::Pipe(pipe);
        self.step(1)?;
        let value = self.deeper(|run| {
            let mut last = None;
            for (at, command) in pipe.commands.iter().enumerate() {
                let is_last = at + 1 == pipe.commands.len();
                last = Some(run.command(dot, command, last, is_last)?);
            }
            Ok(last.unwrap_or_default())
        })?;
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// Evaluates one command. `last` is the value of the one before it, and its last argument.
    fn command(
        &mut self,
        dot: &Value,
        command: &'t Command,
        last: Option<Value>,
        is_last: bool,
    ) -> Result<Value> {
        self.step(1)?;
        let first = &command.args[0];
        let rest = &command.args[1..];
        match &first.kind {
            ExprKind::Field(names) => {
                self.spot = Spot::Expr(first);
                return self.fields(dot, dot.clone(), first, names, rest, last);
            }
            ExprKind::Chain(of, names) => {
                let of = self.chained(dot, first, of)?;
                return self.fields(dot, of, first, names, rest, last);
            }
            ExprKind::Identifier(name) => {
                self.spot = Spot::Expr(first);
                return self.function(dot, Spot::Command(command), name, rest, last, is_last);
            }
            ExprKind::Variable(names) => {
                self.spot = Spot::Expr(first);
                let value = self.variable(&names[0])?;
                if names.len() > 1 {
                    return self.fields(dot, value, first, &names[1..], rest, last);
                }
                self.no_arguments(command, last.as_ref())?;
                return Ok(value);
            }
            ExprKind::Pipe(pipe) => {
                self.no_arguments(command, last.as_ref())?;
                return self.pipeline(dot, pipe);
            }
            _ => {}
        }
        self.spot = Spot::Expr(first);
        self.no_arguments(command, last.as_ref())?;
        if matches!(first.kind, ExprKind::Nil) {
            return self.fail("nil is not a command");
        }
        self.constant(dot, first)
    }

    fn chained(&mut self, dot: &Value, chain: &'t Expr, of: &'t Expr) -> Result<Value> {
        self.spot = Spot::Expr(chain);
        self.argument(dot, crate::library::Type::Any, of)
    }

    fn no_arguments(&self, command: &Command, last: Option<&Value>) -> Result<()> {
        if command.args.len() > 1 || last.is_some() {
            return self.fail(&format!("can't give argument to non-function {}", command.args[0]));
        }
        Ok(())
    }

    /// What needs nothing but dot.
    fn constant(&self, dot: &Value, expr: &Expr) -> Result<Value> {
        match &expr.kind {
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::String(_, text) => Ok(Value::String(text.clone())),
            ExprKind::Number(number) if number.is_float() => {
                Ok(Value::Float(number.float.unwrap_or_default()))
            }
            ExprKind::Number(number) => match number.int {
                Some(int) if !number.overflows => Ok(Value::Int(int)),
                _ => self.fail(&format!("{} overflows int", number.text)),
            },
            _ => self.fail(&format!("can't evaluate command {}", crate::format::quote(&expr.to_string()))),
        }
    }

    /// A list made by a function: bounded in depth, and it costs steps.
    fn grown(&mut self, value: &Value) -> Result<()> {
        let count = match value {
            Value::List(list) => List::items(list).len(),
            Value::Map(map) => Map::entries(map).len(),
            _ => 0,
        };
        self.step(count)?;
        if value.nesting() > crate::value::NESTING_MAX {
            return self.limit(crate::library::TOO_DEEP);
        }
        Ok(())
    }
}
