//! Text pushes in the Pushgateway's API: jobs that end before they could be scraped leave their metrics here.
//!
//! Map: here the endpoints · `groups` what was pushed, under its grouping labels · `state` the same on disk · `families` a body taken apart.
//!
//! As the Pushgateway: `PUT` replaces a group, `POST` replaces the metrics of the same names in it, `DELETE` ends it, and what was pushed is
//! a sample again at each interval, as if it were scraped with `honor_labels`. A body that is inconsistent is refused as a whole. What Kymo
//! adds: samples are written at once, too; groups can have a time to live (`?ttl=1h`, or the setting), and counters can be added
//! up instead of replaced (`?sum_counters=1`): such a push is taken once it is in its group, so that nobody pushes again what is counted.

mod families;
mod groups;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{OriginalUri, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::{Method, StatusCode, header};
use model::labels::is_legacy_label_name;
use model::time::parse_duration_ms;
use model::{Labels, LabelsBuilder};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) use groups::Groups;
pub(crate) use state::StateFiles;

use super::{Arrival, Filling, Noticed, Protocol, Source, receive, store};
use crate::error::{self, ApiError, json_response};
use crate::params::{Params, decode, format_time};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};
use families::BodyFormat;
use groups::{GroupKey, Push};

/// `/metrics/job/JOB{/LABEL/VALUE}`.
pub(crate) async fn group(
    Extract(state): Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let done = async {
        let params = Params::of_query(uri.query().unwrap_or(""))?;
        let labels = grouping_labels(uri.path()).map_err(ApiError::bad_data)?;
        let key = GroupKey { tenant: tenant?.0, labels };
        match *request.method() {
            Method::DELETE => delete(&state, key).await,
            Method::PUT => push(&state, key, &params, request, true).await,
            _ => push(&state, key, &params, request, false).await,
        }
    };
    done.await.unwrap_or_else(ApiError::into_text)
}

async fn push(
    state: &Arc<State>,
    key: GroupKey,
    params: &Params,
    request: Request,
    replaces_all: bool,
) -> Result<Response, ApiError> {
    let ttl_ms = match params.get("ttl") {
        "" => {
            state.settings.push.pushgateway.ttl.map(|ttl| i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
        }
        text => {
            let ttl_ms = parse_duration_ms(text).map_err(|e| ApiError::invalid_parameter("ttl", e))?;
            (ttl_ms > 0).then_some(ttl_ms)
        }
    };
    let sums_counters = params.flag("sum_counters")?;
    let content_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let format = BodyFormat::of(content_type);
    let arrival = Arrival::new(Protocol::Pushgateway, key.tenant.clone());
    let groups = Arc::clone(&state.groups);
    let failed_key = key.clone();
    let is_counted = Arc::new(AtomicBool::new(false));
    let counted = Arc::clone(&is_counted);
    let fill = move |filling: &mut Filling<'_>| {
        let families = families::parse(&filling.body, format, &key.labels)?;
        let push = Push { families, replaces_all, sums_counters, ttl_ms, now_ms: filling.now_ms };
        groups.push(&key, push, filling.batch)?;
        counted.store(sums_counters, Ordering::Relaxed);
        Ok(())
    };
    let received = receive(state, arrival, request, fill).await;
    if let Err(error) = &received
        && is_counted.load(Ordering::Relaxed)
    {
        // The group has it, on disk, and is a sample again at the next interval. Whoever was told to push again would count twice.
        tracing::warn!(error = error.message(), "counters were added up, and are written to storage later");
        return Ok(StatusCode::OK.into_response());
    }
    if let Err(error) = &received
        && error.status() == StatusCode::BAD_REQUEST
    {
        let (groups, now_ms) = (Arc::clone(&state.groups), state.deps.clock.now_ms());
        blocking(state, cancel_after(state, None), move || groups.note_failure(&failed_key, now_ms)).await?;
    }
    let received = received?;
    if received.refusals.is_empty() {
        return Ok(StatusCode::OK.into_response());
    }
    Ok(error::text(StatusCode::BAD_REQUEST, &received.refusals.into_text()))
}

async fn delete(state: &Arc<State>, key: GroupKey) -> Result<Response, ApiError> {
    state.backends()?;
    let work = {
        let state = Arc::clone(state);
        move || {
            let mut batch = state.intake.take_batch();
            let now_ms = state.deps.clock.now_ms();
            let deleted = state.groups.delete(&key, now_ms, &mut batch).and_then(|()| {
                let source = Source::of_listener(Protocol::Pushgateway, key.tenant.clone());
                store(&state, &key.tenant, source, &mut batch, Noticed::default())
            });
            state.intake.give_back(batch);
            deleted
        }
    };
    blocking(state, cancel_after(state, None), work).await??;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `PUT /api/v1/admin/wipe`: ends all groups of the tenant.
pub(crate) async fn wipe(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
) -> Result<Response, ApiError> {
    if !state.settings.allow_admin {
        return Err(ApiError::forbidden("wiping needs a server started with --enable-admin-api"));
    }
    for key in state.groups.keys(&tenant) {
        delete(&state, key).await?;
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `GET /api/v1/metrics`: all groups with what is in them, in the Pushgateway's shape.
pub(crate) async fn metrics(Extract(state): Extract<Arc<State>>, Tenant(tenant): Tenant) -> Response {
    let groups = state.groups.describe(&tenant, |group| {
        let mut tree = json!({
            "labels": labels_json(group.labels.iter()),
            "last_push_successful": group.push_ms >= group.failure_ms,
            "push_time_seconds": own_metric("Last Unix time when changing this group in the Pushgateway succeeded.", group.push_ms),
            "push_failure_time_seconds":
                own_metric("Last Unix time when changing this group in the Pushgateway failed.", group.failure_ms),
        });
        for (name, family) in group.families {
            let metrics: Vec<Value> = family
                .samples
                .iter()
                .map(|(labels, value)| {
                    let own = labels.iter().filter(|(name, _)| *name != model::METRIC_NAME);
                    json!({"labels": labels_json(own), "name": labels.metric_name(), "value": number(*value)})
                })
                .collect();
            tree[name] = json!({
                "time_stamp": format_time(family.pushed_ms),
                "type": family.metadata.metric_type.as_str().to_ascii_uppercase(),
                "help": family.metadata.help,
                "metrics": metrics,
            });
        }
        tree
    });
    json_response(StatusCode::OK, &json!({"status": "success", "data": groups}))
}

fn own_metric(help: &str, time_ms: i64) -> Value {
    let value = number(time_ms as f64 / 1000.0);
    json!({"type": "GAUGE", "help": help, "metrics": [{"labels": {}, "value": value}]})
}

fn number(value: f64) -> String {
    model::number::format_float_as(value, model::number::FloatFormat::Json)
}

fn labels_json<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    labels
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The labels that a path names: `/metrics/job/JOB{/LABEL/VALUE}`, each name perhaps with `@base64`.
fn grouping_labels(path: &str) -> Result<Labels, String> {
    let rest = path.strip_prefix("/metrics/").unwrap_or(path);
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    let mut builder = LabelsBuilder::new();
    let (pairs, left) = parts.as_chunks::<2>();
    if !left.is_empty() {
        return Err(format!("odd number of components in label string {:?}", format!("/{rest}")));
    }
    for (at, [name, value]) in pairs.iter().enumerate() {
        let name = decode(&name.replace('+', "%2B"))?;
        let value = decode(&value.replace('+', "%2B"))?;
        let (name, value) = match name.strip_suffix("@base64") {
            Some(name) => (name.to_owned(), decode_base64(&value)?),
            None => (name, value),
        };
        if (at == 0) != (name == "job") {
            return Err("the path must begin with /metrics/job/NAME, and have the job only there".to_owned());
        }
        if at == 0 && value.is_empty() {
            return Err("job name is required".to_owned());
        }
        if !is_legacy_label_name(&name) || name.starts_with("__") {
            return Err(format!("improper label name {name:?}"));
        }
        builder.set(&name, &value);
    }
    Ok(builder.build())
}

fn decode_base64(text: &str) -> Result<String, String> {
    let bare = text.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(bare).or_else(|_| STANDARD_NO_PAD.decode(bare));
    let bytes = bytes.map_err(|error| format!("invalid base64 encoding in label value {text:?}: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("label value {text:?} is not UTF-8"))
}

/// Writes the samples of all groups again at each interval, and ends those whose time is over.
pub(crate) async fn expose_regularly(state: Arc<State>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(state.settings.push.pushgateway.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    tokio::select! {
        () = stop.cancelled() => return,
        () = state.opened.cancelled() => {}
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let state = Arc::clone(&state);
        if let Err(error) = tokio::task::spawn_blocking(move || expose(&state)).await {
            tracing::error!(%error, "writing pushed groups panicked");
        }
    }
}

fn expose(state: &State) {
    let now_ms = state.deps.clock.now_ms();
    let mut batch = state.intake.take_batch();
    for tenant in state.groups.tenants() {
        state.groups.expose(&tenant, now_ms, &mut batch);
        let mut source = Source::of_listener(Protocol::Pushgateway, tenant.clone());
        "groups again".clone_into(&mut source.agent);
        if let Err(error) = store(state, &tenant, source, &mut batch, Noticed::default()) {
            tracing::warn!(error = error.message(), "pushed groups are not written this time");
        }
    }
    state.intake.give_back(batch);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, want: Result<&str, &str>) {
        match (grouping_labels(path), want) {
            (Ok(labels), Ok(want)) => assert_eq!(labels.to_string(), want),
            (Err(error), Err(want)) => assert!(error.contains(want), "{error}"),
            (got, want) => panic!("{path}: {got:?} instead of {want:?}"),
        }
    }

    #[test]
    fn paths_name_the_group() {
        check("/metrics/job/some_job", Ok(r#"{job="some_job"}"#));
        check("/metrics/job/a%2Fb+c/instance/x/", Ok(r#"{instance="x", job="a/b+c"}"#));
        check("/metrics/job@base64/c29tZS9qb2I", Ok(r#"{job="some/job"}"#));
        check("/metrics/job/a/path@base64/L3Zhci90bXA=", Ok(r#"{job="a", path="/var/tmp"}"#));
        check("/metrics/job/a/empty@base64/=", Ok(r#"{job="a"}"#));
        check("/metrics/job/a/name/%CE%A0", Ok("{job=\"a\", name=\"Π\"}"));
        check("/metrics/job/a/b", Err("odd number"));
        check("/metrics/instance/a", Err("must begin with /metrics/job/"));
        check("/metrics/job/a/job/b", Err("must begin with /metrics/job/"));
        check("/metrics/job@base64/=", Err("job name is required"));
        check("/metrics/job/a/__x/b", Err("improper label name"));
        check("/metrics/job/a/b-c/b", Err("improper label name"));
        check("/metrics/job/a/b@base64/%21", Err("invalid base64"));
    }
}
