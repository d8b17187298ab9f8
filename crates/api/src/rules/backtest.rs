//! `POST /api/v1/rules/backtest`: what rules would have done over what is stored, and who would have been told.
//!
//! The body is JSON. With `?progress=1` the answer comes as lines of JSON: `{"progress":0.25}` now and then, then the answer itself.
//! One backtest at a time: it may read months of data, and everything else goes first.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Extract};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use model::TenantId;
use notifier::Rehearsal;
use rules::backtest::{self, Deps, Error, Outcome};
use rules::file::{Options, RuleFile, parse};
use serde::Deserialize;
use serde_json::Value;
use stdx::cancel::Cancel;
use tokio::sync::mpsc;

use crate::body::{read_body, received};
use crate::error::ApiError;
use crate::json::write_tree;
use crate::params::{Params, parse_api_duration_ms, parse_time_ms};
use crate::respond::{Annotations, begin, end, success};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::blocking;

mod report;

use report::{Report, Version};

/// A larger body is refused.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;
/// A backtest may take so long.
const DURATION_MAX: Duration = Duration::from_secs(1800);
/// Alerts that are listed, if nobody says how many.
const ALERTS_LISTED: usize = 1_000;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    groups: Texts,
    from: Value,
    to: Value,
    #[serde(default)]
    compare: Option<Texts>,
    #[serde(default)]
    alertmanager: Option<String>,
    #[serde(default)]
    step: Option<Value>,
    #[serde(default)]
    limit: Option<usize>,
}

/// Rule files.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Texts {
    One(String),
    Named(Vec<Named>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    name: String,
    text: String,
}

/// What is asked for, read and checked.
struct Job {
    new: backtest::Request,
    old: Option<backtest::Request>,
    alertmanager: Option<notifier::Config>,
    limit: usize,
}

pub(crate) async fn backtest(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of_query(request.uri().query().unwrap_or(""))?;
    let with_progress = params.flag("progress")?;
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_data(format!("the body is not as expected: {error}")))?;
    let job = Job::new(&state, asked)?;
    let Ok(slot) = Arc::clone(&state.backtest_slot).try_acquire_owned() else {
        return Err(ApiError::Later("another backtest is running; try again when it is done".to_owned(), 5));
    };
    let cancel = Cancel::after(DURATION_MAX);
    let (there, stop) = (Arc::clone(&state), cancel.clone());
    if !with_progress {
        let work = move || {
            let _slot = slot;
            job.run(&there, &tenant, stop, &|_| ())
        };
        let report = blocking(&state, cancel, work).await??;
        return Ok(success(|out| write_tree(out, &report)));
    }
    let (lines, report) = mpsc::channel::<Result<Bytes, String>>(16);
    tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let told = std::cell::Cell::new(0.0);
        let progress = |part: f64| {
            // Whoever reads slowly misses some.
            if part - told.get() >= 0.005
                && lines.try_send(Ok(Bytes::from(format!("{{\"progress\":{part:.3}}}\n")))).is_ok()
            {
                told.set(part);
            }
        };
        let mut last = match job.run(&there, &tenant, stop, &progress) {
            Ok(report) => {
                let mut out = Vec::new();
                begin(&mut out);
                write_tree(&mut out, &report);
                end(&mut out, &Annotations::default());
                out
            }
            Err(error) => error.into_body(),
        };
        last.push(b'\n');
        // Nobody may be there any more.
        let _ = lines.blocking_send(Ok(Bytes::from(last)));
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], received(report, cancel)).into_response())
}

impl Texts {
    /// Files that were checked; all faults are told.
    pub(super) fn files(self, field: &str) -> Result<Vec<(String, Arc<RuleFile>)>, ApiError> {
        let named = match self {
            Self::One(text) => vec![Named { name: field.to_owned(), text }],
            Self::Named(named) => named,
        };
        let mut files = Vec::new();
        for Named { name, text } in named {
            let file = parse(text.as_bytes(), Options::default()).map_err(|faults| {
                let faults = faults.iter().map(|fault| format!("{name}:{fault}"));
                ApiError::bad_data(faults.collect::<Vec<_>>().join("; "))
            })?;
            files.push((name, Arc::new(file)));
        }
        Ok(files)
    }
}

/// A time as a number of seconds, or as any text that queries take.
pub(super) fn time_ms(value: &Value, name: &str) -> Result<i64, ApiError> {
    let text = text_of(value);
    parse_time_ms(&text).map_err(|error| ApiError::invalid_parameter(name, error))
}

/// A duration as a number of seconds, or as any text that queries take.
pub(super) fn step_ms(value: Option<&Value>) -> Result<Option<i64>, ApiError> {
    let parsed = value.map(|value| parse_api_duration_ms(&text_of(value))).transpose();
    parsed.map_err(|error| ApiError::invalid_parameter("step", error))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Job {
    fn new(state: &State, asked: Asked) -> Result<Self, ApiError> {
        let view = &state.backends()?.rules;
        let (from_ms, to_ms) = (time_ms(&asked.from, "from")?, time_ms(&asked.to, "to")?);
        let step_ms = step_ms(asked.step.as_ref())?;
        let request = |files| backtest::Request { files, from_ms, to_ms, step_ms, defaults: view.defaults() };
        let alertmanager = asked.alertmanager.map(|text| {
            notifier::Config::parse_without_templates(text.as_bytes())
                .map_err(|error| ApiError::invalid_parameter("alertmanager", error))
        });
        Ok(Self {
            new: request(asked.groups.files("groups")?),
            old: asked.compare.map(|old| old.files("compare")).transpose()?.map(request),
            alertmanager: alertmanager.transpose()?,
            limit: asked.limit.unwrap_or(ALERTS_LISTED),
        })
    }

    fn run(
        self,
        state: &State,
        tenant: &TenantId,
        cancel: Cancel,
        progress: &dyn Fn(f64),
    ) -> Result<Value, ApiError> {
        let backends = state.backends()?;
        let run = |request: &backtest::Request, progress: &dyn Fn(f64)| {
            let deps = Deps {
                engine: Arc::clone(&state.deps.engine),
                querier: Arc::clone(&backends.querier),
                tenant: tenant.clone(),
                budget: Arc::clone(&state.deps.budget),
                clock: Arc::clone(&state.deps.clock),
                timing: backends.rules.timing(),
                cancel: cancel.clone(),
                progress,
            };
            Ok::<_, ApiError>(backtest::run(request, &deps)?)
        };
        let versions = if self.old.is_some() { 2.0 } else { 1.0 };
        let new = run(&self.new, &|part| progress(part / versions))?;
        let old =
            self.old.as_ref().map(|old| run(old, &|part| progress((1.0 + part) / versions))).transpose()?;
        let told = |outcome: &Outcome| self.told(state, outcome);
        let new = Version { told: told(&new), outcome: new };
        let old = old.map(|old| Version { told: told(&old), outcome: old });
        let Self { new: request, limit, .. } = &self;
        Ok(Report { from_ms: request.from_ms, to_ms: request.to_ms, limit: *limit }.tree(&new, old.as_ref()))
    }

    /// Who would have been told.
    fn told(&self, state: &State, outcome: &Outcome) -> Vec<notifier::rehearsal::Told> {
        let mut rehearsal = match (&self.alertmanager, &state.deps.notifier) {
            (Some(config), _) => Rehearsal::new(config, Vec::new()),
            (None, Some(notifier)) => notifier.rehearsal(),
            (None, None) => Rehearsal::new(&notifier::Config::without_file(), Vec::new()),
        };
        let timing = state.backends().map(|backends| backends.rules.timing()).unwrap_or_default();
        let external_labels = state.deps.status.external_labels();
        let reports = backtest::reports::reports(outcome, self.new.to_ms, timing.resend_delay_ms);
        for same_time in reports.chunk_by(|a, b| a.at_ms == b.at_ms) {
            let alerts = same_time.iter().map(|report| {
                let mut labels = report.labels.to_builder();
                for (name, value) in &external_labels {
                    if labels.get(name).is_none() {
                        labels.set(name, value);
                    }
                }
                notifier::Alert {
                    labels: labels.build(),
                    annotations: notifier::Annotations::new(),
                    starts_at_ms: report.starts_at_ms,
                    // Nobody says that it ends until it does.
                    ends_at_ms: report.ends_at_ms.unwrap_or(i64::MAX / 2),
                    generator_url: String::new(),
                    updated_at_ms: report.at_ms,
                    is_timeout: false,
                }
            });
            rehearsal.put(alerts.collect(), same_time[0].at_ms);
        }
        rehearsal.advance(self.new.to_ms);
        if rehearsal.refused_count() > 0 {
            tracing::warn!(
                count = rehearsal.refused_count(),
                "a backtest has more alerts than the notifier takes"
            );
        }
        rehearsal.into_told()
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(error) => error.into(),
            Error::Storage(error) => error.into(),
            Error::Limit(text) => Self::new(crate::error::ErrorType::Execution, text),
            Error::Request(_) | Error::Rule { .. } => Self::bad_data(error.to_string()),
        }
    }
}
