//! Names of metrics and labels, by the four strategies of Prometheus' `otlp.translation_strategy`.
//!
//! Source: the README of Prometheus' `otlptranslator` and the compatibility page of the OpenTelemetry specification: characters
//! that Prometheus long did not allow become underscores, and units and types become suffixes, unless a strategy says otherwise.

/// How names are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// Underscores and suffixes: as Prometheus has always named them.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Underscores, no suffixes.
    UnderscoreEscapingWithoutSuffixes,
    /// Names as they are, with suffixes.
    NoUtf8EscapingWithSuffixes,
    /// Names as they are.
    NoTranslation,
}

impl Strategy {
    /// All strategies by their names in the configuration file.
    pub const ALL: [(&'static str, Self); 4] = [
        ("UnderscoreEscapingWithSuffixes", Self::UnderscoreEscapingWithSuffixes),
        ("UnderscoreEscapingWithoutSuffixes", Self::UnderscoreEscapingWithoutSuffixes),
        ("NoUTF8EscapingWithSuffixes", Self::NoUtf8EscapingWithSuffixes),
        ("NoTranslation", Self::NoTranslation),
    ];

    fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }

    fn has_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }
}

/// Which suffix a metric's type asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeSuffix {
    /// `_total`
    Counter,
    /// `_ratio`, if the unit is 1.
    Gauge,
    /// None.
    Other,
}

/// A name of which nothing is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {name:?} has no character that may stay")]
pub struct InvalidName {
    what: &'static str,
    name: String,
}

/// Makes names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// How.
    pub strategy: Strategy,
    /// Labels that begin with one underscore get `key` before it.
    pub label_name_underscore_sanitization: bool,
    /// Several underscores in a row stay several.
    pub label_name_preserve_multiple_underscores: bool,
}

impl Default for Naming {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
        }
    }
}

impl Naming {
    /// The name of a metric family.
    ///
    /// # Errors
    /// If nothing is left of it.
    pub fn metric_name(&self, name: &str, unit: &str, suffix: TypeSuffix) -> Result<String, InvalidName> {
        let made = match (self.strategy.escapes(), self.strategy.has_suffixes()) {
            (true, true) => escaped_with_suffixes(name, unit, suffix),
            (true, false) => escaped(name),
            (false, true) => with_suffixes(name, unit, suffix),
            (false, false) => name.to_owned(),
        };
        let is_lost = self.strategy.escapes() && made != name && made.bytes().all(|byte| byte == b'_');
        if made.is_empty() || is_lost {
            return Err(InvalidName { what: "the metric name", name: name.to_owned() });
        }
        Ok(made)
    }

    /// The unit as a label's value: `bytes_per_second`.
    pub fn unit(&self, unit: &str) -> String {
        let (mut main, mut per) = unit_suffixes(unit);
        if self.strategy.escapes() {
            (main, per) = (clean_unit(&main), clean_unit(&per));
        }
        let joined = [main, per].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
        let joined = joined.strip_prefix('_').unwrap_or(&joined);
        joined.strip_suffix('_').unwrap_or(joined).to_owned()
    }

    /// Replaces the content of `out` by the name of the label that an attribute becomes.
    ///
    /// # Errors
    /// If nothing is left of it.
    pub fn label_name(&self, name: &str, out: &mut String) -> Result<(), InvalidName> {
        out.clear();
        let invalid = || Err(InvalidName { what: "the attribute", name: name.to_owned() });
        if name.is_empty() {
            return invalid();
        }
        if !self.strategy.escapes() {
            out.push_str(name);
            return Ok(());
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            out.push_str("key_");
        }
        let is_reserved = name.len() > 4 && name.starts_with("__") && name.ends_with("__");
        let collapses = !self.label_name_preserve_multiple_underscores && !is_reserved;
        for c in name.chars() {
            let kept = if c.is_ascii_alphanumeric() { c } else { '_' };
            if !(collapses && kept == '_' && out.ends_with('_')) {
                out.push(kept);
            }
        }
        if self.label_name_underscore_sanitization && out.starts_with('_') && !out.starts_with("__") {
            out.insert_str(0, "key");
        }
        let is_lost = out != name && out.bytes().all(|byte| byte == b'_');
        if is_lost { invalid() } else { Ok(()) }
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn with_safe_start(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Runs of characters that may not stay become one underscore, or nothing at the ends.
fn escaped(name: &str) -> String {
    let kept = |c: char| is_name_char(c) || c == '_';
    let parts: Vec<&str> = name.split(|c| !kept(c)).filter(|part| !part.is_empty()).collect();
    with_safe_start(parts.join("_"))
}

fn escaped_with_suffixes(name: &str, unit: &str, suffix: TypeSuffix) -> String {
    let (main, per) = unit_suffixes(unit);
    let (mut main, mut per) = (clean_unit(&main), clean_unit(&per));
    let mut words: Vec<&str> = name.split(|c| !is_name_char(c)).filter(|word| !word.is_empty()).collect();
    if words.contains(&main.as_str()) {
        main.clear();
    }
    trim_end(&mut per);
    if per == "per" || words.contains(&per.as_str()) {
        per.clear();
    }
    if !per.is_empty() {
        trim_end(&mut main);
    }
    words.extend([main.as_str(), per.as_str()].into_iter().filter(|word| !word.is_empty()));
    let last = match suffix {
        TypeSuffix::Counter => Some("total"),
        TypeSuffix::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(last) = last {
        words.retain(|word| *word != last);
        words.push(last);
    }
    with_safe_start(words.join("_"))
}

fn trim_end(text: &mut String) {
    if text.ends_with('_') {
        text.pop();
    }
}

fn with_suffixes(name: &str, unit: &str, suffix: TypeSuffix) -> String {
    let mut name = name;
    let (main, per) = unit_suffixes(unit);
    let last = match suffix {
        TypeSuffix::Counter => "total",
        TypeSuffix::Gauge if unit == "1" => "ratio",
        _ => "",
    };
    for ending in [last, per.as_str()] {
        // What is there already, with whatever stands between, goes first, so that it comes in its right place.
        if let Some(before) = name.strip_suffix(ending).filter(|_| !ending.is_empty())
            && let Some((at, _)) = before.char_indices().next_back().filter(|(at, _)| *at > 0)
        {
            name = &before[..at];
        }
    }
    let mut made = name.to_owned();
    let main = if name.ends_with(&main) { "" } else { &main };
    for ending in [main, &per, last].into_iter().filter(|ending| !ending.is_empty()) {
        made.push('_');
        made.push_str(ending);
    }
    made
}

/// The unit's word, and `per_` with the word of what it is divided by.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    // In braces stand remarks, such as {request}.
    let word_of = |part: &str, words: &[(&str, &str)]| {
        let part = part.trim();
        if part.contains(['{', '}']) {
            return String::new();
        }
        words.iter().find(|(short, _)| *short == part).map_or(part, |(_, word)| word).to_owned()
    };
    let (main, per) = (word_of(main, UNITS), word_of(per, PER_UNITS));
    (main, if per.is_empty() { per } else { format!("per_{per}") })
}

fn clean_unit(unit: &str) -> String {
    let mut clean = String::with_capacity(unit.len());
    for c in unit.chars() {
        let kept = if is_name_char(c) { c } else { '_' };
        if !(kept == '_' && clean.ends_with('_')) {
            clean.push(kept);
        }
    }
    clean.strip_prefix('_').map(str::to_owned).unwrap_or(clean)
}

/// UCUM's units as Prometheus spells them out.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// The same behind "per", in the singular.
const PER_UNITS: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

#[cfg(test)]
mod tests {
    use super::TypeSuffix::{Counter, Gauge, Other};
    use super::*;

    #[track_caller]
    fn check(name: &str, unit: &str, suffix: TypeSuffix, want: [&str; 4]) {
        let got = Strategy::ALL.map(|(_, strategy)| {
            Naming { strategy, ..Naming::default() }.metric_name(name, unit, suffix).unwrap_or_default()
        });
        assert_eq!(got, want, "{name:?} {unit:?}");
    }

    #[test]
    fn metrics_are_named_as_each_strategy_says() {
        check("requests", "", Counter, ["requests_total", "requests", "requests_total", "requests"]);
        check("cpu_usage", "1", Gauge, ["cpu_usage_ratio", "cpu_usage", "cpu_usage_ratio", "cpu_usage"]);
        check("items", "1", Counter, ["items_total", "items", "items_total", "items"]);
        check(
            "http.server.duration",
            "s",
            Other,
            [
                "http_server_duration_seconds",
                "http_server_duration",
                "http.server.duration_seconds",
                "http.server.duration",
            ],
        );
        check(
            "throughput",
            "By/s",
            Gauge,
            ["throughput_bytes_per_second", "throughput", "throughput_bytes_per_second", "throughput"],
        );
        check("q", "1/s", Counter, ["q_per_second_total", "q", "q_per_second_total", "q"]);
        check("m", "By/{custom}", Gauge, ["m_bytes", "m", "m_bytes", "m"]);
        check("m", "{request}", Gauge, ["m", "m", "m", "m"]);
    }

    #[test]
    fn suffixes_that_are_there_already_are_not_repeated() {
        for name in ["requests_total", "cpu_seconds_total"] {
            check(
                name,
                "s",
                Counter,
                match name {
                    "requests_total" => ["requests_seconds_total", name, "requests_seconds_total", name],
                    _ => [name; 4],
                },
            );
        }
        check(
            "system.io_bytes",
            "By",
            Gauge,
            ["system_io_bytes", "system_io_bytes", "system.io_bytes", "system.io_bytes"],
        );
        check("a_ratio", "1", Gauge, ["a_ratio"; 4]);
        check("total", "", Counter, ["total", "total", "total_total", "total"]);
    }

    #[test]
    fn odd_characters_become_underscores_or_stay() {
        check("123metric", "", Gauge, ["_123metric", "_123metric", "123metric", "123metric"]);
        check(
            "metric__with@@special##",
            "unit@with#special/chars",
            Gauge,
            [
                "metric_with_special_unit_with_special_per_chars",
                "metric__with_special",
                "metric__with@@special##_unit@with#special_per_chars",
                "metric__with@@special##",
            ],
        );
        check("@#$%", "", Gauge, ["", "", "@#$%", "@#$%"]);
        check("", "", Gauge, ["", "", "", ""]);
        check("métric", "", Other, ["m_tric", "m_tric", "métric", "métric"]);
    }

    #[test]
    fn labels_keep_only_what_a_strategy_lets_them() {
        let label = |naming: Naming, name: &str| {
            let mut out = String::from("old");
            naming.label_name(name, &mut out).map(|()| out).ok()
        };
        let usual = Naming::default();
        let permissive = Naming { label_name_underscore_sanitization: false, ..usual };
        let collapsing = Naming { label_name_preserve_multiple_underscores: false, ..usual };
        let as_is = Naming { strategy: Strategy::NoTranslation, ..usual };
        for (name, want) in [
            (
                "http.method",
                [Some("http_method"), Some("http_method"), Some("http_method"), Some("http.method")],
            ),
            ("1a", [Some("key_1a"), Some("key_1a"), Some("key_1a"), Some("1a")]),
            ("_a", [Some("key_a"), Some("_a"), Some("key_a"), Some("_a")]),
            ("__a__", [Some("__a__"), Some("__a__"), Some("__a__"), Some("__a__")]),
            ("a..b", [Some("a__b"), Some("a__b"), Some("a_b"), Some("a..b")]),
            ("a:b", [Some("a_b"), Some("a_b"), Some("a_b"), Some("a:b")]),
            ("", [None; 4]),
        ] {
            let got = [usual, permissive, collapsing, as_is].map(|naming| label(naming, name));
            assert_eq!(got.each_ref().map(Option::as_deref), want, "{name:?}");
        }
        assert_eq!((label(usual, "ようこそ"), label(as_is, "ようこそ").as_deref()), (None, Some("ようこそ")));
    }

    #[test]
    fn units_are_spelt_out() {
        for (unit, want) in
            [("s", "seconds"), ("By/s", "bytes_per_second"), ("1", ""), ("{x}/s", "per_second")]
        {
            assert_eq!(Naming::default().unit(unit), want);
        }
    }
}
