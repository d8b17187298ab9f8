//! The labels `__type__` and `__unit__`: what the comments of an answer say about the series below them.
//!
//! As in Prometheus' feature `type-and-unit-labels`: a `# TYPE` or `# UNIT` line speaks for the series of its
//! family until the next one; what is not known makes no label; what is known takes the place of a label of that
//! name that the exporter wrote. The labels are there before the target's are added, so relabelling sees them.
//!
//! A series is looked up in its cache by its text and by what is said about it ([`Described::tag`]). So a type
//! that changes while the text stays ends one series and begins another at once; Prometheus goes on with the old
//! type for as long as the target exposes the series.

use std::borrow::Cow;

use model::{LabelsBuilder, METRIC_NAME, MetricType};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const TYPE: &str = "__type__";
const UNIT: &str = "__unit__";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Described<'a> {
    family: Cow<'a, str>,
    metric_type: MetricType,
    unit: &'a str,
    tag: u64,
}

impl<'a> Described<'a> {
    /// A `# TYPE` line.
    pub(crate) fn set_type(&mut self, family: Cow<'a, str>, metric_type: MetricType) {
        self.begin(family);
        self.metric_type = metric_type;
        self.set_tag();
    }

    /// A `# UNIT` line.
    pub(crate) fn set_unit(&mut self, family: Cow<'a, str>, unit: &'a str) {
        self.begin(family);
        self.unit = unit;
        self.set_tag();
    }

    fn begin(&mut self, family: Cow<'a, str>) {
        if self.family != family {
            *self = Self { family, ..Self::default() };
        }
    }

    /// Once a family, so that looking up a series costs nothing more.
    fn set_tag(&mut self) {
        self.tag = if self.is_silent() {
            0
        } else {
            let seed = xxh3_64_with_seed(self.unit.as_bytes(), self.metric_type as u64);
            xxh3_64_with_seed(self.family.as_bytes(), seed)
        };
    }

    fn is_silent(&self) -> bool {
        self.metric_type == MetricType::Unknown && self.unit.is_empty()
    }

    /// Tells apart what may be said about a series. 0: nothing.
    pub(crate) fn tag(&self) -> u64 {
        self.tag
    }

    /// Adds what is known to the labels of a series, if it is of the family.
    pub(crate) fn label(&self, labels: &mut LabelsBuilder) {
        if self.is_silent() || !labels.get(METRIC_NAME).is_some_and(|name| self.includes(name)) {
            return;
        }
        if self.metric_type != MetricType::Unknown {
            labels.set(TYPE, self.metric_type.as_str());
        }
        if !self.unit.is_empty() {
            labels.set(UNIT, self.unit);
        }
    }

    /// Whether a metric is of the family. Comments are optional, so a series may stand below those of another. A
    /// suffix of its own type is never part of a metric's stem, so the histogram `a_sum` has no series `a_sum`.
    fn includes(&self, metric: &str) -> bool {
        let family = &*self.family;
        if !metric.starts_with(family) {
            return false;
        }
        let suffixes: &[&str] = match self.metric_type {
            MetricType::Counter => &["_total"],
            MetricType::Info => &["_info"],
            MetricType::Histogram => &["_bucket", "_sum", "_count"],
            MetricType::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
            MetricType::Summary => &["_sum", "_count"],
            MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => &[],
        };
        let stem = suffixes.iter().find_map(|suffix| metric.strip_suffix(suffix)).unwrap_or(metric);
        // Prometheus' text format has the suffix in the family's name, OpenMetrics has not.
        let family = match suffixes {
            [suffix] => family.strip_suffix(suffix).unwrap_or(family),
            _ => family,
        };
        stem == family
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[track_caller]
    fn check(family: &str, metric_type: MetricType, unit: &'static str, labels: &str, want: &str) {
        let mut described = Described::default();
        described.set_unit(Cow::Borrowed("another"), "bytes");
        described.set_type(Cow::Borrowed(family), metric_type);
        described.set_unit(Cow::Borrowed(family), unit);
        let pairs = |text: &str| {
            Labels::from_pairs(
                text.split(' ')
                    .map(|pair| pair.split_once('=').expect("a pair"))
                    .map(|(name, value)| (name.replace("NAME", METRIC_NAME), value.to_owned())),
            )
        };
        let mut builder = LabelsBuilder::new();
        builder.reset_to(pairs(labels).as_ref());
        described.label(&mut builder);
        assert_eq!(builder.build(), pairs(want), "{family} {metric_type}: {labels}");
    }

    #[test]
    fn series_of_the_family_get_its_type_and_unit() {
        use MetricType::{Counter, Gauge, GaugeHistogram, Histogram, Info, StateSet, Summary, Unknown};
        check("a", Gauge, "", "NAME=a", "NAME=a __type__=gauge");
        check("a_s", Gauge, "s", "NAME=a_s x=1", "NAME=a_s x=1 __type__=gauge __unit__=s");
        check("a_s", Unknown, "s", "NAME=a_s", "NAME=a_s __unit__=s");
        check("a", Unknown, "", "NAME=a", "NAME=a");
        check("a", StateSet, "", "NAME=a", "NAME=a __type__=stateset");
        for metric in ["a_total", "a"] {
            check("a", Counter, "", &format!("NAME={metric}"), &format!("NAME={metric} __type__=counter"));
        }
        check("a_total", Counter, "", "NAME=a_total", "NAME=a_total __type__=counter");
        check("a_info", Info, "", "NAME=a_info", "NAME=a_info __type__=info");
        for metric in ["a", "a_bucket", "a_sum", "a_count"] {
            check(
                "a",
                Histogram,
                "",
                &format!("NAME={metric}"),
                &format!("NAME={metric} __type__=histogram"),
            );
        }
        check("a", GaugeHistogram, "", "NAME=a_gsum", "NAME=a_gsum __type__=gaugehistogram");
        check("a", Summary, "", "NAME=a_count", "NAME=a_count __type__=summary");
    }

    #[test]
    fn others_get_nothing() {
        use MetricType::{Counter, Gauge, Histogram, Summary};
        for (family, metric_type, metric) in [
            ("a", Gauge, "b"),
            ("a", Gauge, "a_total"),
            ("a", Counter, "a_created"),
            ("a", Counter, "ab_total"),
            ("a_total", Counter, "a"),
            ("a", Histogram, "a_total"),
            ("a_sum", Histogram, "a_sum"),
            ("a", Summary, "a_bucket"),
        ] {
            check(family, metric_type, "s", &format!("NAME={metric}"), &format!("NAME={metric}"));
        }
    }

    #[test]
    fn what_is_known_comes_before_what_the_exporter_wrote() {
        let own = "NAME=a __type__=mine __unit__=mine";
        check("a", MetricType::Gauge, "s", own, "NAME=a __type__=gauge __unit__=s");
        check("a", MetricType::Gauge, "", own, "NAME=a __type__=gauge __unit__=mine");
        check("a", MetricType::Unknown, "", own, own);
    }
}
