//! `kymo check metrics`: can it be read, and does it keep the conventions that queries rely on?

use std::collections::BTreeMap;
use std::io::Write;

use model::{LabelsBuilder, METRIC_NAME, MetricType};
use wire::exposition::{Entry, Format, Parser};

use crate::cli::Outcome;

#[derive(Default)]
struct Family {
    has_help: bool,
    metric_type: Option<MetricType>,
}

/// Reports the first fault, or everything that is unwise.
pub(super) fn check(text: &[u8], err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let format = if text.trim_ascii_end().ends_with(b"# EOF") {
        Format::OpenMetricsText
    } else {
        Format::PrometheusText
    };
    let mut parser = Parser::new(text, format);
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut builder = LabelsBuilder::new();
    let mut named = BTreeMap::new();
    loop {
        match parser.next_entry() {
            Ok(None) => break,
            Ok(Some(Entry::Help { name, text })) => {
                families.entry(name.into_owned()).or_default().has_help = !text.is_empty();
            }
            Ok(Some(Entry::Type { name, metric_type })) => {
                families.entry(name.into_owned()).or_default().metric_type = Some(metric_type);
            }
            Ok(Some(Entry::Series(series))) => {
                if let Err(error) = series.pack_labels(&mut builder) {
                    writeln!(err, "series {}: {error}", series.id)?;
                    return Ok(Outcome::Faults);
                }
                named.insert(builder.get(METRIC_NAME).unwrap_or("").to_owned(), series.metric_type);
            }
            Ok(Some(Entry::Unit { .. } | Entry::Comment(_) | Entry::Histogram(_))) => {}
            Err(error) => {
                writeln!(err, "{error}")?;
                return Ok(Outcome::Faults);
            }
        }
    }
    let mut outcome = Outcome::Success;
    for (name, text) in unwise(&named, &families, format) {
        writeln!(err, "{name} {text}")?;
        outcome = Outcome::Unwise;
    }
    Ok(outcome)
}

/// What the conventions would have otherwise, by family.
fn unwise(
    named: &BTreeMap<String, MetricType>,
    families: &BTreeMap<String, Family>,
    format: Format,
) -> BTreeMap<String, &'static str> {
    let mut faults = BTreeMap::new();
    let no_family = Family::default();
    for name in named.keys() {
        let family_name = family_of(name, families);
        let family = families.get(family_name).unwrap_or(&no_family);
        let total = family_name.ends_with("_total");
        let fault = match family.metric_type {
            _ if !family.has_help => "no help text",
            Some(MetricType::Counter) if !total && format == Format::PrometheusText => {
                "counter metrics should have \"_total\" suffix"
            }
            Some(MetricType::Gauge) if total => "non-counter metrics should not have \"_total\" suffix",
            None | Some(MetricType::Unknown) if total => "metrics with \"_total\" suffix should be counters",
            _ => continue,
        };
        faults.insert(family_name.to_owned(), fault);
    }
    faults
}

/// The family that a series belongs to: without the suffix that its type adds.
fn family_of<'a>(name: &'a str, families: &BTreeMap<String, Family>) -> &'a str {
    if families.contains_key(name) {
        return name;
    }
    ["_bucket", "_sum", "_count", "_total", "_created", "_info"]
        .into_iter()
        .filter_map(|suffix| name.strip_suffix(suffix))
        .find(|family| families.contains_key(*family))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn run(text: &str, want: Outcome, want_said: &str) {
        let mut said = Vec::new();
        assert_eq!(check(text.as_bytes(), &mut said).expect("written"), want, "{text}");
        assert_eq!(String::from_utf8(said).expect("text"), want_said, "{text}");
    }

    #[test]
    fn what_can_be_read_and_keeps_the_conventions_is_fine() {
        run("# HELP a_total A.\n# TYPE a_total counter\na_total 1\n", Outcome::Success, "");
        run(
            "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
            Outcome::Success,
            "",
        );
        run("# HELP a A.\n# TYPE a counter\na_total 1\n# EOF\n", Outcome::Success, "");
        run("", Outcome::Success, "");
    }

    #[test]
    fn a_fault_is_named_with_its_line() {
        let mut said = Vec::new();
        let outcome = check(b"# HELP a A.\na 1\nb{x=\"y\" 2\n", &mut said).expect("written");
        assert_eq!(outcome, Outcome::Faults);
        assert!(String::from_utf8_lossy(&said).starts_with("line 3, "), "{}", String::from_utf8_lossy(&said));
    }

    #[test]
    fn what_is_unwise_is_listed_by_family() {
        run("a 1\nb 2\n", Outcome::Unwise, "a no help text\nb no help text\n");
        run(
            "# HELP a A.\n# TYPE a counter\na 1\n",
            Outcome::Unwise,
            "a counter metrics should have \"_total\" suffix\n",
        );
        run(
            "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n",
            Outcome::Unwise,
            "a_total non-counter metrics should not have \"_total\" suffix\n",
        );
    }
}
