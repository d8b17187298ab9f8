//! The table of paths, and what wraps every request.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, OriginalUri, Request, State as Extract};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, delete, get, post};
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};
use tower_http::compression::CompressionLayer;

use crate::error::{self, ApiError, ErrorType};
use crate::push::{self, datadog, import, influx, opentsdb, pushgateway};
use crate::state::State;
use crate::{
    admin, alertmanager, alerts, export, features, federate, governance, metadata, parse_query, query,
    relabel_steps, remote_read, rules, search, series, status, storage_admin, targets, ui, write,
};

const ADMIN_PATH: &str = "/api/v1/admin/";
const ADMIN_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

pub(crate) fn router(state: &Arc<State>) -> Router {
    Router::new()
        .nest("/api/v1", api(state))
        .nest("/api/v2", alertmanager::routes().layer(axum::middleware::from_fn(allow_origin)))
        .nest("/alertmanager/api/v2", alertmanager::routes().layer(axum::middleware::from_fn(allow_origin)))
        .route("/federate", get(federate::federate))
        .route("/metrics", get(admin::metrics))
        .route("/-/healthy", get(admin::healthy))
        .route("/-/ready", get(admin::ready))
        .route("/-/reload", post(admin::reload).put(admin::reload))
        .route("/-/quit", post(admin::quit).put(admin::quit))
        .route("/otlp/v1/metrics", post(push::otlp::metrics))
        .route("/v1/metrics", post(push::otlp::metrics))
        .route("/graph", get(ui::graph))
        .merge(pushes())
        .merge(rules::stored::mimir_routes())
        .nest("/prometheus", rules::stored::mimir_routes())
        .fallback(ui::serve)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CompressionLayer::new().gzip(true).zstd(true))
        .layer(from_fn_with_state(Arc::clone(state), observe))
        .with_state(Arc::clone(state))
}

/// Where other systems' clients push, at the paths they know.
fn pushes() -> Router<Arc<State>> {
    Router::new()
        .route("/write", post(influx::write))
        .route("/influx/write", post(influx::write))
        .route("/api/v2/write", post(influx::write))
        .route("/influx/api/v2/write", post(influx::write))
        .route("/query", post(influx::query))
        .route("/influx/query", get_or_post(influx::query))
        .route("/ping", get(influx::ping))
        .route("/influx/ping", get(influx::ping))
        .route("/health", get(influx::health))
        .route("/influx/health", get(influx::health))
        .route("/datadog/api/v1/series", post(datadog::series))
        .route("/datadog/api/v2/series", post(datadog::series))
        .route("/datadog/api/beta/sketches", post(datadog::sketches))
        .route("/datadog/api/v1/validate", get(datadog::validate))
        .route("/datadog/api/v1/check_run", post(datadog::ignore))
        .route("/datadog/api/v1/events", post(datadog::ignore))
        .route("/datadog/api/v1/metadata", post(datadog::ignore))
        .route("/datadog/intake", post(datadog::ignore))
        .route("/datadog/intake/", post(datadog::ignore))
        .route("/api/put", post(opentsdb::put))
        .route("/metrics/{*group}", post_or_put(pushgateway::group).delete(pushgateway::group))
        .route("/opentsdb/api/put", post(opentsdb::put))
}

fn api(state: &Arc<State>) -> Router<Arc<State>> {
    let ready = Router::new()
        .route("/query", get_or_post(query::query))
        .route("/query_cost", get_or_post(query::query_cost))
        .route("/query_range", get_or_post(query::query_range))
        .route("/query_exemplars", get_or_post(metadata::query_exemplars))
        .route("/format_query", get_or_post(parse_query::format_query))
        .route("/parse_query", get_or_post(parse_query::parse_query))
        .route("/series", get_or_post(series::series))
        .route("/labels", get_or_post(series::label_names))
        .route("/label/{name}/values", get(series::label_values))
        .route("/metadata", get(metadata::metric_metadata))
        .route("/targets", get(targets::targets))
        .route("/targets/relabel_steps", get(relabel_steps::relabel_steps))
        .route("/targets/metadata", get(metadata::target_metadata))
        .route("/scrape_pools", get(targets::scrape_pools))
        .route("/rules", get(rules::rules))
        .route("/rules/evaluations", get(rules::evaluations::evaluations))
        .route("/rules/backtest", post(rules::backtest::backtest))
        .route("/rules/backfill", post(rules::backfill::backfill))
        .route("/alerts", get(rules::alerts))
        .route("/alertmanagers", get(rules::alertmanagers))
        .route("/status/config", get(status::config))
        .route("/status/flags", get(status::flags))
        .route("/status/runtimeinfo", get(status::runtime_info))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/tsdb", get(status::tsdb))
        .route("/status/active_queries", get(governance::active_queries))
        .route("/status/active_queries/{id}", delete(governance::kill))
        .route("/status/top_queries", get(governance::top_queries))
        .route("/status/push_sources", get(push::push_sources))
        .route("/otlp/v1/metrics", post(push::otlp::metrics))
        .route("/write", post(write::write).get(write::handshake))
        .route("/influx/write", post(influx::write))
        .route("/metrics", get(pushgateway::metrics))
        .route("/admin/wipe", post_or_put(pushgateway::wipe))
        .route("/import", post(import::json_lines))
        .route("/import/json", post(import::json))
        .route("/import/csv", post(import::csv))
        .route("/import/prometheus", post_or_put(import::prometheus))
        .route("/import/graphite", post(import::graphite))
        .route("/import/native", post(push::native::import))
        .route("/export", get_or_post(export::json_lines))
        .route("/export/csv", get_or_post(export::csv))
        .route("/export/native", get_or_post(export::native))
        .route("/read", post(remote_read::read))
        .route("/search/metric_names", get_or_post(search::metric_names))
        .route("/search/label_names", get_or_post(search::label_names))
        .route("/search/label_values", get_or_post(search::label_values))
        .route("/features", get(features::features))
        .route("/admin/tsdb/delete_series", post_or_put(storage_admin::delete_series))
        .route("/admin/tsdb/clean_tombstones", post_or_put(storage_admin::clean_tombstones))
        .route("/admin/tsdb/snapshot", post_or_put(storage_admin::snapshot))
        .route("/admin/tsdb/compact", post_or_put(storage_admin::compact))
        .merge(rules::stored::own_routes())
        .route_layer(from_fn_with_state(Arc::clone(state), require_ready));
    // What is worth knowing while storage is opening.
    let always = Router::new()
        .route("/status/walreplay", get(status::wal_replay))
        .route("/status/kymo", get(status::kymo));
    ready
        .merge(always)
        .merge(alertmanager::own_routes())
        .merge(alerts::routes())
        .route("/{*path}", any(no_such_endpoint))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(allow_origin))
}

fn get_or_post<H, T>(handler: H) -> MethodRouter<Arc<State>>
where
    H: Handler<T, Arc<State>>,
    T: 'static,
{
    get(handler.clone()).post(handler)
}

fn post_or_put<H, T>(handler: H) -> MethodRouter<Arc<State>>
where
    H: Handler<T, Arc<State>>,
    T: 'static,
{
    post(handler.clone()).put(handler)
}

async fn require_ready(Extract(state): Extract<Arc<State>>, request: Request, next: Next) -> Response {
    match state.backends() {
        Ok(_) => next.run(request).await,
        Err(not_ready) => not_ready.into_response(),
    }
}

/// Prometheus' answer to browsers of other origins, with its default `--web.cors.origin`.
async fn allow_origin(request: Request, next: Next) -> Response {
    let has_origin = request.headers().contains_key(header::ORIGIN);
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    if has_origin {
        let headers = response.headers_mut();
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
            (header::VARY, "Origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

async fn no_such_endpoint(OriginalUri(uri): OriginalUri, method: Method) -> Response {
    ui::no_such_endpoint(&method, uri.path())
}

async fn method_not_allowed(OriginalUri(uri): OriginalUri, method: Method) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") {
        let message = format!("{path} does not take {method}");
        return ApiError::new(ErrorType::MethodNotAllowed, message).into_response();
    }
    let message =
        if path.starts_with("/-/") { "Only POST or PUT requests allowed" } else { "Method Not Allowed" };
    error::text(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// Counts and times every request, and turns what must not happen into an answer: a panic, a request without end.
async fn observe(Extract(state): Extract<Arc<State>>, request: Request, next: Next) -> Response {
    let handler = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).map(str::to_owned);
    let handler = handler.filter(|path| !path.contains("{*")).unwrap_or_else(|| "other".to_owned());
    let mut counted = Counted { started: state.deps.clock.monotonic(), state, handler, status: None };
    // Deletes, compactions, bulk imports, backtests and backfills take as long as the data is large.
    let is_large = counted.handler.starts_with(ADMIN_PATH)
        || ["/import/native", "/rules/backtest", "/rules/backfill"]
            .iter()
            .any(|path| counted.handler.ends_with(path));
    let timeout = if is_large { ADMIN_TIMEOUT } else { counted.state.settings.request_timeout };
    let limited = tokio::time::timeout(timeout, next.run(request));
    let response = match AssertUnwindSafe(limited).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => ApiError::new(ErrorType::Timeout, "the request ran out of time").into_response(),
        Err(_) => {
            counted.state.metrics.panics.inc();
            tracing::error!(handler = counted.handler, "a handler panicked");
            ApiError::new(ErrorType::Internal, "internal error; the log has more").into_response()
        }
    };
    counted.status = Some(response.status());
    response
}

/// Counts a request when it is dropped, so that one whose client went away is counted, too: as 499.
struct Counted {
    state: Arc<State>,
    handler: String,
    started: Duration,
    status: Option<StatusCode>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let metrics = &self.state.metrics;
        let code = self.status.as_ref().map_or("499", StatusCode::as_str);
        metrics.requests.with_label_values(&[self.handler.as_str(), code]).inc();
        let elapsed = self.state.deps.clock.monotonic().saturating_sub(self.started);
        metrics.request_duration.with_label_values(&[self.handler.as_str()]).observe(elapsed.as_secs_f64());
    }
}
