//! `/api/v1/query` and `/api/v1/query_range`.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use model::TenantId;
use promql::{Cost, PlanNode, QueryOptions, QueryResult, Value, When};
use serde_json::json;

use crate::asker::Asker;
use crate::body::streamed;
use crate::error::ApiError;
use crate::json::write_tree;
use crate::params::{Params, parse_api_duration_ms};
use crate::plan::{cost_tree, plan_tree};
use crate::query_result::RenderResult;
use crate::respond::{TRUNCATED, respond, success};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

pub(crate) async fn query(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let time_ms = params.time_or("time", state.deps.clock.now_ms())?;
    let options = options(&state, asker, &params)?;
    let text = params.get("query").to_owned();
    if params.flag("explain")? {
        return explained(&state, tenant, text, When::Instant { time_ms }, options).await;
    }
    let result = evaluate(&state, tenant, text, When::Instant { time_ms }, options).await?;
    Ok(finish(&params, limit, result))
}

/// What is asked of a range query.
struct Range {
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
}

impl Range {
    fn when(&self) -> When {
        When::Range { start_ms: self.start_ms, end_ms: self.end_ms, step_ms: self.step_ms }
    }

    fn from_params(params: &Params, points_max: u64) -> Result<Self, ApiError> {
        let start_ms = params.time("start")?;
        let end_ms = params.time("end")?;
        if end_ms < start_ms {
            return Err(ApiError::invalid_parameter("end", "end timestamp must not be before start time"));
        }
        let step_ms = params.duration_ms("step")?;
        if step_ms <= 0 {
            let fault =
                "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ApiError::invalid_parameter("step", fault));
        }
        let points = (i128::from(end_ms) - i128::from(start_ms)) / i128::from(step_ms);
        if points > i128::from(points_max) {
            return Err(ApiError::bad_data(format!(
                "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution \
                 (?step=XX), which asks for {points}, or raising query.max_points",
                with_commas(points_max)
            )));
        }
        Ok(Self { start_ms, end_ms, step_ms })
    }
}

/// `/api/v1/query_cost`: what a query would cost; a range query if `start` is given.
pub(crate) async fn query_cost(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    params: Params,
) -> Result<Response, ApiError> {
    let when = if params.get("start").is_empty() {
        When::Instant { time_ms: params.time_or("time", state.deps.clock.now_ms())? }
    } else {
        let points_max = state.deps.engine.settings().limits_of(&tenant).points_max;
        Range::from_params(&params, points_max)?.when()
    };
    let options = options(&state, asker, &params)?;
    let (cost, plan) = explain(&state, tenant.clone(), params.get("query").to_owned(), when, options).await?;
    let limits = state.deps.engine.settings().limits_of(&tenant).clone();
    let memory_bytes_max = state.deps.engine.memory_bytes_max(&limits);
    Ok(success(|out| write_tree(out, &cost_tree(&cost, &plan, &limits, memory_bytes_max))))
}

async fn explain(
    state: &Arc<State>,
    tenant: TenantId,
    text: String,
    when: When,
    options: QueryOptions,
) -> Result<(Cost, PlanNode), ApiError> {
    let there = Arc::clone(state);
    let work = move || {
        let querier = there.backends()?.querier.as_ref();
        Ok(there.deps.engine.explain(querier, &tenant, &text, when, &options)?)
    };
    blocking(state, cancel_after(state, None), work).await?
}

/// The plan in the place of the result: nothing is evaluated.
async fn explained(
    state: &Arc<State>,
    tenant: TenantId,
    text: String,
    when: When,
    options: QueryOptions,
) -> Result<Response, ApiError> {
    let result_type = if matches!(when, When::Range { .. }) { "matrix" } else { "vector" };
    let (_, plan) = explain(state, tenant, text, when, options).await?;
    let data = json!({"resultType": result_type, "result": [], "plan": plan_tree(&plan)});
    Ok(success(|out| write_tree(out, &data)))
}

/// 11000 to `11,000`.
fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(crate) async fn query_range(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let points_max = state.deps.engine.settings().limits_of(&tenant).points_max;
    let range = Range::from_params(&params, points_max)?;
    let options = options(&state, asker, &params)?;
    let text = params.get("query").to_owned();
    if params.flag("explain")? {
        return explained(&state, tenant, text, range.when(), options).await;
    }
    let result = evaluate(&state, tenant, text, range.when(), options).await?;
    Ok(finish(&params, limit, result))
}

fn options(state: &State, asker: Asker, params: &Params) -> Result<QueryOptions, ApiError> {
    let timeout = params.timeout()?;
    let class = asker.class(params)?;
    let lookback_ms = match params.get("lookback_delta") {
        "" => None,
        text => {
            let error = |e| ApiError::bad_data(format!("error parsing lookback delta duration: {e}"));
            // Zero and below mean the engine's own, as in Prometheus.
            Some(parse_api_duration_ms(text).map_err(error)?).filter(|ms| *ms > 0)
        }
    };
    let per_step_stats = params.get("stats") == "all";
    let (no_cache, trace) = (params.flag("nocache")?, params.flag("trace")?);
    let cancel = cancel_after(state, timeout);
    Ok(QueryOptions { lookback_ms, per_step_stats, cancel, no_cache, trace, class, origin: asker.origin })
}

fn finish(params: &Params, limit: usize, mut result: QueryResult) -> Response {
    if limit > 0 && truncate(&mut result.value, limit) {
        result.warnings.push(TRUNCATED.to_owned());
    }
    // The result holds its memory until the client has taken it.
    let with_stats = !params.get("stats").is_empty();
    respond(streamed(RenderResult::new(result, with_stats)))
}

/// Here if that costs less than asking another thread, else on a thread that may wait.
async fn evaluate(
    state: &Arc<State>,
    tenant: TenantId,
    text: String,
    when: When,
    options: QueryOptions,
) -> Result<QueryResult, ApiError> {
    let querier = state.backends()?.querier.as_ref();
    if let Some(answer) = state.deps.engine.at_once(querier, &tenant, &text, when, &options) {
        return Ok(answer?);
    }
    let (there, cancel) = (Arc::clone(state), options.cancel.clone());
    let work = move || {
        let querier = there.backends()?.querier.as_ref();
        Ok(there.deps.engine.evaluate(querier, &tenant, &text, when, &options)?)
    };
    blocking(state, cancel, work).await?
}

fn truncate(value: &mut Value, limit: usize) -> bool {
    match value {
        Value::Vector(samples) if samples.len() > limit => samples.truncate(limit),
        Value::Matrix(series) if series.len() > limit => series.truncate(limit),
        _ => return false,
    }
    true
}
