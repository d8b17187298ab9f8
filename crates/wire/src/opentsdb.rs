//! OpenTSDB's telnet `put`: `put sys.cpu.user 1700000000 42.5 host=web01 cpu=0`. Its JSON is read by [`crate::json_write`].
//!
//! Source: OpenTSDB's documentation, "Writing data". Timestamps are seconds, or milliseconds where they have more than ten digits.
//! Zero-copy: a [`Put`] borrows the line.

use model::number::parse_float;

/// A sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Put<'a> {
    /// The metric's name.
    pub metric: &'a str,
    /// When.
    pub timestamp_ms: i64,
    /// The value.
    pub value: f64,
    tags: &'a str,
}

/// A line of the telnet protocol.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Command<'a> {
    /// A sample.
    Put(Put<'a>),
    /// `version`: asks who is there.
    Version,
    /// `exit`: ends the connection.
    Exit,
    /// An empty line.
    Nothing,
}

/// Seconds, or milliseconds if the number is larger than any time in seconds that people have.
pub(crate) fn timestamp_ms(number: f64) -> Option<i64> {
    const SECONDS_MAX: f64 = 1e11;
    let ms = if number.abs() < SECONDS_MAX { number * 1_000.0 } else { number };
    (ms.abs() < 9e18).then_some(ms.round() as i64)
}

impl<'a> Command<'a> {
    /// Reads a line without its newline.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &'a [u8]) -> Result<Self, &'static str> {
        let line = std::str::from_utf8(line).map_err(|_| "it is not valid UTF-8")?.trim();
        let (command, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        match command {
            "" => Ok(Self::Nothing),
            "put" => Put::parse(rest.trim_start()).map(Self::Put),
            "version" => Ok(Self::Version),
            "exit" | "quit" => Ok(Self::Exit),
            _ => Err("the command is not known; write put METRIC TIMESTAMP VALUE TAG=VALUE"),
        }
    }
}

impl<'a> Put<'a> {
    fn parse(line: &'a str) -> Result<Self, &'static str> {
        let incomplete = "there are too few parts; write put METRIC TIMESTAMP VALUE TAG=VALUE";
        let mut rest = line;
        let mut next = || {
            let (part, after) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
            rest = after.trim_start();
            if part.is_empty() { Err(incomplete) } else { Ok(part) }
        };
        let (metric, timestamp, value) = (next()?, next()?, next()?);
        let timestamp = parse_float(timestamp.as_bytes()).ok().and_then(timestamp_ms);
        Ok(Self {
            metric,
            timestamp_ms: timestamp.ok_or("the timestamp is not a number of seconds or milliseconds")?,
            value: parse_float(value.as_bytes()).map_err(|_| "the value is not a number")?,
            tags: rest,
        })
    }

    /// Name and value of each tag that has a value.
    ///
    /// # Errors
    /// What is wrong with a tag.
    pub fn tags(&self) -> impl Iterator<Item = Result<(&'a str, &'a str), &'static str>> {
        self.tags.split_ascii_whitespace().filter_map(|tag| match tag.split_once('=') {
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
        let got = match Command::parse(line.as_bytes()) {
            Ok(Command::Put(put)) => match put.tags().collect::<Result<Vec<_>, _>>() {
                Ok(tags) => format!("{} {} {} {tags:?}", put.metric, put.timestamp_ms, put.value),
                Err(error) => error.to_owned(),
            },
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_owned(),
        };
        assert_eq!(got, want, "{line:?}");
    }

    #[test]
    fn lines_are_taken_apart() {
        check(
            "put sys.cpu 1700000000 42.5 host=a cpu=0\r",
            r#"sys.cpu 1700000000000 42.5 [("host", "a"), ("cpu", "0")]"#,
        );
        check("put  a\t1700000000123  -1", "a 1700000000123 -1 []");
        check("version", "Version");
        check("exit", "Exit");
        check("", "Nothing");
    }

    #[test]
    fn what_is_no_command_says_why() {
        check("get x", "the command is not known; write put METRIC TIMESTAMP VALUE TAG=VALUE");
        check("put a 1", "there are too few parts; write put METRIC TIMESTAMP VALUE TAG=VALUE");
        check("put a x 1", "the timestamp is not a number of seconds or milliseconds");
        check("put a 1 x", "the value is not a number");
        check("put a 1 1 b", "a tag has no \"=\"");
        check("put a 1 1 =b", "a tag has no name");
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "(put )?[a=1 \t.-]{0,30}", bytes: Vec<u8>) {
            for line in [line.as_bytes(), &bytes] {
                if let Ok(Command::Put(put)) = Command::parse(line) {
                    put.tags().for_each(drop);
                }
            }
        }
    }
}
