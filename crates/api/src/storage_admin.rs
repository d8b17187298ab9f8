//! `/api/v1/admin/tsdb/…`: deletes, snapshots, full compactions.
//!
//! What can lose data, or fill the disk, is refused unless it was switched on, in Prometheus' words. A full compaction loses nothing, so it
//! is always there.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use stdx::cancel::Cancel;

use crate::deps::StorageAdmin;
use crate::error::ApiError;
use crate::json::write_string_html;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, Params, quoted};
use crate::respond::success;
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::blocking;

/// Runs `work` however long it takes: giving it up half-way would help nobody.
async fn administer<T: Send + 'static>(
    state: &Arc<State>,
    work: impl FnOnce(&dyn StorageAdmin) -> Result<T, storage::Error> + Send + 'static,
) -> Result<T, ApiError> {
    let admin = Arc::clone(&state.backends()?.admin);
    Ok(blocking(state, Cancel::never(), move || work(&*admin)).await??)
}

fn check_allowed(state: &State) -> Result<(), ApiError> {
    if state.settings.allow_admin { Ok(()) } else { Err(ApiError::forbidden("admin APIs disabled")) }
}

pub(crate) async fn delete_series(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    check_allowed(&state)?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let start_ms = params.time_or("start", MIN_TIME_MS)?;
    let end_ms = params.time_or("end", MAX_TIME_MS)?;
    let sets = params.matcher_sets().map_err(|e| ApiError::invalid_parameter("match[]", e))?;
    administer(&state, move |admin| admin.delete_series(&tenant, &sets, start_ms, end_ms)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn clean_tombstones(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    check_allowed(&state)?;
    administer(&state, |admin| admin.clean_tombstones()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn snapshot(
    Extract(state): Extract<Arc<State>>,
    params: Params,
) -> Result<Response, ApiError> {
    check_allowed(&state)?;
    let skip_head = match params.get("skip_head") {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
        text => {
            let text = quoted(text);
            let fault = format!("unable to parse boolean: strconv.ParseBool: parsing {text}: invalid syntax");
            return Err(ApiError::invalid_parameter("skip_head", fault));
        }
    };
    let name = administer(&state, move |admin| admin.snapshot(skip_head)).await?;
    Ok(success(|out| {
        out.extend_from_slice(b"{\"name\":");
        write_string_html(out, &name);
        out.push(b'}');
    }))
}

pub(crate) async fn compact(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    let done = administer(&state, |admin| admin.compact()).await?;
    Ok(success(|out| {
        let text = format!(
            "{{\"blocksBefore\":{},\"blocksAfter\":{},\"blockBytesBefore\":{},\"blockBytesAfter\":{},\
             \"journalBytesBefore\":{},\"journalBytesAfter\":{},\"blockSamples\":{},\"seconds\":{:.3}}}",
            done.block_count.0,
            done.block_count.1,
            done.block_bytes.0,
            done.block_bytes.1,
            done.journal_bytes.0,
            done.journal_bytes.1,
            done.sample_count,
            done.took.as_secs_f64(),
        );
        out.extend_from_slice(text.as_bytes());
    }))
}
