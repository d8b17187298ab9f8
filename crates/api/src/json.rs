//! JSON as Prometheus writes it, byte for byte, into a growing buffer.
//!
//! Prometheus mixes three writers: label sets and samples go through its own (no HTML escapes), other strings
//! through one that escapes `<`, `>` and `&`, scalars through Go's `encoding/json`.

use bytes::Bytes;
use http::HeaderValue;
use model::number::{FloatFormat, write_float};
use model::{FloatHistogram, Labels};

pub(crate) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// A string in a label set: only what JSON demands is escaped.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    write_escaped(out, text, |b| b < 0x20 || b == b'"' || b == b'\\');
}

/// Any other string: `<`, `>`, `&` and the two line separators of JavaScript are escaped as well.
pub(crate) fn write_string_html(out: &mut Vec<u8>, text: &str) {
    if !text.contains(['\u{2028}', '\u{2029}']) {
        write_escaped(out, text, |b| b < 0x20 || matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&'));
        return;
    }
    out.push(b'"');
    for c in text.chars() {
        match c {
            '\u{2028}' => out.extend_from_slice(b"\\u2028"),
            '\u{2029}' => out.extend_from_slice(b"\\u2029"),
            c if c.is_ascii() && (c < ' ' || matches!(c, '"' | '\\' | '<' | '>' | '&')) => {
                write_escape(out, c as u8);
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, text: &str, needs_escape: impl Fn(u8) -> bool) {
    out.push(b'"');
    let bytes = text.as_bytes();
    // Without a way out of the loop, so that it looks at many bytes at a time: most texts need no escape.
    if !bytes.iter().fold(false, |any, byte| any | needs_escape(*byte)) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if needs_escape(*byte) {
            out.extend_from_slice(&bytes[start..at]);
            write_escape(out, *byte);
            start = at + 1;
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

pub(crate) fn write_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(crate) fn write_uint(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Lets code that writes text write into the buffer.
struct AsText<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for AsText<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

pub(crate) fn write_number(out: &mut Vec<u8>, value: f64, format: FloatFormat) {
    write_float(&mut AsText(out), value, format).expect("writing into a buffer cannot fail");
}

/// A sample's value: a float as a string.
pub(crate) fn write_value(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    write_number(out, value, FloatFormat::Json);
    out.push(b'"');
}

/// A sample's time: seconds, and three digits of milliseconds if there are any.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, timestamp_ms: i64) {
    if timestamp_ms < 0 {
        out.push(b'-');
    }
    let ms = timestamp_ms.unsigned_abs();
    write_uint(out, ms / 1_000);
    let fraction = ms % 1_000;
    if fraction != 0 {
        out.push(b'.');
        for digit in [fraction / 100, fraction / 10 % 10, fraction % 10] {
            out.push(b'0' + u8::try_from(digit).expect("a decimal digit"));
        }
    }
}

/// `[1435781451.781,"1"]`
pub(crate) fn write_point(out: &mut Vec<u8>, timestamp_ms: i64, value: f64) {
    out.push(b'[');
    write_timestamp(out, timestamp_ms);
    out.push(b',');
    write_value(out, value);
    out.push(b']');
}

/// `{"__name__":"up","job":"x"}`
pub(crate) fn write_labels(out: &mut Vec<u8>, labels: &Labels) {
    out.push(b'{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_string(out, value);
    }
    out.push(b'}');
}

/// `["a","b"]`
pub(crate) fn write_strings<S: AsRef<str>>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = S>) {
    out.push(b'[');
    for (at, text) in texts.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string_html(out, text.as_ref());
    }
    out.push(b']');
}

/// `[1435781451.781,{"count":"2","sum":"3","buckets":[[0,"1","2","2"]]}]`
pub(crate) fn write_histogram_point(out: &mut Vec<u8>, timestamp_ms: i64, histogram: &FloatHistogram) {
    out.push(b'[');
    write_timestamp(out, timestamp_ms);
    out.push(b',');
    crate::histogram::write(out, histogram);
    out.push(b']');
}

/// A field of an object that is being written: comma if it is not the first, name, colon.
pub(crate) fn write_key(out: &mut Vec<u8>, name: &str) {
    if out.last().is_some_and(|b| *b != b'{') {
        out.push(b',');
    }
    write_string(out, name);
    out.push(b':');
}

/// A whole document as a response's body.
pub(crate) fn body(out: Vec<u8>) -> axum::body::Body {
    axum::body::Body::from(Bytes::from(out))
}

/// Any JSON value with the fields of every object in order of their names, as Prometheus writes Go's maps.
///
/// Recursive: only for trees whose height somebody bounds.
pub(crate) fn write_tree(out: &mut Vec<u8>, tree: &serde_json::Value) {
    use serde_json::Value;
    match tree {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Number(number) => match number.as_i64() {
            Some(value) => write_int(out, value),
            None => write_number(out, number.as_f64().unwrap_or_default(), FloatFormat::Json),
        },
        Value::String(text) => write_string_html(out, text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                out.push(if at == 0 { b'[' } else { b',' });
                write_tree(out, item);
            }
            out.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in fields {
                write_key(out, name);
                write_tree(out, value);
            }
            out.push(b'}');
        }
    }
}
