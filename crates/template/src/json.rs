//! JSON as Go's `encoding/json` writes it: no space, fields in their order, keys sorted, `<`, `>` and `&` escaped.

use crate::text::Text;
use crate::value::Value;

/// A value as JSON.
///
/// # Errors
/// If JSON has no such value, in Go's words, or it does not fit.
pub(crate) fn write(value: &Value, bytes_max: usize) -> Result<String, String> {
    let mut out = Text::new(bytes_max);
    push(&mut out, value)?;
    if out.is_full() { Err(crate::library::TOO_LARGE.to_owned()) } else { Ok(out.into_string()) }
}

fn push(out: &mut Text, value: &Value) -> Result<(), String> {
    if out.is_full() {
        return Ok(());
    }
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) | Value::Duration(value) => out.push_str(&value.to_string()),
        Value::Float(value) if value.is_finite() => out.push_str(&number(*value)),
        Value::Float(value) => {
            let shown = crate::format::plain(&Value::Float(*value), 16);
            return Err(format!("json: unsupported value: {shown}"));
        }
        Value::String(text) | Value::Safe(_, text) => string(out, text),
        Value::Time(time) => string(out, &time.format("2006-01-02T15:04:05.999999999Z07:00")),
        Value::List(list) => sequence(out, ['[', ']'], list.items(), push)?,
        Value::Map(map) => sequence(out, ['{', '}'], map.entries(), |out, (key, value)| {
            string(out, key);
            out.push(':');
            push(out, value)
        })?,
        Value::Object(object) => match object.inner() {
            Some(inner) => push(out, &inner)?,
            None => sequence(out, ['{', '}'], object.fields(), |out, field| {
                string(out, field.json_name);
                out.push(':');
                push(out, &field.value)
            })?,
        },
    }
    Ok(())
}

fn sequence<T>(
    out: &mut Text,
    marks: [char; 2],
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut Text, T) -> Result<(), String>,
) -> Result<(), String> {
    out.push(marks[0]);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        each(out, item)?;
    }
    out.push(marks[1]);
    Ok(())
}

/// As ECMAScript writes numbers: an exponent only for the very large and small.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if exponent.starts_with('-') { "" } else { "+" };
        return format!("{mantissa}e{sign}{exponent}");
    }
    format!("{value}")
}

fn string(out: &mut Text, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
