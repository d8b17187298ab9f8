//! Files with tests, as promtool reads them.

use std::collections::BTreeMap;

use model::time::DurationMs;
use serde::{Deserialize, Deserializer};

/// Evaluations are a minute apart unless the file says otherwise.
const INTERVAL_MS: i64 = 60_000;

/// A file with tests.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestFile {
    /// Patterns of rule files, relative to this file.
    pub rule_files: Vec<String>,
    /// Time between evaluations; none: a minute.
    pub evaluation_interval: DurationMs,
    /// Groups that are evaluated in this order.
    pub group_eval_order: Vec<String>,
    /// Groups of tests.
    pub tests: Vec<TestGroup>,
    /// Values may differ in their last bit.
    pub fuzzy_compare: bool,
}

/// Series, and what is expected of rules and queries on them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TestGroup {
    /// Time between values of series, and between evaluations of groups that do not say; none: that of the file.
    pub interval: DurationMs,
    /// What is stored.
    pub input_series: Vec<Series>,
    /// Alerts that must fire.
    pub alert_rule_test: Vec<AlertTest>,
    /// Results that queries must have.
    pub promql_expr_test: Vec<ExpressionTest>,
    /// `$externalLabels`.
    pub external_labels: BTreeMap<String, String>,
    /// `$externalURL`.
    pub external_url: String,
    /// What `--run` chooses by, and failures say.
    pub name: String,
    /// When the first values are, and the first evaluation.
    pub start_timestamp: StartMs,
}

/// A series in the notation of PromQL's test scripts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Series {
    /// Its labels.
    pub series: String,
    /// Its values.
    pub values: String,
}

/// Alerts of one name at one time.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertTest {
    /// After the start.
    pub eval_time: DurationMs,
    /// The rule.
    pub alertname: String,
    /// All that fire.
    pub exp_alerts: Vec<ExpectedAlert>,
}

/// An alert that must fire.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedAlert {
    /// All labels but `alertname`.
    pub exp_labels: BTreeMap<String, String>,
    /// All annotations.
    pub exp_annotations: BTreeMap<String, String>,
}

/// The result of a query at one time.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpressionTest {
    /// The query.
    pub expr: String,
    /// After the start.
    pub eval_time: DurationMs,
    /// All samples, in any order.
    pub exp_samples: Vec<ExpectedSample>,
}

/// A sample of a result.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedSample {
    /// With the name before the braces.
    pub labels: String,
    /// Of a float.
    pub value: f64,
    /// Of a native histogram; then `value` counts for nothing.
    pub histogram: String,
}

/// A time, in milliseconds since the epoch; written in RFC 3339 or as seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartMs(pub i64);

impl<'de> Deserialize<'de> for StartMs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(Self(0));
        }
        if let Ok(seconds) = text.parse::<f64>()
            && seconds.is_finite()
            && seconds.abs() < 1e12
        {
            return Ok(Self((seconds * 1_000.0).round() as i64));
        }
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Self(time.as_millisecond())),
            Err(_) => Err(serde::de::Error::custom(format!("cannot parse {text:?} to a valid timestamp"))),
        }
    }
}

impl TestFile {
    /// Time between evaluations.
    pub fn interval_ms(&self) -> i64 {
        if self.evaluation_interval.0 > 0 { self.evaluation_interval.0 } else { INTERVAL_MS }
    }
}

/// Reads a file with tests.
///
/// # Errors
/// The first fault, with its line; also if a group comes twice in `group_eval_order`.
pub fn parse(bytes: &[u8]) -> Result<TestFile, yaml::Error> {
    let document = yaml::Document::parse_bytes(bytes)?;
    let file: TestFile = document.read()?;
    for (at, name) in file.group_eval_order.iter().enumerate() {
        if file.group_eval_order[..at].contains(name) {
            let message = format!("group name repeated in evaluation order: {name}");
            return Err(document.fault(&["group_eval_order", &at.to_string()], message));
        }
    }
    Ok(file)
}
