//! Which queries run, what they cost, and the means to end one: `/api/v1/status/active_queries` and `top_queries`.
//!
//! A tenant sees its own queries. With `--enable-admin-api`, `all_tenants=1` shows those of all.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use model::TenantId;
use promql::{ActiveQuery, RangeTimes, TopBy, TopQuery};
use serde_json::{Value, json};

use crate::error::{ApiError, ErrorType};
use crate::json::write_tree;
use crate::params::{Params, format_time};
use crate::respond::success;
use crate::state::State;
use crate::tenancy::Tenant;

/// Entries of `top_queries` if nothing is said.
const TOP_LIMIT: usize = 20;

/// Whose queries are meant; `None` for all.
pub(crate) fn concerned<'a>(
    state: &State,
    tenant: &'a TenantId,
    params: &Params,
) -> Result<Option<&'a TenantId>, ApiError> {
    match params.flag("all_tenants")? {
        false => Ok(Some(tenant)),
        true if state.settings.allow_admin => Ok(None),
        true => Err(ApiError::forbidden("all_tenants needs a server started with --enable-admin-api")),
    }
}

pub(crate) async fn active_queries(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let concerned = concerned(&state, &tenant, &params)?;
    let now_ms = state.deps.clock.now_ms();
    let active = state.deps.engine.active_queries(concerned);
    let list: Vec<Value> = active.iter().map(|query| active_query(query, now_ms)).collect();
    Ok(success(|out| write_tree(out, &Value::from(list))))
}

pub(crate) async fn kill(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let concerned = concerned(&state, &tenant, &params)?;
    let id: u64 = id.parse().map_err(|_| ApiError::bad_data(format!("{id:?} is not the id of a query")))?;
    let Some(killed) = state.deps.engine.kill(concerned, id) else {
        let message = format!("no query {id} runs; it may have ended");
        return Err(ApiError::new(ErrorType::NotFound, message));
    };
    tracing::info!(id, query = &*killed.query, tenant = killed.tenant.as_str(), "a query is killed");
    let now_ms = state.deps.clock.now_ms();
    Ok(success(|out| write_tree(out, &active_query(&killed, now_ms))))
}

pub(crate) async fn top_queries(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let concerned = concerned(&state, &tenant, &params)?;
    let by = match params.get("by") {
        "" | "time" => TopBy::Time,
        "count" => TopBy::Count,
        "memory" => TopBy::Memory,
        _ => return Err(ApiError::invalid_parameter("by", "write time, count or memory")),
    };
    let limit = match params.limit()? {
        0 => TOP_LIMIT,
        limit => limit,
    };
    let top = state.deps.engine.top_queries(concerned, by, limit);
    let list: Vec<Value> = top.iter().map(top_query).collect();
    Ok(success(|out| write_tree(out, &Value::from(list))))
}

fn active_query(query: &ActiveQuery, now_ms: i64) -> Value {
    let age_ms = i64::try_from(query.age.as_millis()).unwrap_or(i64::MAX);
    let mut object = json!({
        "id": query.id,
        "tenant": query.tenant.as_str(),
        "query": &*query.query,
        "kind": kind(query.range.is_some()),
        "class": query.class.as_str(),
        "state": if query.is_waiting { "waiting" } else { "running" },
        "user": query.origin.user,
        "source": query.origin.source,
        "startTime": format_time(now_ms.saturating_sub(age_ms)),
        "ageSeconds": query.age.as_secs_f64(),
        "memoryBytes": query.memory_bytes,
        "memoryPeakBytes": query.memory_peak_bytes,
        "seriesSelected": query.series_selected,
        "seriesRead": query.series_read,
        "samplesRead": query.samples_read,
    });
    if let Some(RangeTimes { start_ms, end_ms, step_ms }) = query.range {
        object["range"] = json!({
            "start": start_ms as f64 / 1_000.0,
            "end": end_ms as f64 / 1_000.0,
            "step": step_ms as f64 / 1_000.0,
        });
    }
    object
}

fn top_query(query: &TopQuery) -> Value {
    json!({
        "tenant": query.tenant.as_str(),
        "query": &*query.query,
        "kind": kind(query.is_range),
        "class": query.class.as_str(),
        "count": query.count,
        "errors": query.error_count,
        "totalSeconds": query.total.as_secs_f64(),
        "maxSeconds": query.longest.as_secs_f64(),
        "memoryPeakBytes": query.memory_peak_bytes,
        "samplesRead": query.samples_read,
    })
}

fn kind(is_range: bool) -> &'static str {
    if is_range { "range" } else { "instant" }
}
