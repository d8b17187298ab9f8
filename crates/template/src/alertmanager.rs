//! Templates of notifications: Alertmanager's functions.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::library::{Library, Room, Signature, TOO_DEEP, TOO_LARGE, Type};
use crate::time::Time;
use crate::value::{Map, NESTING_MAX, Safe, Value};
use crate::{escape, format, humanize, json, strings};

const STRINGS: &str = "[]string";
const ANYTHING: &str = "[]interface {}";
const TIME: &str = "time.Time";

/// Alertmanager's functions.
#[derive(Debug, Clone, Copy)]
pub struct Alertmanager {
    /// What `now` and `since` go by.
    pub now_ms: i64,
}

/// All functions.
#[cfg(test)]
pub(crate) const FUNCTIONS: &[&str] = &[
    "toUpper",
    "toLower",
    "title",
    "trimSpace",
    "safeHtml",
    "safeUrl",
    "urlUnescape",
    "base64encode",
    "base64decode",
    "join",
    "match",
    "toDate",
    "mustToDate",
    "reReplaceAll",
    "stringSlice",
    "date",
    "tz",
    "now",
    "since",
    "humanizeDuration",
    "toJson",
    "list",
    "dict",
    "append",
];

impl Library for Alertmanager {
    fn signature(&self, name: &str) -> Option<Signature> {
        const TEXT: Signature = Signature::of(&[Type::String]);
        const TWO_TEXTS: Signature = Signature::of(&[Type::String, Type::String]);
        Some(match name {
            "toUpper" | "toLower" | "title" | "trimSpace" | "safeHtml" | "safeUrl" | "urlUnescape"
            | "base64encode" | "base64decode" => TEXT,
            "join" => Signature::of(&[Type::String, Type::Named(STRINGS)]),
            "match" | "toDate" | "mustToDate" => TWO_TEXTS,
            "reReplaceAll" => Signature::of(&[Type::String, Type::String, Type::String]),
            "stringSlice" => Signature::variadic(&[], Type::String),
            "date" | "tz" => Signature::of(&[Type::String, Type::Named(TIME)]),
            "now" => Signature::of(&[]),
            "since" => Signature::of(&[Type::Named(TIME)]),
            "humanizeDuration" | "toJson" => Signature::of(&[Type::Any]),
            "list" | "dict" => Signature::variadic(&[], Type::Any),
            "append" => Signature::variadic(&[Type::Named(ANYTHING)], Type::Any),
            _ => return None,
        })
    }

    fn call(&self, name: &str, args: &[Value], room: Room) -> Result<Value, String> {
        let text = |at: usize| args.get(at).and_then(Value::as_str).unwrap_or_default();
        Ok(match name {
            "toUpper" => Value::from(text(0).to_uppercase()),
            "toLower" => Value::from(text(0).to_lowercase()),
            "title" => Value::from(strings::title(text(0), false)),
            "trimSpace" => Value::from(text(0).trim()),
            "safeHtml" => Value::Safe(Safe::Html, text(0).into()),
            "safeUrl" => Value::Safe(Safe::Url, text(0).into()),
            "urlUnescape" => Value::from(escape::unquery(text(0))?),
            "base64encode" => Value::from(URL_SAFE.encode(text(0))),
            "base64decode" => decoded(text(0))?,
            "join" => joined(text(0), &args[1], room)?,
            "match" => strings::matches(text(0), text(1))?,
            "reReplaceAll" => strings::replace_all(text(0), text(1), text(2), room)?,
            "stringSlice" => Value::list(STRINGS, args.to_vec()),
            "date" => Value::from(time(&args[1]).format(text(0))),
            "tz" => Value::Time(time(&args[1]).in_zone(text(0))?),
            "now" => Value::Time(Time::from_ms(self.now_ms)),
            "since" => Value::Duration(Time::from_ms(self.now_ms).since(time(&args[0]))),
            "toDate" => Value::Time(Time::parse(text(0), text(1)).unwrap_or_else(|_| Time::zero())),
            "mustToDate" => Value::Time(Time::parse(text(0), text(1))?),
            "humanizeDuration" => Value::from(humanize::duration(humanize::to_float(&args[0])?)),
            "toJson" => Value::from(json::write(&args[0], room.bytes_max)?),
            "list" => Value::list(ANYTHING, nested(args)?.to_vec()),
            "append" => {
                let items = if let Value::List(list) = &args[0] { list.items() } else { &[] };
                Value::list(ANYTHING, items.iter().chain(nested(&args[1..])?).cloned().collect())
            }
            "dict" => dict(args)?,
            _ => return Err(format!("{} is not a defined function", format::quote(name))),
        })
    }
}

/// The arguments, if they may be put into another list or map.
fn nested(args: &[Value]) -> Result<&[Value], String> {
    if args.iter().any(|arg| arg.nesting() >= NESTING_MAX) {
        return Err(TOO_DEEP.to_owned());
    }
    Ok(args)
}

fn time(value: &Value) -> &Time {
    static EPOCH: std::sync::LazyLock<Time> = std::sync::LazyLock::new(|| Time::from_ms(0));
    if let Value::Time(time) = value { time } else { &EPOCH }
}

fn joined(separator: &str, items: &Value, room: Room) -> Result<Value, String> {
    let mut out = room.text();
    if let Value::List(list) = items {
        for (at, item) in list.items().iter().enumerate() {
            if at > 0 {
                out.push_str(separator);
            }
            out.push_str(item.as_str().unwrap_or_default());
            if out.is_full() {
                return Err(TOO_LARGE.to_owned());
            }
        }
    }
    out.into_value()
}

fn decoded(text: &str) -> Result<Value, String> {
    match URL_SAFE.decode(text) {
        Ok(bytes) => Ok(Value::from(String::from_utf8_lossy(&bytes).into_owned())),
        Err(base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _)) => {
            Err(format!("illegal base64 data at input byte {at}"))
        }
        Err(_) => Err(format!("illegal base64 data at input byte {}", text.len() / 4 * 4)),
    }
}

fn dict(args: &[Value]) -> Result<Value, String> {
    if !args.len().is_multiple_of(2) {
        return Err("dict requires an even number of arguments".to_owned());
    }
    let mut entries: Vec<(Arc<str>, Value)> = Vec::with_capacity(args.len() / 2);
    for pair in nested(args)?.chunks_exact(2) {
        match &pair[0] {
            Value::String(key) => entries.push((key.clone(), pair[1].clone())),
            _ => return Err("dict keys must be strings".to_owned()),
        }
    }
    Ok(Value::from(Map::any(entries)))
}
