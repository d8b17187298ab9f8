//! Influx line protocol: `measurement,tag=value field=1.5,other=2i 1700000000000000000`.
//!
//! Zero-copy: a [`Line`] borrows the text; names and values are unescaped only where they hold a backslash. A line that breaks the
//! rules is one error, and the next line is read.
//!
//! Source: InfluxDB's reference of the line protocol. Deliberate differences: a backslash before another backslash stands for one in names and tags,
//! too, as VictoriaMetrics reads it; tags without a value are left out; strings and booleans are told apart from numbers, and what becomes of them is
//! the caller's business.

use std::borrow::Cow;

use memchr::memchr;
use model::number::parse_float;

/// What a line says. Names and values are taken apart as they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    measurement: &'a str,
    tags: &'a str,
    fields: &'a str,
    /// In the unit that the request names.
    pub timestamp: Option<i64>,
}

/// A line that breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {message}")]
pub struct LineError {
    /// Counted from 1.
    pub number: usize,
    /// What is wrong.
    pub message: String,
}

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldValue {
    /// `1.5`, `3i`, `3u`.
    Number(f64),
    /// `t`, `False`…
    Boolean(bool),
    /// `"text"`: no sample can hold it.
    Text,
}

/// The lines of a body, in order.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
}

impl<'a> Lines<'a> {
    /// Reads `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body, number: 0 }
    }

    fn skip_line(&mut self) {
        self.rest = memchr(b'\n', self.rest).map_or(&[], |at| &self.rest[at + 1..]);
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.number += 1;
            let start = self.rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r'))?;
            self.rest = &self.rest[start..];
            match self.rest[0] {
                b'\n' => self.rest = &self.rest[1..],
                b'#' => self.skip_line(),
                _ => break,
            }
        }
        let number = self.number;
        let scanned = scan(self.rest);
        let line = scanned.and_then(|(ends, timestamp, len)| {
            let text = |from: usize, to: usize| {
                std::str::from_utf8(&self.rest[from..to]).map_err(|_| "it is not valid UTF-8")
            };
            let line = Line {
                number,
                measurement: text(0, ends.measurement)?,
                tags: text((ends.measurement + 1).min(ends.tags), ends.tags)?,
                fields: text(ends.tags + 1, ends.fields)?,
                timestamp,
            };
            Ok((line, len))
        });
        match line {
            Ok((line, len)) => {
                // A string may hold line breaks.
                self.number += memchr::memchr_iter(b'\n', &self.rest[..len]).count();
                self.rest = self.rest.get(len + 1..).unwrap_or(&[]);
                Some(Ok(line))
            }
            Err(message) => {
                self.skip_line();
                Some(Err(LineError { number, message: message.to_owned() }))
            }
        }
    }
}

/// Where the parts of a line end.
struct Ends {
    measurement: usize,
    tags: usize,
    fields: usize,
}

/// The ends of the parts, the timestamp, and the length of the line without its newline.
fn scan(text: &[u8]) -> Result<(Ends, Option<i64>, usize), &'static str> {
    let measurement = end_of(text, 0, |byte| matches!(byte, b',' | b' '));
    let tags = end_of(text, measurement, |byte| byte == b' ');
    if text.get(tags) != Some(&b' ') {
        return Err("there are no fields; write measurement,tag=value field=number timestamp");
    }
    let fields = end_of_fields(text, tags + 1)?;
    let rest = &text[fields..];
    let line_len = memchr(b'\n', rest).unwrap_or(rest.len());
    let stamp = rest[..line_len].trim_ascii();
    let timestamp = match stamp {
        [] => None,
        _ => {
            let parsed = std::str::from_utf8(stamp).ok().and_then(|text| text.parse::<i64>().ok());
            Some(parsed.ok_or("the timestamp is not a whole number of 64 bits")?)
        }
    };
    Ok((Ends { measurement, tags, fields }, timestamp, fields + line_len))
}

/// The first unescaped byte from `start` that ends a part, or the end of the line.
fn end_of(text: &[u8], start: usize, ends: impl Fn(u8) -> bool) -> usize {
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if text.get(at + 1).is_some_and(|next| *next != b'\n') => at += 2,
            b'\n' => return at,
            byte if ends(*byte) => return at,
            _ => at += 1,
        }
    }
    text.len()
}

/// As [`end_of`]; in quotes everything belongs to the field.
fn end_of_fields(text: &[u8], start: usize) -> Result<usize, &'static str> {
    let mut at = start;
    let mut quoted = false;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' if quoted || text.get(at + 1).is_some_and(|next| *next != b'\n') => at += 2,
            b'"' => {
                quoted = !quoted;
                at += 1;
            }
            b' ' | b'\n' if !quoted => return Ok(at),
            _ => at += 1,
        }
    }
    if quoted { Err("the closing quote of a string is missing") } else { Ok(text.len()) }
}

impl<'a> Line<'a> {
    /// What is measured; may be empty.
    pub fn measurement(&self) -> Cow<'a, str> {
        unescape(self.measurement)
    }

    /// Name and value of each tag that has a value.
    ///
    /// # Errors
    /// What is wrong with a tag.
    pub fn tags(&self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>), String>> {
        split(self.tags, false).filter_map(|tag| {
            let Some((name, value)) =
                tag.split_at_checked(name_len(tag)).filter(|(_, rest)| !rest.is_empty())
            else {
                return Some(Err(format!("the tag {tag:?} has no \"=\"")));
            };
            let value = &value[1..];
            if name.is_empty() {
                return Some(Err("a tag has no name".to_owned()));
            }
            (!value.is_empty()).then(|| Ok((unescape(name), unescape(value))))
        })
    }

    /// Name and value of each field.
    ///
    /// # Errors
    /// What is wrong with a field.
    pub fn fields(&self) -> impl Iterator<Item = Result<(Cow<'a, str>, FieldValue), String>> {
        split(self.fields, true).map(|field| {
            let Some((name, value)) =
                field.split_at_checked(name_len(field)).filter(|(_, rest)| !rest.is_empty())
            else {
                return Err(format!("the field {field:?} has no \"=\""));
            };
            if name.is_empty() {
                return Err("a field has no name".to_owned());
            }
            let value = field_value(&value[1..]).ok_or_else(|| {
                format!(
                    "the value {:?} of field {name:?} is not a number, a boolean or a quoted string",
                    &value[1..]
                )
            })?;
            Ok((unescape(name), value))
        })
    }
}

/// Up to the unescaped `=`.
fn name_len(pair: &str) -> usize {
    end_of(pair.as_bytes(), 0, |byte| byte == b'=')
}

/// Pairs between unescaped commas; with `quotes`, commas in quotes do not count.
fn split(text: &str, quotes: bool) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let (mut at, mut quoted) = (0, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 1,
                b'"' if quotes => quoted = !quoted,
                b',' if !quoted => break,
                _ => {}
            }
            at += 1;
        }
        let at = at.min(bytes.len());
        rest = text.get(at + 1..);
        text.get(..at)
    })
}

fn field_value(text: &str) -> Option<FieldValue> {
    if text.starts_with('"') {
        return (text.len() >= 2 && text.ends_with('"')).then_some(FieldValue::Text);
    }
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(FieldValue::Boolean(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(FieldValue::Boolean(false)),
        _ => {}
    }
    let number = match text.as_bytes() {
        [digits @ .., b'i'] => whole(digits, true)?,
        [digits @ .., b'u'] => whole(digits, false)?,
        bytes => parse_float(bytes).ok()?,
    };
    Some(FieldValue::Number(number))
}

fn whole(digits: &[u8], signed: bool) -> Option<f64> {
    let text = std::str::from_utf8(digits).ok()?;
    if signed {
        text.parse::<i64>().ok().map(|n| n as f64)
    } else {
        text.parse::<u64>().ok().map(|n| n as f64)
    }
}

/// A backslash before a comma, a space, an equals sign or a backslash protects it; before anything else it stands for itself.
fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'\\', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut plain = String::with_capacity(text.len());
    plain.push_str(&text[..first]);
    let mut chars = text[first..].chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next @ (',' | ' ' | '=' | '\\'))) => {
                plain.push(*next);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// The unit of a request's timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// `ns`, `n`.
    #[default]
    Nanoseconds,
    /// `us`, `u`, `µ`.
    Microseconds,
    /// `ms`.
    Milliseconds,
    /// `s`.
    Seconds,
    /// `m`.
    Minutes,
    /// `h`.
    Hours,
}

impl Precision {
    /// By the parameter `precision`; empty means nanoseconds.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "" | "ns" | "n" => Some(Self::Nanoseconds),
            "us" | "u" | "µ" | "µs" => Some(Self::Microseconds),
            "ms" => Some(Self::Milliseconds),
            "s" => Some(Self::Seconds),
            "m" => Some(Self::Minutes),
            "h" => Some(Self::Hours),
            _ => None,
        }
    }

    /// A timestamp in milliseconds; `None` if it is beyond 64 bits.
    pub fn to_ms(self, timestamp: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => Some(timestamp.div_euclid(1_000_000)),
            Self::Microseconds => Some(timestamp.div_euclid(1_000)),
            Self::Milliseconds => Some(timestamp),
            Self::Seconds => timestamp.checked_mul(1_000),
            Self::Minutes => timestamp.checked_mul(60_000),
            Self::Hours => timestamp.checked_mul(3_600_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line as one text: `measurement|tag=value|field=value|timestamp`.
    fn print(line: Result<Line<'_>, LineError>) -> String {
        let line = match line {
            Ok(line) => line,
            Err(error) => return error.to_string(),
        };
        let tags: Result<Vec<String>, String> =
            line.tags().map(|tag| tag.map(|(name, value)| format!("{name}={value}"))).collect();
        let fields: Result<Vec<String>, String> =
            line.fields().map(|field| field.map(|(name, value)| format!("{name}={value:?}"))).collect();
        let join =
            |parts: Result<Vec<String>, String>| parts.map_or_else(|error| error, |parts| parts.join(";"));
        format!("{}|{}|{}|{:?}", line.measurement(), join(tags), join(fields), line.timestamp)
    }

    #[track_caller]
    fn check(body: &str, want: &[&str]) {
        let got: Vec<String> = Lines::new(body.as_bytes()).map(print).collect();
        assert_eq!(got, want, "{body:?}");
    }

    #[test]
    fn lines_are_taken_apart() {
        check(
            "cpu,host=a,cpu=cpu0 usage=0.5,n=3i,m=4u,up=t 1700000000000000000\n",
            &[
                "cpu|host=a;cpu=cpu0|usage=Number(0.5);n=Number(3.0);m=Number(4.0);up=Boolean(true)|Some(1700000000000000000)",
            ],
        );
        check("a v=1\n\n# comment\r\n  b v=2 \r\n", &["a||v=Number(1.0)|None", "b||v=Number(2.0)|None"]);
        check("a v=-1.5e-3 -5", &["a||v=Number(-0.0015)|Some(-5)"]);
        check("a,empty=,b=c v=1", &["a|b=c|v=Number(1.0)|None"]);
    }

    #[test]
    fn escapes_and_quotes_protect_what_would_end_a_part() {
        check(
            r#"my\ cpu\,x,tag\ a\=b=v\,\ w f\ x=1,s="a, b=\"c\" d",y=2 7"#,
            &[r#"my cpu,x|tag a=b=v, w|f x=Number(1.0);s=Text;y=Number(2.0)|Some(7)"#],
        );
        check(r"a,p=C:\dir\\x v=1", &[r"a|p=C:\dir\x|v=Number(1.0)|None"]);
        check(
            "a s=\"two\nlines\",v=1 5\nb v=2",
            &["a||s=Text;v=Number(1.0)|Some(5)", "b||v=Number(2.0)|None"],
        );
        check("m,ü=☺ v=1", &["m|ü=☺|v=Number(1.0)|None"]);
    }

    #[test]
    fn a_bad_line_is_named_and_the_next_one_read() {
        check(
            "nofields\na v=1 x\nb v=1",
            &[
                "line 1: there are no fields; write measurement,tag=value field=number timestamp",
                "line 2: the timestamp is not a whole number of 64 bits",
                "b||v=Number(1.0)|None",
            ],
        );
        check(
            "a s=\"open\nb v=1",
            &["line 1: the closing quote of a string is missing", "b||v=Number(1.0)|None"],
        );
        check(
            "a v=x",
            &["a||the value \"x\" of field \"v\" is not a number, a boolean or a quoted string|None"],
        );
        check("a,t v", &["a|the tag \"t\" has no \"=\"|the field \"v\" has no \"=\"|None"]);
        check("a,=x =1", &["a|a tag has no name|a field has no name|None"]);
        check(
            "a v=9223372036854775808i",
            &[
                "a||the value \"9223372036854775808i\" of field \"v\" is not a number, a boolean or a quoted string|None",
            ],
        );
        let got: Vec<String> = Lines::new(b"a\xff v=1\nb v=1").map(print).collect();
        assert_eq!(got, ["line 1: it is not valid UTF-8", "b||v=Number(1.0)|None"]);
    }

    #[test]
    fn precisions_are_those_of_both_versions() {
        let ms =
            |name, timestamp| Precision::from_name(name).and_then(|precision| precision.to_ms(timestamp));
        assert_eq!(ms("", 1_999_999), Some(1));
        assert_eq!(ms("us", -1), Some(-1));
        assert_eq!(ms("ms", 5), Some(5));
        assert_eq!((ms("s", 5), ms("m", 5), ms("h", 5)), (Some(5_000), Some(300_000), Some(18_000_000)));
        assert_eq!((ms("s", i64::MAX), Precision::from_name("d")), (None, None));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "[a,= \\\\\"\n1it#\r☺]{0,60}", bytes: Vec<u8>) {
            for body in [body.as_bytes(), &bytes] {
                Lines::new(body).map(print).for_each(drop);
            }
        }
    }
}
