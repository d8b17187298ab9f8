//! Samples as JSON objects, one or an array: Kymo's plain write
//! (`{"metric":"up","labels":{"job":"x"},"value":1,"timestamp_ms":1700000000000}`) and OpenTSDB's
//! (`{"metric":"sys.cpu","timestamp":1700000000,"value":1,"tags":{"host":"a"}}`).
//!
//! The array is read item by item, so that memory does not grow with it. What is not JSON ends the reading; an item of which only the content
//! is wrong is handed over as an error, and the next one is read.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess};

use crate::json::{JsonError, Key, OneOrMany, Pairs, ReadItem, Scalar};

/// Which keys an item has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Kymo's: `labels`, `timestamp_ms`.
    Kymo,
    /// OpenTSDB's: `tags`, `timestamp` in seconds, or milliseconds where it is that large.
    OpenTsdb,
}

impl Dialect {
    fn labels_key(self) -> &'static str {
        match self {
            Self::Kymo => "labels",
            Self::OpenTsdb => "tags",
        }
    }

    fn timestamp_key(self) -> &'static str {
        match self {
            Self::Kymo => "timestamp_ms",
            Self::OpenTsdb => "timestamp",
        }
    }

    fn timestamp_ms(self, timestamp: &Scalar<'_>) -> Option<i64> {
        match self {
            Self::Kymo => timestamp.as_whole(),
            Self::OpenTsdb => crate::opentsdb::timestamp_ms(timestamp.as_float()?),
        }
    }
}

/// A sample.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JsonSample<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The metric's name, not empty.
    pub metric: Cow<'a, str>,
    /// Names and values; no name is empty, but one may occur twice.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The value.
    pub value: f64,
    /// When; `None`: now.
    pub timestamp_ms: Option<i64>,
}

/// Hands each item of `body` to `take`, which may end the reading by returning `false`.
///
/// # Errors
/// If it is not JSON of this shape; items before the fault have been handed over.
pub fn read<'a>(
    body: &'a [u8],
    dialect: Dialect,
    take: impl FnMut(usize, Result<&JsonSample<'a>, String>) -> bool,
) -> Result<(), JsonError> {
    let mut reader = Reader { dialect, take, pairs: Vec::new(), sample: JsonSample::default(), ended: false };
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = OneOrMany(&mut reader).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match read {
        Err(error) if !reader.ended => Err(JsonError::new(&error)),
        _ => Ok(()),
    }
}

struct Reader<'a, F> {
    dialect: Dialect,
    take: F,
    pairs: Vec<(Cow<'a, str>, Scalar<'a>)>,
    sample: JsonSample<'a>,
    ended: bool,
}

impl<'a, F: FnMut(usize, Result<&JsonSample<'a>, String>) -> bool> Reader<'a, F> {
    fn hand_over<E: Error>(&mut self, made: Result<(), String>) -> Result<(), E> {
        let number = self.sample.number;
        if (self.take)(number, made.map(|()| &self.sample)) {
            return Ok(());
        }
        self.ended = true;
        Err(E::custom("ended by the caller"))
    }

    fn make(
        &mut self,
        metric: Scalar<'a>,
        labels_are_object: bool,
        value: &Scalar<'a>,
        timestamp: &Scalar<'a>,
    ) -> Result<(), String> {
        let (labels_key, timestamp_key) = (self.dialect.labels_key(), self.dialect.timestamp_key());
        self.sample.metric = match metric {
            Scalar::Text(name) if !name.is_empty() => name,
            _ => return Err("\"metric\" must be the metric's name".to_owned()),
        };
        let value = value.as_float().ok_or("\"value\" must be a number, or the text of one")?;
        let timestamp_ms = match timestamp {
            timestamp if timestamp.is_missing() => None,
            timestamp => {
                let ms = self.dialect.timestamp_ms(timestamp);
                Some(ms.ok_or_else(|| format!("{timestamp_key:?} must be a whole number"))?)
            }
        };
        if !labels_are_object {
            return Err(format!("{labels_key:?} must be an object of texts"));
        }
        for (name, value) in self.pairs.drain(..) {
            let Scalar::Text(value) = value else {
                return Err(format!("the value of label {name:?} must be a text"));
            };
            if name.is_empty() {
                return Err("the name of a label is empty".to_owned());
            }
            self.sample.labels.push((name, value));
        }
        (self.sample.value, self.sample.timestamp_ms) = (value, timestamp_ms);
        Ok(())
    }
}

impl<'a, F: FnMut(usize, Result<&JsonSample<'a>, String>) -> bool> ReadItem<'a> for Reader<'a, F> {
    fn read<A: MapAccess<'a>>(&mut self, mut fields: A) -> Result<(), A::Error> {
        self.sample.number += 1;
        self.sample.labels.clear();
        self.pairs.clear();
        let (mut metric, mut value, mut timestamp) = (Scalar::Missing, Scalar::Missing, Scalar::Missing);
        let mut labels_are_object = true;
        while let Some(Key(key)) = fields.next_key::<Key<'a>>()? {
            match &*key {
                "metric" => metric = fields.next_value()?,
                "value" => value = fields.next_value()?,
                key if key == self.dialect.timestamp_key() => timestamp = fields.next_value()?,
                key if key == self.dialect.labels_key() => {
                    labels_are_object = fields.next_value_seed(Pairs(&mut self.pairs))?;
                }
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        let made = self.make(metric, labels_are_object, &value, &timestamp);
        self.hand_over(made)
    }

    fn refuse<E: Error>(&mut self) -> Result<(), E> {
        self.sample.number += 1;
        self.hand_over(Err("it must be an object".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(dialect: Dialect, body: &str, want: &[&str]) {
        let mut got = Vec::new();
        let result = read(body.as_bytes(), dialect, |number, item| {
            got.push(match item {
                Ok(s) => format!("{number} {} {:?} {} {:?}", s.metric, s.labels, s.value, s.timestamp_ms),
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
    fn one_object_or_an_array_of_them_is_read() {
        let one = r#"{"metric":"up","labels":{"job":"x"},"value":1.5,"timestamp_ms":1700000000000}"#;
        check(Dialect::Kymo, one, &[r#"1 up [("job", "x")] 1.5 Some(1700000000000)"#]);
        check(
            Dialect::Kymo,
            r#" [{"metric":"a\u0062","value":"NaN"}, {"value":2,"metric":"b","labels":null,"extra":[{}]}] "#,
            &["1 ab [] NaN None", "2 b [] 2 None"],
        );
        check(Dialect::Kymo, "[]", &[]);
        let tsdb = r#"[{"metric":"sys.cpu","timestamp":1700000000,"value":"3","tags":{"host":"a"}},
            {"metric":"sys.cpu","timestamp":1700000000123,"value":3,"tags":{"host":"a"}}]"#;
        check(
            Dialect::OpenTsdb,
            tsdb,
            &[
                r#"1 sys.cpu [("host", "a")] 3 Some(1700000000000)"#,
                r#"2 sys.cpu [("host", "a")] 3 Some(1700000000123)"#,
            ],
        );
    }

    #[test]
    fn a_wrong_item_is_named_and_the_next_one_read() {
        check(
            Dialect::Kymo,
            r#"[{"value":1},{"metric":"a"},7,{"metric":"a","value":1,"labels":{"x":1}},{"metric":"a","value":1,"labels":[]},
                {"metric":"a","value":1,"timestamp_ms":1.5},{"metric":"a","value":{}},{"metric":"a","value":1,"labels":{"":"x"}},{"metric":"z","value":9}]"#,
            &[
                "1 \"metric\" must be the metric's name",
                "2 \"value\" must be a number, or the text of one",
                "3 it must be an object",
                "4 the value of label \"x\" must be a text",
                "5 \"labels\" must be an object of texts",
                "6 \"timestamp_ms\" must be a whole number",
                "7 \"value\" must be a number, or the text of one",
                "8 the name of a label is empty",
                "9 z [] 9 None",
            ],
        );
    }

    #[test]
    fn what_is_no_json_ends_the_reading() {
        for (body, good) in
            [("", 0), ("[{\"metric\":\"a\",\"value\":1},", 1), ("7", 0), ("{} {}", 1), ("{\"a\u{1}\":1}", 0)]
        {
            let mut items = 0;
            let result = read(body.as_bytes(), Dialect::Kymo, |_, _| {
                items += 1;
                true
            });
            assert!(result.is_err(), "{body}");
            assert_eq!(items, good, "{body}");
        }
        let mut items = 0;
        let ended = read(b"[{},{},{}]", Dialect::Kymo, |_, _| {
            items += 1;
            items < 2
        });
        assert_eq!((ended, items), (Ok(()), 2));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "[\\[{}\\]\",:a1.e\\\\u metricvalue]{0,60}", bytes: Vec<u8>) {
            for body in [body.as_bytes(), &bytes] {
                let _ = read(body, Dialect::Kymo, |_, _| true);
                let _ = read(body, Dialect::OpenTsdb, |_, _| true);
            }
        }
    }
}
