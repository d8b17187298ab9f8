//! The language's own functions: logic, comparison, lengths and parts, printing, escaping.
//!
//! `and`, `or` and `call` are in `exec`: the first two leave arguments unevaluated, and there is nothing to call.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::escape;
use crate::format;
use crate::library::{Room, Signature, TOO_LARGE, Type};
use crate::value::{List, Value};

const ANY: Signature = Signature::variadic(&[], Type::Any);
const ONE: Signature = Signature::of(&[Type::Any]);
const TWO: Signature = Signature::of(&[Type::Any, Type::Any]);
const SOME: Signature = Signature::variadic(&[Type::Any], Type::Any);

/// What a function of the language takes.
pub(crate) fn signature(name: &str) -> Option<Signature> {
    Some(match name {
        "and" | "or" | "call" | "index" | "slice" | "eq" => SOME,
        "print" | "println" | "html" | "js" | "urlquery" => ANY,
        "printf" => Signature::variadic(&[Type::String], Type::Any),
        "len" | "not" => ONE,
        "ne" | "lt" | "le" | "gt" | "ge" => TWO,
        _ => return None,
    })
}

/// Calls one of them with arguments of its signature.
pub(crate) fn call(name: &str, args: &[Value], room: Room) -> Result<Value, String> {
    Ok(match name {
        "not" => Value::Bool(!args[0].is_true()),
        "len" => Value::Int(length(&args[0])?),
        "index" => index(&args[0], &args[1..])?,
        "slice" => slice(&args[0], &args[1..])?,
        "eq" => Value::Bool(eq(&args[0], &args[1..])?),
        "ne" => Value::Bool(!eq(&args[0], &args[1..])?),
        "lt" => Value::Bool(less(&args[0], &args[1])?),
        "le" => Value::Bool(less(&args[0], &args[1])? || eq(&args[0], &args[1..])?),
        "gt" => Value::Bool(!(less(&args[0], &args[1])? || eq(&args[0], &args[1..])?)),
        "ge" => Value::Bool(!less(&args[0], &args[1])?),
        "printf" => {
            let mut text = room.text();
            format::printf(&mut text, args[0].as_str().unwrap_or_default(), &args[1..]);
            text.into_value()?
        }
        "print" | "println" => {
            let mut text = room.text();
            if name == "print" {
                format::print(&mut text, args);
            } else {
                format::println(&mut text, args);
            }
            text.into_value()?
        }
        _ => escaped(name, args, room)?,
    })
}

fn escaped(name: &str, args: &[Value], room: Room) -> Result<Value, String> {
    let mut plain = room.text();
    match args {
        // Go prints an absent value as what a template would show for it.
        [Value::Nil] => plain.push_str("<no value>"),
        [one] => format::display(&mut plain, one),
        args => format::print(&mut plain, args),
    }
    if plain.is_full() {
        return Err(TOO_LARGE.to_owned());
    }
    let mut text = room.text();
    match name {
        "html" => escape::html(&mut text, plain.as_str()),
        "js" => escape::js(&mut text, plain.as_str()),
        _ => escape::query(&mut text, plain.as_str()),
    }
    text.into_value()
}

/// Whether a value has a method of that name.
pub(crate) fn has_method(value: &Value, name: &str) -> bool {
    match value {
        Value::Time(_) => crate::time::TIME_METHODS.contains(&name),
        Value::Duration(_) => crate::time::DURATION_METHODS.contains(&name),
        Value::Object(object) => object.methods().contains(&name),
        _ => false,
    }
}

pub(crate) fn call_method(value: &Value, name: &str, args: &[Value]) -> Result<Value, String> {
    match value {
        Value::Time(time) => time.call(name, args),
        Value::Duration(ns) => crate::time::call_duration(*ns, name, args),
        Value::Object(object) => object.call(name, args),
        _ => Ok(Value::Nil),
    }
}

fn length(value: &Value) -> Result<i64, String> {
    let count = match value.bare() {
        Value::Nil => return Err("len of nil pointer".to_owned()),
        Value::String(text) | Value::Safe(_, text) => text.len(),
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.entries().len(),
        _ => return Err(format!("len of type {}", value.type_name())),
    };
    Ok(count as i64)
}

fn index_of(index: &Value, bound: usize) -> Result<usize, String> {
    match index {
        Value::Int(at) => match usize::try_from(*at) {
            Ok(at) if at <= bound => Ok(at),
            _ => Err(format!("index out of range: {at}")),
        },
        Value::Nil => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

fn index(value: &Value, indexes: &[Value]) -> Result<Value, String> {
    if matches!(value, Value::Nil) {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = value.clone();
    for index in indexes {
        item = match item.bare() {
            Value::Nil => return Err("index of nil pointer".to_owned()),
            Value::List(list) => {
                let at = index_of(index, list.items().len())?;
                list.items().get(at).cloned().ok_or_else(out_of_range)?
            }
            Value::String(text) | Value::Safe(_, text) => {
                let at = index_of(index, text.len())?;
                Value::Int(i64::from(*text.as_bytes().get(at).ok_or_else(out_of_range)?))
            }
            Value::Map(map) => match index {
                Value::String(key) => map.entries().get(key).cloned().unwrap_or_else(|| map.missing()),
                Value::Nil => return Err("value is nil; should be of type string".to_owned()),
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

/// What Go's runtime says where its own check lets the first index behind the end pass.
fn out_of_range() -> String {
    "reflect: slice index out of range".to_owned()
}

fn slice(value: &Value, indexes: &[Value]) -> Result<Value, String> {
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let bare = value.bare();
    let count = match &bare {
        Value::Nil => return Err("slice of untyped nil".to_owned()),
        Value::String(_) | Value::Safe(..) if indexes.len() == 3 => {
            return Err("cannot 3-index slice a string".to_owned());
        }
        Value::String(text) | Value::Safe(_, text) => text.len(),
        Value::List(list) => list.items().len(),
        _ => return Err(format!("can't slice item of type {}", value.type_name())),
    };
    let mut bounds = [0, count, count];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = index_of(index, count)?;
    }
    let [from, to, cap] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if to > cap {
        return Err(format!("invalid slice index: {to} > {cap}"));
    }
    Ok(match bare {
        Value::List(list) => Value::from(List::new(list.type_name(), list.items()[from..to].to_vec())),
        Value::String(text) | Value::Safe(_, text) => {
            Value::String(Arc::from(String::from_utf8_lossy(&text.as_bytes()[from..to])))
        }
        _ => Value::Nil,
    })
}

/// What can be compared by value.
#[derive(PartialEq)]
enum Basic<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    String(&'a str),
    None,
}

fn basic(value: &Value) -> Basic<'_> {
    match value {
        Value::Bool(value) => Basic::Bool(*value),
        Value::Int(value) | Value::Duration(value) => Basic::Int(*value),
        Value::Float(value) => Basic::Float(*value),
        Value::String(text) | Value::Safe(_, text) => Basic::String(text),
        _ => Basic::None,
    }
}

fn incompatible(left: &Value, right: &Value) -> String {
    format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name())
}

/// `a == b || a == c || …`.
fn eq(value: &Value, others: &[Value]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        let same = match (basic(value), basic(other)) {
            (Basic::None, Basic::None) => same_identity(value, other)?,
            (left, right) if std::mem::discriminant(&left) == std::mem::discriminant(&right) => left == right,
            _ if matches!(value, Value::Nil) || matches!(other, Value::Nil) => false,
            _ => return Err(incompatible(value, other)),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn same_identity(left: &Value, right: &Value) -> Result<bool, String> {
    let non_comparable =
        |value: &Value| format!("non-comparable type {}: {}", format::plain(value, 200), value.type_name());
    match (left, right) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Time(left), Value::Time(right)) => Ok(left == right),
        (Value::Object(left), Value::Object(right)) if left.inner().is_none() && right.inner().is_none() => {
            Ok(Arc::ptr_eq(left, right))
        }
        (_, right) => Err(non_comparable(right)),
    }
}

fn less(left: &Value, right: &Value) -> Result<bool, String> {
    let order = match (basic(left), basic(right)) {
        (Basic::None, _) | (_, Basic::None) | (Basic::Bool(_), Basic::Bool(_)) => {
            return Err("invalid type for comparison".to_owned());
        }
        (Basic::Int(left), Basic::Int(right)) => Some(left.cmp(&right)),
        (Basic::Float(left), Basic::Float(right)) => left.partial_cmp(&right),
        (Basic::String(left), Basic::String(right)) => Some(left.cmp(right)),
        _ => return Err(incompatible(left, right)),
    };
    Ok(order == Some(Ordering::Less))
}
