//! Unit tests of rules, in promtool's format: series come in, groups are evaluated step by step, alerts and queries are
//! compared with what is expected.
//!
//! Map: [`file`] what people write · here one group of tests · `report` what failed, in promtool's words.
//! A test has storage, an engine and groups of its own, so that none sees what another did.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Labels, TenantId};
use promql::script::input::{self, InputSeries};
use promql::value::{SampleValue, Value, VectorSample};
use promql::{Engine, QueryOptions};
use stdx::cancel::Cancel;
use stdx::clock::SystemClock;
use stdx::memory::Budget;
use storage::memory::MemoryStorage;

use crate::alert::AlertState;
use crate::env::{Env, External, Helpers, Timing};
use crate::file::{RuleFile, RuleKind};
use crate::group::{Defaults, Group};
use crate::metrics::Metrics;
use crate::rule::{ALERT_NAME, Health};
use crate::sink::AlertSink;

pub mod file;
mod report;

use file::{AlertTest, ExpressionTest, TestFile, TestGroup};
use report::{AlertText, Sample};

/// How tests are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Alerts that differ are shown line by line.
    pub diff: bool,
}

/// Runs one group of tests of a file on rules. Nothing, or what failed: each as promtool would print it.
pub fn run(
    file: &TestFile,
    group: &TestGroup,
    rules: &[(String, RuleFile)],
    options: Options,
) -> Vec<String> {
    let mut test = match Test::new(file, group, rules) {
        Ok(test) => test,
        Err(message) => return vec![message],
    };
    let mut failures = Vec::new();
    if test.evaluate(options, &mut failures) {
        for expression in &group.promql_expr_test {
            failures.extend(test.expression(expression).err());
        }
    }
    failures
}

struct Test<'a> {
    file: &'a TestFile,
    group: &'a TestGroup,
    start_ms: i64,
    input: InputSeries,
    storage: Arc<MemoryStorage>,
    env: Env,
    groups: Vec<Group>,
}

/// Alerts of unit tests go nowhere.
struct Nowhere;

impl AlertSink for Nowhere {
    fn send(&self, _: &TenantId, _: &[Arc<crate::sink::SentAlert>]) {}
}

impl<'a> Test<'a> {
    fn new(file: &'a TestFile, group: &'a TestGroup, rules: &[(String, RuleFile)]) -> Result<Self, String> {
        let start_ms = group.start_timestamp.0;
        let interval_ms = if group.interval.0 == 0 { file.interval_ms() } else { group.interval.0 };
        let series = group.input_series.iter().map(|series| (series.series.as_str(), series.values.as_str()));
        let input = InputSeries::parse(series, start_ms, interval_ms)?;
        for test in &group.alert_rule_test {
            if test.alertname.is_empty() {
                let named = if group.name.is_empty() {
                    String::new()
                } else {
                    format!(" (in TestGroup {})", group.name)
                };
                return Err(format!(
                    "an item under alert_rule_test misses required attribute alertname at eval_time {}{named}",
                    test.eval_time
                ));
            }
        }
        let external =
            External { labels: Labels::from_pairs(&group.external_labels), url: group.external_url.clone() };
        let defaults = Defaults { interval_ms, external: Arc::new(external), ..Defaults::default() };
        let mut groups = Vec::new();
        for (path, rules) in rules {
            for spec in &rules.groups {
                groups.push(
                    Group::new(path, spec, &defaults, false).map_err(|fault| format!("{path}: {fault}"))?,
                );
            }
        }
        let place = |name: &str| file.group_eval_order.iter().position(|other| other == name).unwrap_or(0);
        groups.sort_by_key(|group| place(group.name()));
        let storage = MemoryStorage::new();
        let settings =
            promql::Settings { subquery_step_ms: file.interval_ms(), ..promql::Settings::default() };
        let metrics = Metrics::register(&prometheus::Registry::new()).map_err(|error| error.to_string())?;
        let env = Env {
            engine: Arc::new(Engine::new(settings, Budget::unlimited())),
            querier: Arc::<MemoryStorage>::clone(&storage),
            appender: Arc::<MemoryStorage>::clone(&storage),
            tenant: TenantId::anonymous(),
            clock: SystemClock::shared(),
            sink: Arc::new(Nowhere),
            metrics,
            timing: Timing::default(),
            cancel: Cancel::never(),
            helpers: Helpers::new(0),
            is_rehearsal: false,
        };
        Ok(Self { file, group, start_ms, input, storage, env, groups })
    }

    /// The time of the last test, after the start.
    fn end_ms(&self) -> i64 {
        let alerts = self.group.alert_rule_test.iter().map(|test| test.eval_time.0);
        let expressions = self.group.promql_expr_test.iter().map(|test| test.eval_time.0);
        alerts.chain(expressions).max().unwrap_or(0)
    }

    /// Evaluates the groups step by step and compares alerts on the way. False if a rule failed.
    fn evaluate(&mut self, options: Options, failures: &mut Vec<String>) -> bool {
        let step_ms = self.file.interval_ms();
        let mut tests: Vec<&AlertTest> = self.group.alert_rule_test.iter().collect();
        tests.sort_by_key(|test| test.eval_time.0);
        let mut tests = tests.into_iter().peekable();
        let end_ms = self.end_ms();
        let mut at_ms = 0;
        while at_ms <= end_ms {
            let time_ms = self.start_ms + at_ms;
            if let Err(message) = self.input.load_until(time_ms, &self.storage, &self.env.tenant) {
                failures.push(message);
                return false;
            }
            let failed = self.evaluate_groups(time_ms);
            if !failed.is_empty() {
                failures.extend(failed);
                return false;
            }
            // A test between two evaluations sees the alerts of the first.
            while let Some(test) = tests.next_if(|test| test.eval_time.0 < at_ms + step_ms) {
                failures.extend(self.alerts(test, options).err());
            }
            at_ms += step_ms;
        }
        // Queries see all series to their ends.
        match self.input.load_until(i64::MAX / 2, &self.storage, &self.env.tenant) {
            Ok(()) => true,
            Err(message) => {
                failures.push(message);
                false
            }
        }
    }

    fn evaluate_groups(&self, time_ms: i64) -> Vec<String> {
        let mut failed = Vec::new();
        for group in &self.groups {
            group.evaluate(&self.env, time_ms);
            for rule in group.rules() {
                let status = rule.status();
                if status.health == Health::Bad {
                    let time = report::go_duration(time_ms);
                    failed.push(format!(
                        "    rule: {}, time: {time}, err: {}",
                        rule.name(),
                        status.last_error
                    ));
                }
            }
        }
        failed
    }

    fn alerts(&self, test: &AlertTest, options: Options) -> Result<(), String> {
        let rules = self.groups.iter().flat_map(Group::rules);
        let named = rules.filter(|rule| rule.kind() == RuleKind::Alerting && rule.name() == test.alertname);
        let firing =
            named.flat_map(crate::rule::Rule::alerts).filter(|alert| alert.state == AlertState::Firing);
        let mut got: Vec<AlertText> = firing
            .map(|alert| AlertText::new(alert.labels.iter(), alert.annotations.iter().map(report::as_strs)))
            .collect();
        let expected = test.exp_alerts.iter().map(|alert| {
            let mut labels: BTreeMap<&str, &str> = alert.exp_labels.iter().map(report::as_strs).collect();
            // The rule's own name is understood.
            labels.insert(ALERT_NAME, &test.alertname);
            AlertText::new(labels, alert.exp_annotations.iter().map(report::as_strs))
        });
        let mut expected: Vec<AlertText> = expected.collect();
        got.sort();
        expected.sort();
        if got == expected {
            return Ok(());
        }
        let name = if self.group.name.is_empty() {
            String::new()
        } else {
            format!("    name: {},\n", self.group.name)
        };
        let head = format!("{name}    alertname: {}, time: {}, \n", test.alertname, test.eval_time);
        let (expected, got) = (report::alerts(&expected), report::alerts(&got));
        Err(if options.diff {
            format!("{head}        diff:\n{}", report::diff(&expected, &got))
        } else {
            format!("{head}        exp:{expected}, \n        got:{got}")
        })
    }

    fn expression(&self, test: &ExpressionTest) -> Result<(), String> {
        let head = format!("    expr: {}, time: {},", report::quoted(&test.expr), test.eval_time);
        let fault = |message: String| format!("{head} err: {message}");
        let (engine, tenant) = (&self.env.engine, &self.env.tenant);
        let time_ms = self.start_ms + test.eval_time.0;
        let result = engine.instant(&*self.storage, tenant, &test.expr, time_ms, &QueryOptions::default());
        let found = match result.map_err(|error| fault(error.to_string()))?.value {
            Value::Vector(samples) => samples,
            Value::Scalar { timestamp_ms, value } => {
                vec![VectorSample { labels: Labels::empty(), timestamp_ms, value: SampleValue::Float(value) }]
            }
            _ => return Err(fault("rule result is not a vector or scalar".to_owned())),
        };
        let mut got: Vec<Sample> = found.into_iter().map(Sample::from).collect();
        let mut expected = Vec::new();
        for sample in &test.exp_samples {
            let fault =
                |message: String| fault(format!("labels {}: {message}", report::quoted(&sample.labels)));
            let labels = input::parse_labels(&sample.labels).map_err(fault)?;
            let histogram = match sample.histogram.as_str() {
                "" => None,
                text => Some(input::write_histogram(&input::parse_histogram(text).map_err(fault)?)),
            };
            expected.push(Sample { labels, value: sample.value, histogram });
        }
        got.sort_by(|a, b| a.labels.cmp(&b.labels));
        expected.sort_by(|a, b| a.labels.cmp(&b.labels));
        let same = |(a, b): (&Sample, &Sample)| a.is_same(b, self.file.fuzzy_compare);
        if got.len() == expected.len() && expected.iter().zip(&got).all(same) {
            return Ok(());
        }
        let (expected, got) = (report::samples(&expected), report::samples(&got));
        Err(format!("{head}\n        exp: {expected}\n        got: {got}"))
    }
}

#[cfg(test)]
mod tests;
