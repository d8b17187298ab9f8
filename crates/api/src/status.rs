//! `/api/v1/status/…`: how the process is.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use model::number::FloatFormat;

use crate::error::ApiError;
use crate::json::{write_int, write_key, write_number, write_string_html, write_uint};
use crate::params::{Params, format_time};
use crate::respond::success;
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};
use crate::{ReplayProgress, StatusView, TsdbStats};

/// The Prometheus whose API this is.
const PROMETHEUS_VERSION: &str = "3.14.0";

/// The longest list of `/status/tsdb`, whatever the client asks for.
const LIST_MAX: usize = 10_000;

/// Asks the status view on a blocking thread and writes what it says.
async fn answer(
    state: &Arc<State>,
    write: impl FnOnce(&dyn StatusView, &mut Vec<u8>) + Send + 'static,
) -> Result<Response, ApiError> {
    let status = Arc::clone(&state.deps.status);
    let work = move || {
        success(|out| {
            out.push(b'{');
            write(status.as_ref(), out);
            out.push(b'}');
        })
    };
    blocking(state, cancel_after(state, None), work).await
}

fn write_text(out: &mut Vec<u8>, key: &str, value: &str) {
    write_key(out, key);
    write_string_html(out, value);
}

fn write_count(out: &mut Vec<u8>, key: &str, value: u64) {
    write_key(out, key);
    write_uint(out, value);
}

pub(crate) async fn config(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    answer(&state, |status, out| write_text(out, "yaml", &status.config_yaml())).await
}

pub(crate) async fn flags(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    answer(&state, |status, out| {
        for (name, value) in status.flags() {
            write_text(out, &name, &value);
        }
    })
    .await
}

pub(crate) async fn runtime_info(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    let now_ms = state.deps.clock.now_ms();
    answer(&state, move |status, out| {
        let info = status.runtime_info();
        write_text(out, "startTime", &format_time(info.start_ms));
        write_text(out, "CWD", &info.working_directory);
        write_text(out, "hostname", &info.hostname);
        write_text(out, "serverTime", &format_time(now_ms));
        write_key(out, "reloadConfigSuccess");
        out.extend_from_slice(if info.reload_succeeded { b"true" } else { b"false" });
        write_text(out, "lastConfigTime", &format_time(info.last_config_ms));
        write_key(out, "corruptionCount");
        write_int(out, info.corruption_count);
        write_count(out, "goroutineCount", info.thread_count as u64);
        write_count(out, "GOMAXPROCS", info.processor_count as u64);
        write_key(out, "GOMEMLIMIT");
        write_int(out, i64::try_from(info.memory_limit_bytes).unwrap_or(i64::MAX));
        write_text(out, "GOGC", "");
        write_text(out, "GODEBUG", "");
        write_text(out, "storageRetention", &info.storage_retention);
    })
    .await
}

pub(crate) async fn build_info(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    answer(&state, |status, out| {
        let info = status.build_info();
        // Clients such as Grafana read from this what a server can do.
        write_text(out, "version", PROMETHEUS_VERSION);
        write_text(out, "revision", &info.revision);
        write_text(out, "branch", &info.branch);
        write_text(out, "buildUser", &info.build_user);
        write_text(out, "buildDate", &info.build_date);
        write_text(out, "goVersion", &info.compiler);
        write_text(out, "application", "Kymo");
        write_text(out, "kymoVersion", &info.version);
    })
    .await
}

pub(crate) async fn tsdb(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        "" => 10,
        text => match text.parse::<usize>() {
            Ok(limit) if limit >= 1 => limit.min(LIST_MAX),
            _ => return Err(ApiError::bad_data("limit must be a positive number")),
        },
    };
    let status = Arc::clone(&state.deps.status);
    let work = move || status.tsdb_stats(&tenant, limit);
    let stats = blocking(&state, cancel_after(&state, None), work).await??;
    Ok(success(|out| write_tsdb(out, &stats, limit)))
}

fn write_tsdb(out: &mut Vec<u8>, stats: &TsdbStats, limit: usize) {
    out.push(b'{');
    write_key(out, "headStats");
    out.push(b'{');
    write_count(out, "numSeries", stats.series_count);
    write_count(out, "numLabelPairs", stats.label_pair_count);
    write_count(out, "chunkCount", stats.chunk_count);
    // An empty head's range is the wrong way round in Prometheus too.
    write_key(out, "minTime");
    write_int(out, stats.min_time_ms.unwrap_or(i64::MAX));
    write_key(out, "maxTime");
    write_int(out, stats.max_time_ms.unwrap_or(i64::MIN));
    out.push(b'}');
    for (key, list) in [
        ("seriesCountByMetricName", &stats.series_count_by_metric_name),
        ("labelValueCountByLabelName", &stats.label_value_count_by_label_name),
        ("memoryInBytesByLabelName", &stats.memory_in_bytes_by_label_name),
        ("seriesCountByLabelValuePair", &stats.series_count_by_label_value_pair),
    ] {
        write_key(out, key);
        out.push(b'[');
        for (at, (name, value)) in list.iter().take(limit).enumerate() {
            out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
            write_text(out, "name", name);
            write_count(out, "value", *value);
            out.push(b'}');
        }
        out.push(b']');
    }
    out.push(b'}');
}

pub(crate) async fn wal_replay(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    answer(&state, |status, out| write_replay(out, status.replay_progress())).await
}

fn write_replay(out: &mut Vec<u8>, replay: ReplayProgress) {
    write_count(out, "min", replay.min);
    write_count(out, "max", replay.max);
    write_count(out, "current", replay.current);
}

/// Kymo's own: what its status page shows beside the above. Answered while storage is opening, too.
pub(crate) async fn kymo(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    let (ready, uptime) = (state.is_ready(), state.uptime());
    let listening = state.settings.listen.clone();
    answer(&state, move |status, out| {
        write_text(out, "version", &status.build_info().version);
        write_text(out, "startTime", &format_time(status.runtime_info().start_ms));
        write_key(out, "uptimeSeconds");
        write_number(out, uptime.as_secs_f64(), FloatFormat::Json);
        write_key(out, "ready");
        out.extend_from_slice(if ready { b"true" } else { b"false" });
        write_text(out, "listen", &listening);
        write_key(out, "replay");
        out.push(b'{');
        write_replay(out, status.replay_progress());
        out.push(b'}');
        write_memory(out, status);
        write_storage(out, status);
    })
    .await
}

fn write_memory(out: &mut Vec<u8>, status: &dyn StatusView) {
    write_key(out, "memory");
    out.push(b'[');
    for (at, share) in status.memory().iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
        write_text(out, "consumer", &share.consumer);
        write_count(out, "usedBytes", share.used_bytes);
        write_count(out, "peakBytes", share.peak_bytes);
        write_count(out, "limitBytes", share.limit_bytes);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_storage(out: &mut Vec<u8>, status: &dyn StatusView) {
    let info = status.storage_info();
    let write_optional = |out: &mut Vec<u8>, key, value: Option<i64>| {
        write_key(out, key);
        match value {
            Some(value) => write_int(out, value),
            None => out.extend_from_slice(b"null"),
        }
    };
    write_key(out, "storage");
    out.push(b'{');
    write_count(out, "tenants", info.tenant_count);
    write_count(out, "headSeries", info.head_series_count);
    write_count(out, "headSamples", info.head_sample_count);
    write_count(out, "headBytes", info.head_bytes);
    write_count(out, "blocks", info.block_count);
    write_count(out, "blockBytes", info.block_bytes);
    write_optional(out, "blockMinTime", info.block_min_time_ms);
    write_optional(out, "blockMaxTime", info.block_max_time_ms);
    write_count(out, "journalSegments", info.journal_segment_count);
    write_count(out, "journalBytes", info.journal_bytes);
    write_optional(out, "retentionMs", info.retention_ms);
    out.push(b'}');
}
