//! `POST /api/v1/rules/backfill`: writes what a recording rule would have written in the past.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Extract};
use axum::response::Response;
use rules::backfill::{self, Deps};
use rules::backtest;
use serde::Deserialize;
use serde_json::{Value, json};
use stdx::cancel::Cancel;

use super::backtest::{BODY_BYTES_MAX, Texts, step_ms, time_ms};
use crate::body::read_body;
use crate::error::ApiError;
use crate::json::write_tree;
use crate::respond::{Annotations, success_with};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::blocking;

/// A backfill may take so long.
const DURATION_MAX: Duration = Duration::from_secs(1800);

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    groups: Texts,
    from: Value,
    to: Value,
    #[serde(default)]
    step: Option<Value>,
    /// The number of a recording rule, from 0; without it all are filled, one after the other.
    #[serde(default)]
    rule: Option<usize>,
}

pub(crate) async fn backfill(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    request: Request,
) -> Result<Response, ApiError> {
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_data(format!("the body is not as expected: {error}")))?;
    let request = backtest::Request {
        from_ms: time_ms(&asked.from, "from")?,
        to_ms: time_ms(&asked.to, "to")?,
        step_ms: step_ms(asked.step.as_ref())?,
        files: asked.groups.files("groups")?,
        defaults: state.backends()?.rules.defaults(),
    };
    let cancel = Cancel::after(DURATION_MAX);
    let work = {
        let (state, cancel) = (Arc::clone(&state), cancel.clone());
        move || {
            let backends = state.backends()?;
            let deps = Deps {
                engine: Arc::clone(&state.deps.engine),
                querier: Arc::clone(&backends.querier),
                appender: Arc::clone(&backends.appender),
                tenant,
                cancel,
                is_repair: false,
            };
            let numbers = asked.rule.map_or(0..backfill::rule_count(&request), |number| number..number + 1);
            let mut all = backfill::Written::default();
            for number in numbers {
                let written = backfill::run(&request, number, &deps)?;
                all.sample_count += written.sample_count;
                all.failure_count += written.failure_count;
                if !written.last_error.is_empty() {
                    all.last_error = written.last_error;
                }
                all.rejected = written.rejected.or(all.rejected);
            }
            Ok::<_, ApiError>(all)
        }
    };
    let written = blocking(&state, cancel, work).await??;
    let mut annotations = Annotations::default();
    if written.failure_count > 0 {
        let (count, error) = (written.failure_count, &written.last_error);
        annotations.warnings.push(format!("{count} evaluations failed and were left out, the last: {error}"));
    }
    if let Some((count, reason)) = written.rejected {
        annotations.warnings.push(format!("{count} samples were refused, the first because it is {reason}"));
    }
    let data = json!({"samples": written.sample_count, "failedEvaluations": written.failure_count});
    Ok(success_with(&annotations, |out| write_tree(out, &data)))
}
