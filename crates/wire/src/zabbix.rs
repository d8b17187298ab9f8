//! What Zabbix' senders say: a frame (`ZBXD`, flags, lengths) around JSON, and in it values of items of hosts.
//!
//! Source: Zabbix' documentation, "Header", "Sender protocol" and "Item key". A key `net.if.in[eth0,bytes]` is a metric
//! `net.if.in` with the labels `param1="eth0"` and `param2="bytes"`; the host is a label. Values come as texts; one that is no number cannot
//! be stored. Memory does not grow with the number of items.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};

use crate::json::{JsonError, Key as JsonKey, OneOrMany, ReadItem, Scalar};

/// How a frame begins.
const MAGIC: &[u8; 4] = b"ZBXD";
const FLAG_PROTOCOL: u8 = 1;
const FLAG_COMPRESSED: u8 = 2;
/// Lengths are of eight bytes.
const FLAG_LARGE: u8 = 4;
/// The shortest header; a large one is eight bytes longer.
pub const HEADER_BYTES: usize = 13;
const LARGE_HEADER_BYTES: usize = 21;
/// The only request that is taken.
const SENDER_DATA: &str = "sender data";
/// Labels of a key's parameters; a key with more of them is refused.
const PARAMETER_LABELS: [&str; 16] = [
    "param1", "param2", "param3", "param4", "param5", "param6", "param7", "param8", "param9", "param10",
    "param11", "param12", "param13", "param14", "param15", "param16",
];

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its own length.
    pub header_bytes: usize,
    /// Whether the data are compressed by zlib.
    pub is_compressed: bool,
    /// Length of the data as they come.
    pub data_bytes: u64,
    /// Length of compressed data when they are decompressed.
    pub plain_bytes: u64,
}

impl Header {
    /// Reads the header at the beginning of `bytes`; `None` if more of them are needed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, &'static str> {
        let begun = &bytes[..bytes.len().min(MAGIC.len())];
        if !MAGIC.starts_with(begun) {
            return Err("the frame does not begin with ZBXD");
        }
        let Some(flags) = bytes.get(MAGIC.len()).copied() else { return Ok(None) };
        if flags & FLAG_PROTOCOL == 0 || flags & !(FLAG_PROTOCOL | FLAG_COMPRESSED | FLAG_LARGE) != 0 {
            return Err("the flags of the frame are not known");
        }
        let is_large = flags & FLAG_LARGE != 0;
        let (header_bytes, width) = if is_large { (LARGE_HEADER_BYTES, 8) } else { (HEADER_BYTES, 4) };
        let Some(lengths) = bytes.get(MAGIC.len() + 1..header_bytes) else { return Ok(None) };
        let number = |bytes: &[u8]| {
            let mut whole = [0; 8];
            whole[..width].copy_from_slice(bytes);
            u64::from_le_bytes(whole)
        };
        let is_compressed = flags & FLAG_COMPRESSED != 0;
        let (data_bytes, plain_bytes) = (number(&lengths[..width]), number(&lengths[width..]));
        Ok(Some(Self { header_bytes, is_compressed, data_bytes, plain_bytes }))
    }
}

/// An answer in its frame: how many values were written, and how many were not.
pub fn answer(processed: usize, failed: usize, seconds: f64) -> Vec<u8> {
    let total = processed + failed;
    framed(&format!(
        "{{\"response\":\"success\",\"info\":\"processed: {processed}; failed: {failed}; total: {total}; seconds spent: {seconds:.6}\"}}"
    ))
}

/// The answer to what is no request, in its frame.
pub fn refusal(why: &str) -> Vec<u8> {
    framed(&serde_json::json!({ "response": "failed", "info": why }).to_string())
}

fn framed(text: &str) -> Vec<u8> {
    let mut frame = MAGIC.to_vec();
    frame.push(FLAG_PROTOCOL);
    frame.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// The value of an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The host, not empty.
    pub host: Cow<'a, str>,
    /// The item's key, not empty; see [`Key`].
    pub key: Cow<'a, str>,
    /// The value.
    pub value: f64,
    /// When; `None`: now.
    pub timestamp_ms: Option<i64>,
}

/// Hands each item of a request to `take`, which may end the reading by returning `false`.
///
/// # Errors
/// If it is not JSON of this shape, or another request; items before the fault have been handed over.
pub fn read<'a>(
    body: &'a [u8],
    take: impl FnMut(usize, Result<&Item<'a>, String>) -> bool,
) -> Result<(), JsonError> {
    let mut reader = Reader { take, item: Item::default(), ended: false };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = deserializer.deserialize_map(Request(&mut reader)).and_then(|()| deserializer.end());
    match read {
        Err(error) if !reader.ended => Err(JsonError::new(&error)),
        _ => Ok(()),
    }
}

struct Reader<'a, F> {
    take: F,
    item: Item<'a>,
    ended: bool,
}

struct Request<'r, 'a, F>(&'r mut Reader<'a, F>);

impl<'a, F: FnMut(usize, Result<&Item<'a>, String>) -> bool> Visitor<'a> for Request<'_, 'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut is_known = false;
        while let Some(JsonKey(key)) = fields.next_key::<JsonKey<'a>>()? {
            match &*key {
                "request" => {
                    let request: Scalar<'a> = fields.next_value()?;
                    is_known = request.as_text() == Some(SENDER_DATA);
                    if !is_known {
                        return Err(A::Error::custom("only the request \"sender data\" is taken"));
                    }
                }
                "data" => fields.next_value_seed(OneOrMany(&mut *self.0))?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        if is_known { Ok(()) } else { Err(A::Error::missing_field("request")) }
    }
}

impl<'a, F: FnMut(usize, Result<&Item<'a>, String>) -> bool> Reader<'a, F> {
    fn hand_over<E: Error>(&mut self, made: Result<(), String>) -> Result<(), E> {
        if (self.take)(self.item.number, made.map(|()| &self.item)) {
            return Ok(());
        }
        self.ended = true;
        Err(E::custom("ended by the caller"))
    }

    fn make(
        &mut self,
        host: Scalar<'a>,
        key: Scalar<'a>,
        value: &Scalar<'_>,
        time: [&Scalar<'_>; 2],
    ) -> Result<(), String> {
        let text = |name: &str, scalar: Scalar<'a>| match scalar {
            Scalar::Text(text) if !text.is_empty() => Ok(text),
            _ => Err(format!("{name:?} must be a text that is not empty")),
        };
        (self.item.host, self.item.key) = (text("host", host)?, text("key", key)?);
        self.item.value = value.as_float().ok_or("\"value\" must be a number, or the text of one")?;
        self.item.timestamp_ms = match time {
            [clock, _] if clock.is_missing() => None,
            [clock, ns] => {
                let seconds = clock.as_whole().and_then(|clock| clock.checked_mul(1_000));
                let ns = if ns.is_missing() { Some(0) } else { ns.as_whole() };
                let ms = seconds.zip(ns.filter(|ns| (0..1_000_000_000).contains(ns)));
                let ms = ms.and_then(|(ms, ns)| ms.checked_add(ns / 1_000_000));
                Some(ms.ok_or("\"clock\" must be whole seconds, \"ns\" nanoseconds within one")?)
            }
        };
        Ok(())
    }
}

impl<'a, F: FnMut(usize, Result<&Item<'a>, String>) -> bool> ReadItem<'a> for Reader<'a, F> {
    fn read<A: MapAccess<'a>>(&mut self, mut fields: A) -> Result<(), A::Error> {
        self.item.number += 1;
        let (mut host, mut key, mut value) = (Scalar::Missing, Scalar::Missing, Scalar::Missing);
        let (mut clock, mut ns) = (Scalar::Missing, Scalar::Missing);
        while let Some(JsonKey(name)) = fields.next_key::<JsonKey<'a>>()? {
            match &*name {
                "host" => host = fields.next_value()?,
                "key" => key = fields.next_value()?,
                "value" => value = fields.next_value()?,
                "clock" => clock = fields.next_value()?,
                "ns" => ns = fields.next_value()?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        let made = self.make(host, key, &value, [&clock, &ns]);
        self.hand_over(made)
    }

    fn refuse<E: Error>(&mut self) -> Result<(), E> {
        self.item.number += 1;
        self.hand_over(Err("it must be an object".to_owned()))
    }
}

/// The key of an item, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// What stands before the parameters, not empty.
    pub name: &'a str,
    /// What stands between the brackets.
    parameters: Option<&'a str>,
}

impl<'a> Key<'a> {
    /// Takes a key apart.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(key: &'a str) -> Result<Self, &'static str> {
        let (name, parameters) = match key.split_once('[') {
            None => (key, None),
            Some((name, rest)) => {
                (name, Some(rest.strip_suffix(']').ok_or("the key has no \"]\" at its end")?))
            }
        };
        if name.is_empty() {
            return Err("the key has no name");
        }
        Ok(Self { name, parameters })
    }

    /// Label and value of each parameter; an empty one is left out.
    ///
    /// # Errors
    /// If a quote or bracket is not closed, something stands behind one, or there are too many.
    pub fn labels(self) -> impl Iterator<Item = Result<(&'static str, Cow<'a, str>), &'static str>> {
        let mut rest = self.parameters;
        let mut labels = PARAMETER_LABELS.iter();
        let each = move || {
            let text = rest?;
            let (parameter, after) = match parameter(text) {
                Ok(split) => split,
                Err(error) => {
                    rest = None;
                    return Some(Err(error));
                }
            };
            rest = after;
            let label = labels.next().copied().ok_or("the key has more than 16 parameters");
            if label.is_err() {
                rest = None;
            }
            Some(label.map(|label| (label, parameter)))
        };
        std::iter::from_fn(each).filter(|label| !matches!(label, Ok((_, value)) if value.is_empty()))
    }
}

/// The first parameter, and what is behind its comma.
fn parameter(text: &str) -> Result<(Cow<'_, str>, Option<&str>), &'static str> {
    let text = text.trim_start_matches(' ');
    if let Some(quoted) = text.strip_prefix('"') {
        let end = quoted_end(quoted).ok_or("a quote in the key is not closed")?;
        let value = match quoted[..end].contains("\\\"") {
            true => Cow::Owned(quoted[..end].replace("\\\"", "\"")),
            false => Cow::Borrowed(&quoted[..end]),
        };
        return Ok((value, behind(quoted[end + 1..].trim_start_matches(' '))?));
    }
    if text.starts_with('[') {
        // A list stays the text that it is.
        let end = list_end(text).ok_or("a bracket in the key is not closed")?;
        return Ok((Cow::Borrowed(&text[1..end]), behind(text[end + 1..].trim_start_matches(' '))?));
    }
    let (value, after) = text.split_once(',').map_or((text, None), |(value, after)| (value, Some(after)));
    if value.contains(']') {
        return Err("a bracket in the key is not opened");
    }
    Ok((Cow::Borrowed(value), after))
}

fn behind(rest: &str) -> Result<Option<&str>, &'static str> {
    match rest.strip_prefix(',') {
        Some(after) => Ok(Some(after)),
        None if rest.is_empty() => Ok(None),
        None => Err("something stands behind a quoted parameter or a list of the key"),
    }
}

/// Where the closing quote is; a quote behind a backslash is none.
fn quoted_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|at| bytes[*at] == b'"' && (*at == 0 || bytes[*at - 1] != b'\\'))
}

/// Where the list that begins here ends; lists have no lists in them.
fn list_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut is_quoted = false;
    (1..bytes.len()).find(|at| {
        if bytes[*at] == b'"' && bytes[*at - 1] != b'\\' {
            is_quoted = !is_quoted;
        }
        bytes[*at] == b']' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(body: &str, want: &[&str]) {
        let mut got = Vec::new();
        let result = read(body.as_bytes(), |number, item| {
            got.push(match item {
                Ok(item) => {
                    format!("{number} {} {} {} {:?}", item.host, item.key, item.value, item.timestamp_ms)
                }
                Err(error) => format!("{number} {error}"),
            });
            true
        });
        if let Err(error) = result {
            got.push(error.to_string());
        }
        assert_eq!(got, want, "{body}");
    }

    #[test]
    fn items_are_read_and_bad_ones_named() {
        check(
            r#"{"request":"sender data","session":"x","data":[
                {"host":"web01","key":"load[all,avg1]","value":"0.5","clock":1700000000,"ns":250000000},
                {"host":"web01","key":"a","value":7},
                {"host":"","key":"a","value":"1"}, {"host":"h","value":"1"}, {"host":"h","key":"k","value":"up"},
                {"host":"h","key":"k","value":"1","clock":"x"}, {"host":"h","key":"k","value":"1","clock":1,"ns":1000000000}, 5],
               "clock":1700000001,"ns":1}"#,
            &[
                "1 web01 load[all,avg1] 0.5 Some(1700000000250)",
                "2 web01 a 7 None",
                "3 \"host\" must be a text that is not empty",
                "4 \"key\" must be a text that is not empty",
                "5 \"value\" must be a number, or the text of one",
                "6 \"clock\" must be whole seconds, \"ns\" nanoseconds within one",
                "7 \"clock\" must be whole seconds, \"ns\" nanoseconds within one",
                "8 it must be an object",
            ],
        );
    }

    #[test]
    fn other_requests_are_refused() {
        let begin = "the body is not JSON as it should be: ";
        check(
            r#"{"request":"active checks","host":"h"}"#,
            &[&format!("{begin}only the request \"sender data\" is taken at line 1 column 26")],
        );
        check(r#"{"data":[]}"#, &[&format!("{begin}missing field `request` at line 1 column 11")]);
        check("[]", &[&format!("{begin}invalid type: sequence, expected a request at line 1 column 0")]);
    }

    #[track_caller]
    fn check_key(key: &str, want: &str) {
        let got = Key::parse(key).and_then(|key| {
            let labels: Result<Vec<_>, _> = key.labels().collect();
            labels.map(|labels| format!("{} {labels:?}", key.name))
        });
        assert_eq!(got.unwrap_or_else(str::to_owned), want, "{key}");
    }

    #[test]
    fn keys_have_names_and_parameters() {
        check_key("agent.ping", "agent.ping []");
        check_key("net.if.in[eth0,bytes]", r#"net.if.in [("param1", "eth0"), ("param2", "bytes")]"#);
        check_key("k[]", "k []");
        check_key("k[,, c ]", r#"k [("param3", "c ")]"#);
        check_key(
            r#"k["a,b]", "say \"x\"" ,c]"#,
            r#"k [("param1", "a,b]"), ("param2", "say \"x\""), ("param3", "c")]"#,
        );
        check_key("k[[a,b],c]", r#"k [("param1", "a,b"), ("param2", "c")]"#);
        check_key("[a]", "the key has no name");
        check_key("k[a", "the key has no \"]\" at its end");
        check_key("k[a]b]", "a bracket in the key is not opened");
        check_key(r#"k["a]"#, "a quote in the key is not closed");
        check_key(r#"k["a"b]"#, "something stands behind a quoted parameter or a list of the key");
        check_key("k[[a]", r#"a bracket in the key is not closed"#);
        check_key(&format!("k[{}]", "a,".repeat(17)), "the key has more than 16 parameters");
    }

    #[test]
    fn headers_are_short_or_large() {
        let small = framed("{}");
        let header = Header { header_bytes: 13, is_compressed: false, data_bytes: 2, plain_bytes: 0 };
        assert_eq!(Header::parse(&small), Ok(Some(header)));
        for length in 0..HEADER_BYTES {
            assert_eq!(Header::parse(&small[..length]), Ok(None), "{length}");
        }
        let large = [&b"ZBXD\x07"[..], &5u64.to_le_bytes(), &7u64.to_le_bytes()].concat();
        let header = Header { header_bytes: 21, is_compressed: true, data_bytes: 5, plain_bytes: 7 };
        assert_eq!(Header::parse(&large), Ok(Some(header)));
        assert_eq!(Header::parse(&large[..20]), Ok(None));
        assert!(Header::parse(b"GET ").is_err() && Header::parse(b"ZBXD\x02").is_err());
        assert!(Header::parse(b"ZBXD\x09").is_err());
    }

    #[test]
    fn answers_say_how_many() {
        let said = answer(2, 1, 0.25);
        let text =
            r#"{"response":"success","info":"processed: 2; failed: 1; total: 3; seconds spent: 0.250000"}"#;
        assert_eq!(String::from_utf8_lossy(&said[HEADER_BYTES..]), text);
        assert_eq!(
            String::from_utf8_lossy(&refusal("a \"b\"")[13..]),
            r#"{"info":"a \"b\"","response":"failed"}"#
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes: Vec<u8>, key in r#"k\[[a,"\\\[\] é]{0,20}\]"#) {
            let _ = Header::parse(&bytes);
            let _ = read(&bytes, |_, _| true);
            if let Ok(key) = Key::parse(&key) {
                key.labels().for_each(drop);
            }
        }
    }
}
