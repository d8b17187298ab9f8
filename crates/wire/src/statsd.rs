//! StatsD and DogStatsD: `name:1|c|@0.1|#tag:value,other`, several a datagram, a line each.
//!
//! Source: the `b/statsd` metric types, and Datadog's "DogStatsD protocol" to version 1.3 (values packed by `:`; container id and
//! timestamps are read and left out). Zero-copy: a [`Line`] borrows the datagram.

use model::number::parse_float;

/// What a value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `c`: so many more.
    Counter,
    /// `g`: so many now, or with a sign, more or less.
    Gauge,
    /// `ms`: how long something took, in milliseconds.
    Timer,
    /// `h`: a value among many.
    Histogram,
    /// `d`: as `h`.
    Distribution,
    /// `s`: counts different texts.
    Set,
}

/// A line of a datagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Line<'a> {
    /// Values of a metric.
    Metric(Metric<'a>),
    /// DogStatsD's `_e{`.
    Event,
    /// DogStatsD's `_sc|`.
    ServiceCheck,
    /// An empty line.
    Nothing,
}

/// Values of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric<'a> {
    /// Its name, not empty.
    pub name: &'a str,
    /// What the values mean.
    pub kind: Kind,
    /// Of how many events one is told, above 0 and at most 1.
    pub sample_rate: f64,
    values: &'a str,
    tags: &'a str,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Of counters, timers, histograms, distributions, and gauges that are set.
    Number(f64),
    /// Of gauges: more or less than before.
    Change(f64),
    /// Of sets.
    Text(&'a str),
}

impl<'a> Line<'a> {
    /// Reads a line without its newline.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &'a [u8]) -> Result<Self, &'static str> {
        let line =
            std::str::from_utf8(line).map_err(|_| "it is not valid UTF-8")?.trim_end_matches(['\r', '\0']);
        if line.is_empty() {
            return Ok(Self::Nothing);
        }
        if line.starts_with("_e{") {
            return Ok(Self::Event);
        }
        if line.starts_with("_sc|") {
            return Ok(Self::ServiceCheck);
        }
        Metric::parse(line).map(Self::Metric)
    }
}

impl<'a> Metric<'a> {
    fn parse(line: &'a str) -> Result<Self, &'static str> {
        let (head, rest) = line.split_once('|').ok_or("there is no type; write NAME:VALUE|TYPE")?;
        let (name, values) = head.split_once(':').ok_or("there is no value; write NAME:VALUE|TYPE")?;
        // The tags of InfluxDB's StatsD dialect stand behind the name; those of Librato, too, but by `#`.
        let (name, mut tags) = match name.split_once([',', '#']) {
            Some((name, tags)) => (name, tags),
            None => (name, ""),
        };
        if name.is_empty() {
            return Err("the name is empty");
        }
        let mut parts = rest.split('|');
        let kind = match parts.next().unwrap_or("") {
            "c" => Kind::Counter,
            "g" => Kind::Gauge,
            "ms" => Kind::Timer,
            "h" => Kind::Histogram,
            "d" => Kind::Distribution,
            "s" => Kind::Set,
            _ => return Err("the type is not known; write c, g, ms, h, d or s"),
        };
        let mut sample_rate = 1.0;
        for part in parts {
            if let Some(rate) = part.strip_prefix('@') {
                sample_rate = parse_float(rate.as_bytes())
                    .ok()
                    .filter(|rate| *rate > 0.0 && *rate <= 1.0)
                    .ok_or("the sample rate is not a number above 0 and at most 1")?;
            } else if let Some(of_dog) = part.strip_prefix('#') {
                tags = of_dog;
            }
        }
        Ok(Self { name, kind, sample_rate, values, tags })
    }

    /// The values.
    ///
    /// # Errors
    /// If one is not a number, but for sets.
    pub fn values(&self) -> impl Iterator<Item = Result<Value<'a>, &'static str>> {
        let (kind, whole) = (self.kind, self.values);
        // A set's texts may hold colons.
        let packed = kind != Kind::Set;
        whole.split(move |c| packed && c == ':').map(move |text| {
            if kind == Kind::Set {
                return if text.is_empty() { Err("the value is empty") } else { Ok(Value::Text(text)) };
            }
            let number = parse_float(text.as_bytes()).ok().filter(|number| number.is_finite());
            let number = number.ok_or("the value is not a finite number")?;
            let is_change = kind == Kind::Gauge && text.starts_with(['+', '-']);
            Ok(if is_change { Value::Change(number) } else { Value::Number(number) })
        })
    }

    /// Name and value of each tag; a tag without a value has an empty one.
    pub fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.tags
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(|tag| tag.split_once([':', '=']).unwrap_or((tag, "")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(line: &str, want: &str) {
        let got = match Line::parse(line.as_bytes()) {
            Ok(Line::Metric(metric)) => match metric.values().collect::<Result<Vec<_>, _>>() {
                Ok(values) => {
                    let tags: Vec<_> = metric.tags().collect();
                    format!("{} {:?} {values:?} @{} {tags:?}", metric.name, metric.kind, metric.sample_rate)
                }
                Err(error) => error.to_owned(),
            },
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_owned(),
        };
        assert_eq!(got, want, "{line:?}");
    }

    #[test]
    fn lines_of_every_type_are_taken_apart() {
        check("page.views:1|c", "page.views Counter [Number(1.0)] @1 []");
        check("a:2.5|c|@0.1|#env:prod,up", r#"a Counter [Number(2.5)] @0.1 [("env", "prod"), ("up", "")]"#);
        check("fuel:0.5|g", "fuel Gauge [Number(0.5)] @1 []");
        check("fuel:+3|g", "fuel Gauge [Change(3.0)] @1 []");
        check("fuel:-3|g\r", "fuel Gauge [Change(-3.0)] @1 []");
        check("t:320|ms|@0.5", "t Timer [Number(320.0)] @0.5 []");
        check("h:1:2:3|h|#a:b:c", r#"h Histogram [Number(1.0), Number(2.0), Number(3.0)] @1 [("a", "b:c")]"#);
        check("d:1|d|c:ci-123|T1656581400", "d Distribution [Number(1.0)] @1 []");
        check("u:12:34|s", "u Set [Text(\"12:34\")] @1 []");
        check("a,host=x,b=c:1|c", r#"a Counter [Number(1.0)] @1 [("host", "x"), ("b", "c")]"#);
        check("_e{5,4}:title|text", "Event");
        check("_sc|name|0", "ServiceCheck");
        check("", "Nothing");
    }

    #[test]
    fn what_is_no_line_says_why() {
        check("a", "there is no type; write NAME:VALUE|TYPE");
        check("a|c", "there is no value; write NAME:VALUE|TYPE");
        check(":1|c", "the name is empty");
        check("a:1|x", "the type is not known; write c, g, ms, h, d or s");
        check("a:x|c", "the value is not a finite number");
        check("a:inf|c", "the value is not a finite number");
        check("a:1:|c", "the value is not a finite number");
        check("a:1|c|@2", "the sample rate is not a number above 0 and at most 1");
        check("a:1|c|@0", "the sample rate is not a number above 0 and at most 1");
        check("a:|s", "the value is empty");
        assert_eq!(Line::parse(b"\xff:1|c"), Err("it is not valid UTF-8"));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "[a:1|cgmshd@#,=+.-]{0,30}", bytes: Vec<u8>) {
            for line in [line.as_bytes(), &bytes] {
                if let Ok(Line::Metric(metric)) = Line::parse(line) {
                    metric.values().for_each(drop);
                    metric.tags().for_each(drop);
                }
            }
        }
    }
}
