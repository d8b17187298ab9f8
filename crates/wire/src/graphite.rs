//! Graphite's plaintext: `servers.web1.load;dc=eu 1.5 1700000000`, a line a sample.
//!
//! Source: Graphite's documentation, "Feeding in your data" and "Tag support". The timestamp is in seconds and may have a fraction; without one, or
//! with -1, now is meant. Zero-copy: a [`Line`] borrows the text.

use model::number::parse_float;

/// A sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line<'a> {
    /// The path without tags, not empty.
    pub path: &'a str,
    tags: &'a str,
    /// The value.
    pub value: f64,
    /// When; `None`: now.
    pub timestamp_ms: Option<i64>,
}

impl<'a> Line<'a> {
    /// Reads a line without its newline; `None` for an empty one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let line = std::str::from_utf8(line).map_err(|_| "it is not valid UTF-8")?;
        let mut parts = line.split_ascii_whitespace();
        let Some(name) = parts.next() else { return Ok(None) };
        let value = parts.next().ok_or("there is no value; write PATH VALUE TIMESTAMP")?;
        let timestamp = parts.next();
        if parts.next().is_some() {
            return Err("there are more than three parts; write PATH VALUE TIMESTAMP");
        }
        let value = parse_float(value.as_bytes()).map_err(|_| "the value is not a number")?;
        let timestamp_ms = match timestamp {
            None | Some("-1" | "N") => None,
            Some(text) => {
                let seconds =
                    parse_float(text.as_bytes()).map_err(|_| "the timestamp is not a number of seconds")?;
                let ms = (seconds * 1_000.0).round();
                if ms.is_nan() || ms.abs() >= 9e18 {
                    return Err("the timestamp is out of range");
                }
                Some(ms as i64)
            }
        };
        let (path, tags) = name.split_once(';').unwrap_or((name, ""));
        if path.is_empty() {
            return Err("the path is empty");
        }
        Ok(Some(Self { path, tags, value, timestamp_ms }))
    }

    /// Name and value of each tag that has a value.
    ///
    /// # Errors
    /// What is wrong with a tag.
    pub fn tags(&self) -> impl Iterator<Item = Result<(&'a str, &'a str), &'static str>> {
        self.tags.split(';').filter(|tag| !tag.is_empty()).filter_map(|tag| match tag.split_once('=') {
            Some(("", _)) => Some(Err("a tag has no name")),
            Some((_, "")) => None,
            Some(tag) => Some(Ok(tag)),
            None => Some(Err("a tag has no \"=\"")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(line: &str, want: &str) {
        let got = match Line::parse(line.as_bytes()) {
            Ok(Some(line)) => match line.tags().collect::<Result<Vec<_>, _>>() {
                Ok(tags) => format!("{} {tags:?} {} {:?}", line.path, line.value, line.timestamp_ms),
                Err(error) => error.to_owned(),
            },
            Ok(None) => "nothing".to_owned(),
            Err(error) => error.to_owned(),
        };
        assert_eq!(got, want, "{line:?}");
    }

    #[test]
    fn lines_are_taken_apart() {
        check("servers.web1.load 1.5 1700000000", "servers.web1.load [] 1.5 Some(1700000000000)");
        check("a;dc=eu;host=b=c;x= 2\t1.25\r", "a [(\"dc\", \"eu\"), (\"host\", \"b=c\")] 2 Some(1250)");
        check("a 1", "a [] 1 None");
        check("a 1 -1", "a [] 1 None");
        check("a nan N", "a [] NaN None");
        check("  ", "nothing");
    }

    #[test]
    fn what_is_no_line_says_why() {
        check("a", "there is no value; write PATH VALUE TIMESTAMP");
        check("a b 1", "the value is not a number");
        check("a 1 b", "the timestamp is not a number of seconds");
        check("a 1 1e300", "the timestamp is out of range");
        check("a 1 nan", "the timestamp is out of range");
        check("a 1 2 3", "there are more than three parts; write PATH VALUE TIMESTAMP");
        check(";a=b 1 2", "the path is empty");
        check("a;b 1 2", "a tag has no \"=\"");
        check("a;=b 1 2", "a tag has no name");
        assert_eq!(Line::parse(b"\xff 1 2"), Err("it is not valid UTF-8"));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[a.;=1 e\t-]{0,30}", bytes: Vec<u8>) {
            for line in [line.as_bytes(), &bytes] {
                if let Ok(Some(line)) = Line::parse(line) {
                    line.tags().for_each(drop);
                }
            }
        }
    }
}
