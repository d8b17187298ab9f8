//! CSV, with a format that says what each column is: `1:label:symbol,2:metric:price,3:time:unix_s`.
//!
//! The format is VictoriaMetrics': columns are counted from 1; `metric` columns hold values and name the metric, `label` columns hold a label's
//! value, a `time` column holds `unix_s`, `unix_ms`, `unix_ns` or `rfc3339`. Fields may be quoted (RFC 4180). A wrong line is one
//! error, and the next line is read.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use model::number::parse_float;

/// What the columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    columns: Vec<(usize, Column)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Metric(String),
    Label(String),
    Time(TimeFormat),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeFormat {
    Seconds,
    Milliseconds,
    Nanoseconds,
    Rfc3339,
}

/// Columns beyond this are not looked at.
const COLUMNS_MAX: usize = 1_000;

impl Format {
    /// Reads the parameter `format`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let columns: Vec<(usize, Column)> =
            text.split(',').map(|column| parse_column(column.trim())).collect::<Result<_, String>>()?;
        let count = |wanted: fn(&Column) -> bool| columns.iter().filter(|(_, column)| wanted(column)).count();
        if count(|column| matches!(column, Column::Metric(_))) == 0 {
            return Err("no column is a metric; write, for instance, 2:metric:price".to_owned());
        }
        if count(|column| matches!(column, Column::Time(_))) > 1 {
            return Err("more than one column is the time".to_owned());
        }
        Ok(Self { columns })
    }
}

fn parse_column(text: &str) -> Result<(usize, Column), String> {
    let wrong = || format!("{text:?} must be NUMBER:metric:NAME, NUMBER:label:NAME or NUMBER:time:FORMAT");
    let (number, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (kind, name) = rest.split_once(':').ok_or_else(wrong)?;
    let number = number.parse::<usize>().ok().filter(|number| (1..=COLUMNS_MAX).contains(number));
    let number = number.ok_or_else(|| format!("{text:?}: columns are counted from 1 to {COLUMNS_MAX}"))?;
    let column = match kind {
        _ if name.is_empty() => return Err(wrong()),
        "metric" => Column::Metric(name.to_owned()),
        "label" => Column::Label(name.to_owned()),
        "time" => Column::Time(match name {
            "unix_s" => TimeFormat::Seconds,
            "unix_ms" => TimeFormat::Milliseconds,
            "unix_ns" => TimeFormat::Nanoseconds,
            "rfc3339" => TimeFormat::Rfc3339,
            _ => return Err(format!("{text:?}: a time is unix_s, unix_ms, unix_ns or rfc3339")),
        }),
        _ => return Err(wrong()),
    };
    Ok((number - 1, column))
}

/// What a line says.
#[derive(Debug, Clone, Default)]
pub struct Row<'a, 'f> {
    /// Counted from 1.
    pub number: usize,
    /// Names and values; empty values are left out.
    pub labels: Vec<(&'f str, Cow<'a, str>)>,
    /// Metric names and values; empty columns are left out.
    pub values: Vec<(&'f str, f64)>,
    /// When; `None`: now.
    pub timestamp_ms: Option<i64>,
}

/// Hands each line of `body` to `take`, which may end the reading by returning `false`. `rfc3339` reads such a time as milliseconds.
pub fn read<'a, 'f>(
    body: &'a [u8],
    format: &'f Format,
    rfc3339: impl Fn(&str) -> Option<i64>,
    mut take: impl FnMut(usize, Result<&Row<'a, 'f>, String>) -> bool,
) {
    let mut row = Row::default();
    let mut fields = Vec::new();
    let mut rest = body;
    let mut line_number = 0;
    while !rest.is_empty() {
        line_number += 1;
        row.number = line_number;
        let split = split_line(rest, &mut fields);
        let len = *split.as_ref().unwrap_or_else(|(_, len)| len);
        line_number += memchr::memchr_iter(b'\n', &rest[..len]).count();
        rest = rest.get(len + 1..).unwrap_or(&[]);
        let made = match split {
            Ok(_) if fields.iter().all(|field| field.is_empty()) => continue,
            Ok(_) => make(&fields, format, &rfc3339, &mut row),
            Err((error, _)) => Err(error.to_owned()),
        };
        if !take(row.number, made.map(|()| &row)) {
            return;
        }
    }
}

/// The fields of the first line, and its length without the newline.
fn split_line<'a>(text: &'a [u8], fields: &mut Vec<Cow<'a, str>>) -> Result<usize, (&'static str, usize)> {
    fields.clear();
    let mut at = 0;
    loop {
        let (field, end) = if text.get(at) == Some(&b'"') {
            quoted(text, at + 1)
        } else {
            let rest = &text[at..];
            let end = memchr2(b',', b'\n', rest).unwrap_or(rest.len());
            let plain = std::str::from_utf8(&rest[..end]).map(|field| Cow::Borrowed(field.trim()));
            (plain.map_err(|_| "it is not valid UTF-8"), at + end)
        };
        let to_end_of_line = |from: usize| from + memchr(b'\n', &text[from..]).unwrap_or(text.len() - from);
        match (field, text.get(end)) {
            (Err(error), _) => return Err((error, to_end_of_line(at))),
            (Ok(field), next) => {
                if fields.len() < COLUMNS_MAX {
                    fields.push(field);
                }
                match next {
                    Some(b',') => at = end + 1,
                    Some(b'\r') if matches!(text.get(end + 1), None | Some(b'\n')) => return Ok(end + 1),
                    None | Some(b'\n') => return Ok(end),
                    Some(_) => return Err(("something stands behind a closing quote", to_end_of_line(end))),
                }
            }
        }
    }
}

/// A field in quotes that begins at `start`, and the place behind its closing quote.
fn quoted(text: &[u8], start: usize) -> (Result<Cow<'_, str>, &'static str>, usize) {
    let mut at = start;
    let mut doubled = false;
    loop {
        let Some(quote) = memchr(b'"', &text[at..]) else {
            return (Err("the closing quote is missing"), text.len());
        };
        at += quote;
        if text.get(at + 1) != Some(&b'"') {
            break;
        }
        doubled = true;
        at += 2;
    }
    let field = std::str::from_utf8(&text[start..at]).map_err(|_| "it is not valid UTF-8");
    let field = field
        .map(|field| if doubled { Cow::Owned(field.replace("\"\"", "\"")) } else { Cow::Borrowed(field) });
    (field, at + 1)
}

fn make<'a, 'f>(
    fields: &[Cow<'a, str>],
    format: &'f Format,
    rfc3339: &impl Fn(&str) -> Option<i64>,
    row: &mut Row<'a, 'f>,
) -> Result<(), String> {
    row.labels.clear();
    row.values.clear();
    row.timestamp_ms = None;
    for (at, column) in &format.columns {
        let field = fields.get(*at).ok_or_else(|| format!("column {} is missing", at + 1))?;
        if field.is_empty() {
            continue;
        }
        match column {
            Column::Label(name) => row.labels.push((name, field.clone())),
            Column::Metric(name) => {
                let value = parse_float(field.trim().as_bytes());
                let value = value.map_err(|_| format!("column {}: {field:?} is not a number", at + 1))?;
                row.values.push((name, value));
            }
            Column::Time(time) => {
                let timestamp = time.read(field.trim(), rfc3339);
                row.timestamp_ms =
                    Some(timestamp.ok_or_else(|| format!("column {}: {field:?} is not a time", at + 1))?);
            }
        }
    }
    Ok(())
}

impl TimeFormat {
    fn read(self, text: &str, rfc3339: &impl Fn(&str) -> Option<i64>) -> Option<i64> {
        let whole = || text.parse::<i64>().ok();
        match self {
            Self::Seconds => match whole() {
                Some(seconds) => seconds.checked_mul(1_000),
                None => {
                    let ms = parse_float(text.as_bytes()).ok()? * 1_000.0;
                    (ms.abs() < 9e18).then_some(ms.round() as i64)
                }
            },
            Self::Milliseconds => whole(),
            Self::Nanoseconds => whole().map(|nanos| nanos.div_euclid(1_000_000)),
            Self::Rfc3339 => rfc3339(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(format: &str, body: &str, want: &[&str]) {
        let format = Format::parse(format).expect("a format");
        let mut got = Vec::new();
        read(
            body.as_bytes(),
            &format,
            |text| text.len().try_into().ok(),
            |number, row| {
                got.push(match row {
                    Ok(row) => format!("{number} {:?} {:?} {:?}", row.labels, row.values, row.timestamp_ms),
                    Err(error) => format!("{number} {error}"),
                });
                true
            },
        );
        assert_eq!(got, want, "{body:?}");
    }

    #[test]
    fn columns_become_labels_values_and_time() {
        check(
            "1:label:symbol,2:metric:price,4:metric:volume,3:time:unix_s",
            "GOOG,1.5,1700000000,7\r\n\n\"A \"\"B\"\", C\",2,1700000000.5,\n",
            &[
                r#"1 [("symbol", "GOOG")] [("price", 1.5), ("volume", 7.0)] Some(1700000000000)"#,
                r#"3 [("symbol", "A \"B\", C")] [("price", 2.0)] Some(1700000000500)"#,
            ],
        );
        check(
            "1:metric:a,2:time:unix_ns",
            "1,1700000000123456789",
            &["1 [] [(\"a\", 1.0)] Some(1700000000123)"],
        );
        check("1:metric:a,2:time:rfc3339", "1,abc", &["1 [] [(\"a\", 1.0)] Some(3)"]);
        check("2:metric:a", "x,4", &["1 [] [(\"a\", 4.0)] None"]);
    }

    #[test]
    fn a_wrong_line_is_named_and_the_next_one_read() {
        check(
            "1:metric:a,2:time:unix_ms",
            "x,1\n1,x\n1\n\"1\"x,1\n\"1,1\n2,2\n",
            &[
                "1 column 1: \"x\" is not a number",
                "2 column 2: \"x\" is not a time",
                "3 column 2 is missing",
                "4 something stands behind a closing quote",
                "5 the closing quote is missing",
                "6 [] [(\"a\", 2.0)] Some(2)",
            ],
        );
    }

    #[test]
    fn a_wrong_format_is_refused() {
        for format in
            ["", "1:label:x", "0:metric:a", "a:metric:b", "1:metric:", "1:what:b", "1:metric:a,2:time:unix"]
        {
            assert!(Format::parse(format).is_err(), "{format}");
        }
        assert!(Format::parse("1:metric:a,2:time:unix_s,3:time:unix_s").is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "[,\"\n\r1a ]{0,60}", bytes: Vec<u8>) {
            let format = Format::parse("1:metric:a,2:label:b,3:time:unix_s").expect("a format");
            for body in [body.as_bytes(), &bytes] {
                let mut lines = 0;
                read(body, &format, |_| None, |number, _| {
                    assert!(number > lines, "lines are counted");
                    lines = number;
                    true
                });
            }
        }
    }
}
