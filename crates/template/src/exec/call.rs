//! Functions, methods, fields, and the arguments they take.

use super::{Result, Run, Spot};
use crate::builtins;
use crate::format;
use crate::library::{Signature, TOO_DEEP, TOO_LARGE, Type};
use crate::tree::{Expr, ExprKind};
use crate::value::{Safe, Value};

impl<'t> Run<'t> {
    /// `.A.B.C arg…`: only the last may be a method with arguments.
    pub(super) fn fields(
        &mut self,
        dot: &Value,
        mut of: Value,
        spot: &'t Expr,
        names: &'t [String],
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value> {
        let (end, before) = names.split_last().expect("a chain has a field");
        for (at, name) in before.iter().enumerate() {
            let from_any = holds_any(&of);
            of = self.field(dot, &of, spot, name, &[], None)?;
            let next = &names[at + 1];
            if from_any && matches!(of, Value::Nil) {
                return self.fail(&format!("nil pointer evaluating interface {{}}.{next}"));
            }
            if from_any && !has_field(&of, next) {
                // What a map of anything holds has no type of its own.
                return self.fail(&format!("can't evaluate field {next} in type interface {{}}"));
            }
        }
        self.field(dot, &of, spot, end, args, last)
    }

    fn field(
        &mut self,
        dot: &Value,
        of: &Value,
        spot: &'t Expr,
        name: &str,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Value> {
        self.step(1)?;
        if matches!(of, Value::Nil) {
            return Ok(Value::Nil);
        }
        let has_args = !args.is_empty() || last.is_some();
        if builtins::has_method(of, name) {
            let mut values = self.arguments(dot, None, args)?;
            values.extend(last);
            self.spot = Spot::Expr(spot);
            return match builtins::call_method(of, name, &values) {
                Ok(value) => {
                    self.grown(&value)?;
                    Ok(value)
                }
                // A wrong number of arguments is no fault of the method.
                Err(message) if message.starts_with("wrong number of args") => self.fail(&message),
                Err(message) => self.fail(&format!("error calling {name}: {message}")),
            };
        }
        if let Value::Object(object) = of
            && let Some(value) = object.field(name)
        {
            if has_args {
                return self.fail(&format!("{name} has arguments but cannot be invoked as function"));
            }
            return Ok(value);
        }
        if let Value::Map(map) = of.bare() {
            if has_args {
                return self.fail(&format!("{name} is not a method but has arguments"));
            }
            return Ok(map.entries().get(name).cloned().unwrap_or_else(|| map.missing()));
        }
        self.fail(&format!("can't evaluate field {name} in type {}", of.type_name()))
    }

    pub(super) fn function(
        &mut self,
        dot: &Value,
        spot: Spot<'t>,
        name: &'t str,
        args: &'t [Expr],
        last: Option<Value>,
        is_last: bool,
    ) -> Result<Value> {
        let library = self.library.signature(name);
        let Some(signature) = library.or_else(|| builtins::signature(name)) else {
            return self.fail(&format!("{} is not a defined function", format::quote(name)));
        };
        self.check_count(name, signature, args.len(), last.is_some())?;
        if library.is_none() && matches!(name, "and" | "or") {
            return self.and_or(dot, name == "or", args, last);
        }
        let mut values = self.arguments(dot, Some(signature), args)?;
        if let Some(value) = last {
            let value = self.validated(value, signature.type_at(values.len()))?;
            values.push(value);
        }
        let result = if library.is_none() && name == "call" {
            Err(match &values[0] {
                Value::Nil => "call of nil".to_owned(),
                value => {
                    let shown = args.first().map_or_else(|| format::plain(value, 200), ToString::to_string);
                    format!("non-function {shown} of type {}", value.type_name())
                }
            })
        } else if library.is_some() && name == "tmpl" {
            let text = self.template_text(values[0].as_str().unwrap_or_default(), &values[1])?;
            Ok(Value::Safe(Safe::Html, text.into()))
        } else if library.is_some() {
            self.library.call(name, &values, self.room())
        } else if let Some(safe) = self.out.escaped_by(name).filter(|_| is_last) {
            // What was escaped by hand is not escaped again.
            builtins::call(name, &values, self.room()).map(|escaped| match escaped {
                Value::String(text) => Value::Safe(safe, text),
                other => other,
            })
        } else {
            builtins::call(name, &values, self.room())
        };
        match result {
            Ok(value) => {
                self.grown(&value)?;
                Ok(value)
            }
            Err(message) => {
                self.spot = spot;
                let is_limit = [TOO_LARGE, TOO_DEEP].contains(&message.as_str());
                let message = format!("error calling {name}: {message}");
                if is_limit { self.limit(&message) } else { self.fail(&message) }
            }
        }
    }

    fn check_count(&self, name: &str, signature: Signature, given: usize, has_last: bool) -> Result<()> {
        let count = given + usize::from(has_last);
        let wanted = signature.params.len();
        if signature.rest.is_some() {
            if count < wanted {
                return self
                    .fail(&format!("wrong number of args for {name}: want at least {wanted} got {given}"));
            }
        } else if count != wanted {
            return self.fail(&format!("wrong number of args for {name}: want {wanted} got {count}"));
        }
        Ok(())
    }

    /// Arguments are evaluated only until one decides.
    fn and_or(&mut self, dot: &Value, until: bool, args: &'t [Expr], last: Option<Value>) -> Result<Value> {
        let mut value = Value::Nil;
        for arg in args {
            value = self.argument(dot, Type::Any, arg)?;
            if value.is_true() == until {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn arguments(
        &mut self,
        dot: &Value,
        signature: Option<Signature>,
        args: &'t [Expr],
    ) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(args.len() + 1);
        for (at, arg) in args.iter().enumerate() {
            let wanted = signature.map_or(Type::Any, |signature| signature.type_at(at));
            values.push(self.argument(dot, wanted, arg)?);
        }
        Ok(values)
    }

    pub(super) fn argument(&mut self, dot: &Value, wanted: Type, expr: &'t Expr) -> Result<Value> {
        self.step(1)?;
        self.spot = Spot::Expr(expr);
        let value = match &expr.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Nil if wanted.takes_nil() => return Ok(Value::Nil),
            ExprKind::Nil => return self.fail(&format!("cannot assign nil to {}", wanted.name())),
            ExprKind::Field(names) => self.fields(dot, dot.clone(), expr, names, &[], None)?,
            ExprKind::Variable(names) => {
                let value = self.variable(&names[0])?;
                if names.len() > 1 { self.fields(dot, value, expr, &names[1..], &[], None)? } else { value }
            }
            ExprKind::Pipe(pipe) => self.pipeline(dot, pipe)?,
            ExprKind::Identifier(name) => self.function(dot, Spot::Expr(expr), name, &[], None, false)?,
            ExprKind::Chain(of, names) => {
                let of = self.chained(dot, expr, of)?;
                self.fields(dot, of, expr, names, &[], None)?
            }
            ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::String(..) => {
                return self.literal(dot, wanted, expr);
            }
        };
        let names_field = match &expr.kind {
            ExprKind::Field(_) | ExprKind::Chain(..) => true,
            ExprKind::Variable(names) => names.len() > 1,
            _ => false,
        };
        if names_field && matches!(value, Value::Nil) && !wanted.takes_nil() {
            // Go's nil of a map of anything has that type; other nils have none.
            return self
                .fail(&format!("wrong type for value; expected {}; got interface {{}}", wanted.name()));
        }
        self.validated(value, wanted)
    }

    fn literal(&self, dot: &Value, wanted: Type, expr: &Expr) -> Result<Value> {
        match (wanted, &expr.kind) {
            (Type::Any, _) | (Type::String, ExprKind::String(..)) => self.constant(dot, expr),
            (Type::Int, ExprKind::Number(number)) if number.int.is_some() => {
                Ok(Value::Int(number.int.unwrap_or_default()))
            }
            (Type::Float, ExprKind::Number(number)) => Ok(Value::Float(number.float.unwrap_or_default())),
            (Type::String, _) => self.fail(&format!("expected string; found {expr}")),
            (Type::Int, _) => self.fail(&format!("expected integer; found {expr}")),
            (Type::Float, _) => self.fail(&format!("expected float; found {expr}")),
            (Type::Named(name), _) => self.fail(&format!("can't handle {expr} for arg of type {name}")),
        }
    }

    fn validated(&self, value: Value, wanted: Type) -> Result<Value> {
        if wanted.takes(&value) || (matches!(value, Value::Nil) && wanted.takes_nil()) {
            return Ok(value);
        }
        if matches!(value, Value::Nil) {
            return self.fail(&format!("invalid value; expected {}", wanted.name()));
        }
        self.fail(&format!("wrong type for value; expected {}; got {}", wanted.name(), value.type_name()))
    }
}

fn holds_any(value: &Value) -> bool {
    matches!(value.bare(), Value::Map(map) if map.holds_any())
}

/// Whether a field, key or method of that name could be there.
fn has_field(value: &Value, name: &str) -> bool {
    let is_field = matches!(value, Value::Object(object) if object.field(name).is_some());
    is_field || builtins::has_method(value, name) || matches!(value.bare(), Value::Map(_))
}
