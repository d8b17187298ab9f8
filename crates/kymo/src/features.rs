//! Prometheus' features, by the names that its `--enable-feature` knows: which there are, and what each does here.
//!
//! As with Prometheus, an unknown name is no error but a warning, so that a command line made for another version
//! works.

use promql::features::Effect as OfLanguage;

/// What switching a feature on does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Scraped series get `__type__` and `__unit__`.
    TypeAndUnitLabels,
    /// `_created` lines of OpenMetrics are start timestamps.
    StartTimestamps,
    /// The default of `extra_scrape_metrics` is yes.
    ExtraScrapeMetrics,
    /// Deltas of OTLP are stored as they come.
    NativeDeltaIngestion,
    /// Nothing: Kymo always does it, or has a way of its own.
    AlwaysOn,
    /// Nothing: Kymo does not do it. Why, or what to do instead.
    Absent(&'static str),
}

use Effect::{Absent, AlwaysOn};

/// All but those of the query language; what Prometheus 2 knew and 3 does not is among them.
const FEATURES: &[(&str, Effect)] = &[
    ("type-and-unit-labels", Effect::TypeAndUnitLabels),
    ("st-storage", Effect::StartTimestamps),
    ("extra-scrape-metrics", Effect::ExtraScrapeMetrics),
    ("otlp-native-delta-ingestion", Effect::NativeDeltaIngestion),
    ("auto-gomaxprocs", AlwaysOn),
    ("auto-gomemlimit", AlwaysOn),
    ("concurrent-rule-eval", AlwaysOn),
    ("delayed-compaction", AlwaysOn),
    ("exemplar-storage", AlwaysOn),
    ("expand-external-labels", AlwaysOn),
    ("fast-startup", AlwaysOn),
    ("histograms-st-encoding", AlwaysOn),
    ("memory-snapshot-on-shutdown", AlwaysOn),
    ("metadata-wal-records", AlwaysOn),
    ("new-service-discovery-manager", AlwaysOn),
    ("no-default-scrape-port", AlwaysOn),
    ("ooo-native-histograms", AlwaysOn),
    ("otlp-deltatocumulative", AlwaysOn),
    ("otlp-write-receiver", AlwaysOn),
    ("remote-write-receiver", AlwaysOn),
    ("use-uncached-io", AlwaysOn),
    ("utf8-names", AlwaysOn),
    ("xor2-encoding", AlwaysOn),
    ("agent", Absent("samples are not sent on yet")),
    ("auto-reload-config", Absent("send SIGHUP or POST /-/reload after a change")),
    (
        "created-timestamp-zero-ingestion",
        Absent("st-storage keeps when counters began, without made-up samples"),
    ),
    (
        "native-histograms",
        Absent(
            "scrape_native_histograms in the configuration asks targets for them, as in Prometheus 3.9 and later",
        ),
    ),
    ("old-ui", Absent("there is one UI")),
    ("promql-nhcb-as-classic", Absent("queries see native histograms as they are stored")),
    ("st-synthesis", Absent("start timestamps are those that targets tell")),
];

/// Features that are switched on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Features {
    /// Those of the query language.
    pub promql: Vec<OfLanguage>,
    /// Scraped series get `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// `_created` lines of OpenMetrics are start timestamps.
    pub start_timestamps: bool,
    /// The default of `extra_scrape_metrics` is yes.
    pub extra_scrape_metrics: bool,
    /// Deltas of OTLP are stored as they come.
    pub native_delta_ingestion: bool,
}

impl Features {
    /// Switches features on by their names. Returns a sentence for each that does not do what was asked for.
    pub fn enable(&mut self, names: &[String]) -> Vec<String> {
        names.iter().filter_map(|name| self.enable_one(name)).collect()
    }

    fn enable_one(&mut self, name: &str) -> Option<String> {
        if let Some(effect) = promql::features::effect_of(name) {
            self.promql.push(effect);
            return None;
        }
        let effect = FEATURES.iter().find(|(known, _)| *known == name).map(|(_, effect)| *effect);
        match effect {
            Some(Effect::TypeAndUnitLabels) => self.type_and_unit_labels = true,
            Some(Effect::StartTimestamps) => self.start_timestamps = true,
            Some(Effect::NativeDeltaIngestion) => self.native_delta_ingestion = true,
            Some(Effect::ExtraScrapeMetrics) => self.extra_scrape_metrics = true,
            Some(AlwaysOn) => {}
            Some(Absent(why)) => return Some(format!("feature {name:?} does nothing here: {why}")),
            // `--enable-feature=` names none.
            None if name.is_empty() => {}
            None => {
                return Some(format!(
                    "unknown feature {name:?}; docs/user/configuration.md lists those there are"
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enable(names: &[&str]) -> (Features, Vec<String>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut features = Features::default();
        let warnings = features.enable(&names);
        (features, warnings)
    }

    #[test]
    fn names_switch_on_what_is_a_setting() {
        let (features, warnings) =
            enable(&["type-and-unit-labels", "use-start-timestamps", "exemplar-storage", ""]);
        assert!(features.type_and_unit_labels && !features.extra_scrape_metrics && warnings.is_empty());
        assert_eq!(features.promql, [OfLanguage::UseStartTimestamps]);
        let (features, _) = enable(&["extra-scrape-metrics", "st-storage"]);
        assert!(features.extra_scrape_metrics && features.start_timestamps);
    }

    #[test]
    fn what_does_nothing_is_said() {
        let (features, warnings) = enable(&["old-ui", "type-and-unit-label"]);
        assert_eq!(features, Features::default());
        let [absent, unknown] = &warnings[..] else { panic!("two: {warnings:?}") };
        assert_eq!(absent, "feature \"old-ui\" does nothing here: there is one UI");
        assert!(unknown.starts_with("unknown feature \"type-and-unit-label\"; "), "{unknown}");
    }

    #[test]
    fn every_name_is_documented() {
        let text = include_str!("../../../docs/user/configuration.md");
        let of_language = promql::features::FEATURES.iter().map(|(name, _)| *name);
        for name in FEATURES.iter().map(|(name, _)| *name).chain(of_language) {
            assert!(text.contains(&format!("`{name}`")), "{name} is missing in docs/user/configuration.md");
        }
    }
}
