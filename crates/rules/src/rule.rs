//! One rule, ready to be evaluated, and what is known of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use model::Labels;
use parking_lot::Mutex;
use promql::ast::Expr;

use crate::alert::{Alert, AlertState, Alerts, Terms};
use crate::file::{Fault, GroupSpec, RuleKind, RuleSpec};
use crate::missing::{Known, absence_query, presence_query};
use crate::text::Text;

/// The label that names an alert's rule.
pub const ALERT_NAME: &str = "alertname";

/// How the last evaluation went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// There was none.
    #[default]
    Unknown,
    /// Well.
    Good,
    /// It failed.
    Bad,
}

impl Health {
    /// As the API has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "ok",
            Self::Bad => "err",
        }
    }
}

/// What is known of a rule's last evaluation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleStatus {
    /// How it went.
    pub health: Health,
    /// Why it failed; empty if it did not.
    pub last_error: String,
    /// How long it took.
    pub evaluation_s: f64,
    /// When it began, by the wall clock; `None` if there was none.
    pub last_evaluation_ms: Option<i64>,
    /// Series it wrote.
    pub sample_count: usize,
}

/// So many evaluations of a rule are remembered.
pub const EVALUATIONS_MAX: usize = 10;

/// How one evaluation went.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// When it began, by the wall clock.
    pub at_ms: i64,
    /// How long it took.
    pub took_s: f64,
    /// Series it wrote.
    pub sample_count: usize,
    /// Why it failed; empty if it did not.
    pub error: String,
}

/// A rule of a group.
#[derive(Debug)]
pub struct Rule {
    pub(crate) spec: RuleSpec,
    pub(crate) expr: Expr,
    /// The expression as it is shown and evaluated.
    pub(crate) query: String,
    /// Of an alerting rule.
    pub(crate) alerting: Option<Alerting>,
    pub(crate) status: Mutex<RuleStatus>,
    /// The last ones, the newest first.
    pub(crate) evaluations: Mutex<VecDeque<Evaluation>>,
    /// Series that the last evaluation wrote, sorted.
    pub(crate) previous: Mutex<Vec<Labels>>,
}

/// What only alerting rules have.
#[derive(Debug)]
pub(crate) struct Alerting {
    pub(crate) labels: Vec<(String, Text)>,
    pub(crate) annotations: Vec<(String, Text)>,
    pub(crate) terms: Terms,
    pub(crate) alerts: Mutex<Alerts>,
    /// If missing data matters.
    pub(crate) presence: Option<Presence>,
    /// Whether it is known what was before the start. Until then nothing is written that a restart would look for.
    pub(crate) is_restored: AtomicBool,
}

/// How it is known what is there and what is missing.
#[derive(Debug)]
pub(crate) struct Presence {
    /// Yields all that could be an alert.
    pub(crate) query: String,
    pub(crate) known: Mutex<Known>,
}

impl Rule {
    /// A rule of a group whose file was checked.
    pub(crate) fn new(group: &GroupSpec, spec: &RuleSpec, is_restored: bool) -> Result<Self, Fault> {
        let mut spec = spec.clone();
        for (name, value) in &group.labels {
            spec.labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let fault = |message: String| Fault { mark: None, message };
        let expr = promql::parser::parse(&spec.expr);
        let mut expr = expr.map_err(|faults| fault(promql::QueryError::Parse(faults).to_string()))?;
        let refused = |why: &str| fault(why.to_owned());
        if spec.absent_for_ms > 0 {
            let query = absence_query(&expr, spec.absent_for_ms).map_err(refused)?;
            let parsed = promql::parser::parse(&query);
            expr = parsed.map_err(|faults| fault(promql::QueryError::Parse(faults).to_string()))?;
        }
        let presence = match spec.missing.is_set() {
            true => {
                let query = presence_query(&expr).map_err(refused)?;
                Some(Presence { query, known: Mutex::default() })
            }
            false => None,
        };
        let texts = |texts: &BTreeMap<String, String>| {
            let parsed = texts.iter().map(|(name, text)| {
                let text = Text::parse(&spec.name, text).map_err(|error| fault(error.to_string()))?;
                Ok((name.clone(), text))
            });
            parsed.collect::<Result<Vec<_>, Fault>>()
        };
        let alerting = match spec.kind {
            RuleKind::Recording => None,
            RuleKind::Alerting => Some(Alerting {
                labels: texts(&spec.labels)?,
                annotations: texts(&spec.annotations)?,
                terms: Terms {
                    for_ms: spec.for_ms,
                    keep_firing_for_ms: spec.keep_firing_for_ms,
                    limit: group.limit,
                    missing: spec.missing,
                    flapping: spec.flapping,
                },
                presence,
                alerts: Mutex::default(),
                is_restored: AtomicBool::new(is_restored),
            }),
        };
        Ok(Self {
            query: expr.to_string(),
            expr,
            alerting,
            spec,
            status: Mutex::default(),
            evaluations: Mutex::default(),
            previous: Mutex::default(),
        })
    }

    /// The series that it writes, or the alert that it raises.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Which of both.
    pub fn kind(&self) -> RuleKind {
        self.spec.kind
    }

    /// Its query, formatted.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// What the file says, with the labels of the group.
    pub fn spec(&self) -> &RuleSpec {
        &self.spec
    }

    /// How the last evaluation went.
    pub fn status(&self) -> RuleStatus {
        self.status.lock().clone()
    }

    /// The last evaluations, the newest first.
    pub fn evaluations(&self) -> Vec<Evaluation> {
        self.evaluations.lock().iter().cloned().collect()
    }

    pub(crate) fn remember(&self, evaluation: Evaluation) {
        let mut evaluations = self.evaluations.lock();
        evaluations.truncate(EVALUATIONS_MAX - 1);
        evaluations.push_front(evaluation);
    }

    /// Alerts that are pending or firing, in order of labels.
    pub fn alerts(&self) -> Vec<Alert> {
        match &self.alerting {
            Some(alerting) => alerting.alerts.lock().active().cloned().collect(),
            None => Vec::new(),
        }
    }

    /// The most severe state of its alerts; `None` if it was not evaluated yet.
    pub fn state(&self) -> Option<AlertState> {
        self.status.lock().last_evaluation_ms?;
        self.alerting.as_ref().map(|alerting| alerting.alerts.lock().state())
    }

    /// Goes on where a rule of the same name and labels was.
    pub(crate) fn take_over(&self, before: &Self) {
        *self.status.lock() = before.status();
        *self.evaluations.lock() = std::mem::take(&mut *before.evaluations.lock());
        *self.previous.lock() = std::mem::take(&mut *before.previous.lock());
        if let (Some(own), Some(other)) = (&self.alerting, &before.alerting) {
            *own.alerts.lock() = other.alerts.lock().clone();
            if let (Some(own), Some(other)) = (&own.presence, &other.presence) {
                *own.known.lock() = other.known.lock().clone();
            }
            own.is_restored.store(other.is_restored.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
