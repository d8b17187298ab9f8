//! `/api/v1/metadata`, `/api/v1/targets/metadata` and `/api/v1/query_exemplars`.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use model::{Labels, METRIC_NAME, Matcher, Metadata, TenantId};
use promql::ast::{Expr, ExprKind};
use storage::{LabelRequest, QueryContext, SeriesExemplars};

use crate::error::ApiError;
use crate::json::{write_key, write_labels, write_string_html, write_timestamp, write_value};
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, Params, parse_matchers};
use crate::respond::{Annotations, success, success_list};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

pub(crate) async fn metric_metadata(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.plain_limit("limit")?.unwrap_or(usize::MAX);
    let limit_per_metric = params.plain_limit("limit_per_metric")?.filter(|n| *n > 0).unwrap_or(usize::MAX);
    let metric = Some(params.get("metric").to_owned()).filter(|metric| !metric.is_empty());
    let work = {
        let state = Arc::clone(&state);
        move || Ok::<_, ApiError>(state.backends()?.querier.metadata(&tenant, metric.as_deref())?)
    };
    let families = blocking(&state, cancel_after(&state, None), work).await??;
    Ok(success(|out| {
        out.push(b'{');
        for (name, known) in families.iter().filter(|(_, known)| !known.is_empty()).take(limit) {
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            write_string_html(out, name);
            out.push(b':');
            for (at, metadata) in known.iter().take(limit_per_metric).enumerate() {
                out.extend_from_slice(if at == 0 { b"[{" } else { b",{" });
                write_metadata(out, metadata);
                out.push(b'}');
            }
            out.push(b']');
        }
        out.push(b'}');
    }))
}

fn write_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    for (key, value) in
        [("type", metadata.metric_type.as_str()), ("help", &metadata.help), ("unit", &metadata.unit)]
    {
        write_key(out, key);
        write_string_html(out, value);
    }
}

/// One family of one target.
struct TargetMetadata {
    target: Labels,
    /// `None` if the client named the metric.
    metric: Option<String>,
    metadata: Metadata,
}

/// Storage knows metadata by metric, not by target: a family is a target's if the target has a series of it.
pub(crate) async fn target_metadata(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.plain_limit("limit")?.unwrap_or(usize::MAX);
    let matchers = match params.get("match_target") {
        "" => Vec::new(),
        text => parse_matchers(text).map_err(|e| ApiError::invalid_parameter("match_target", e))?,
    };
    let metric = Some(params.get("metric").to_owned()).filter(|metric| !metric.is_empty());
    let cancel = cancel_after(&state, None);
    let context = QueryContext { budget: Arc::clone(&state.deps.budget), cancel: cancel.clone() };
    let work = {
        let state = Arc::clone(&state);
        move || find_target_metadata(&state, &tenant, &matchers, metric.as_deref(), limit, &context)
    };
    let found = blocking(&state, cancel, work).await??;
    Ok(success_list(found, Annotations::default(), |out, item| {
        out.push(b'{');
        write_key(out, "target");
        write_labels(out, &item.target);
        if let Some(metric) = &item.metric {
            write_key(out, "metric");
            write_string_html(out, metric);
        }
        write_metadata(out, &item.metadata);
        out.push(b'}');
    }))
}

fn find_target_metadata(
    state: &State,
    tenant: &TenantId,
    matchers: &[Matcher],
    metric: Option<&str>,
    limit: usize,
    context: &QueryContext,
) -> Result<Vec<TargetMetadata>, ApiError> {
    let backends = state.backends()?;
    let families = backends.querier.metadata(tenant, metric)?;
    let mut found = Vec::new();
    for target in backends.targets.active() {
        if found.len() >= limit {
            break;
        }
        if !model::matcher::matches_all(matchers, &target.labels) {
            continue;
        }
        let names = names_of_target(state, tenant, &target.labels, context)?;
        for (family, known) in &families {
            let Some(metadata) = known.first().filter(|_| has_family(&names, family)) else { continue };
            let named = metric.is_none().then(|| family.clone());
            found.push(TargetMetadata {
                target: target.labels.clone(),
                metric: named,
                metadata: metadata.clone(),
            });
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// Names of the metrics that carry all labels of a target and had samples lately.
fn names_of_target(
    state: &State,
    tenant: &TenantId,
    target: &Labels,
    context: &QueryContext,
) -> Result<HashSet<String>, ApiError> {
    const LATELY_MS: i64 = 3_600_000;
    let now_ms = state.deps.clock.now_ms();
    let matchers: Vec<Matcher> = target.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
    let request = LabelRequest {
        matcher_sets: &[matchers],
        start_ms: now_ms.saturating_sub(LATELY_MS),
        end_ms: now_ms,
        limit: 0,
    };
    let names = state.backends()?.querier.label_values(tenant, METRIC_NAME, &request, context)?;
    Ok(names.into_iter().collect())
}

/// Whether series of these names belong to a family, whose name has no suffix.
fn has_family(names: &HashSet<String>, family: &str) -> bool {
    const SUFFIXES: [&str; 6] = ["", "_total", "_count", "_sum", "_bucket", "_info"];
    SUFFIXES.iter().any(|suffix| names.contains(&format!("{family}{suffix}")))
}

pub(crate) async fn query_exemplars(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let start_ms = params.time_or("start", MIN_TIME_MS)?;
    let end_ms = params.time_or("end", MAX_TIME_MS)?;
    if end_ms < start_ms {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = promql::parser::parse(params.get("query"))
        .map_err(|faults| ApiError::bad_data(promql::QueryError::Parse(faults).to_string()))?;
    let mut selectors = Vec::new();
    collect_selectors(&expr, &mut selectors);
    if selectors.is_empty() {
        // As Prometheus: nothing was selected, which is not an empty list.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let work = {
        let state = Arc::clone(&state);
        move || Ok::<_, ApiError>(state.backends()?.querier.exemplars(&tenant, &selectors, start_ms, end_ms)?)
    };
    let found = blocking(&state, cancel_after(&state, None), work).await??;
    Ok(success_list(found, Annotations::default(), write_exemplars))
}

/// The matchers of every selector in an expression.
fn collect_selectors(expr: &Expr, into: &mut Vec<Vec<Matcher>>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Duration(_) | ExprKind::String(_) => {}
        ExprKind::VectorSelector(selector) => into.push(selector.matchers.clone()),
        ExprKind::MatrixSelector(matrix) => into.push(matrix.selector.matchers.clone()),
        ExprKind::Subquery(subquery) => collect_selectors(&subquery.expr, into),
        ExprKind::Unary(_, inner) | ExprKind::Paren(inner) => collect_selectors(inner, into),
        ExprKind::Binary(binary) => {
            collect_selectors(&binary.lhs, into);
            collect_selectors(&binary.rhs, into);
        }
        ExprKind::Aggregate(aggregate) => {
            collect_selectors(&aggregate.expr, into);
            if let Some(param) = &aggregate.param {
                collect_selectors(param, into);
            }
        }
        ExprKind::Call(call) => call.args.iter().for_each(|arg| collect_selectors(arg, into)),
    }
}

fn write_exemplars(out: &mut Vec<u8>, item: &SeriesExemplars) {
    out.push(b'{');
    write_key(out, "seriesLabels");
    write_labels(out, &item.labels);
    write_key(out, "exemplars");
    out.push(b'[');
    for (at, exemplar) in item.exemplars.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
        write_key(out, "labels");
        write_labels(out, &exemplar.labels);
        write_key(out, "value");
        write_value(out, exemplar.value);
        write_key(out, "timestamp");
        write_timestamp(out, exemplar.timestamp_ms.unwrap_or_default());
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}
