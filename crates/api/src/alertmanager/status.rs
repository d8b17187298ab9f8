//! The configuration in force, receivers, and what is ours: failed notifications.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Fault, notifier, ok, time};
use crate::respond::success;
use crate::state::State;

/// `GET /status`: one process, no cluster.
pub(super) async fn status(Extract(state): Extract<Arc<State>>) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    let build = state.deps.status.build_info();
    Ok(ok(&json!({
        "cluster": { "peers": [], "status": "disabled" },
        "config": { "original": notifier.config_text() },
        "uptime": time(notifier.started_ms()),
        "versionInfo": {
            "branch": build.branch,
            "buildDate": build.build_date,
            "buildUser": build.build_user,
            "goVersion": build.compiler,
            "revision": build.revision,
            "version": build.version,
        },
    })))
}

/// `GET /receivers`
pub(super) async fn receivers(Extract(state): Extract<Arc<State>>) -> Result<Response, Fault> {
    let names = notifier(&state)?.receivers();
    Ok(ok(&names.iter().map(|name| json!({ "name": **name })).collect()))
}

/// `GET /api/v1/notifications/failed`: what was given up, the newest first.
pub(super) async fn failed(Extract(state): Extract<Arc<State>>) -> Result<Response, Fault> {
    let shown: Vec<Value> = notifier(&state)?
        .failed()
        .iter()
        .map(|failed| {
            json!({
                "time": time(failed.at_ms),
                "receiver": failed.receiver,
                "integration": failed.integration,
                "groupKey": failed.group_key,
                "alerts": failed.alert_count,
                "attempts": failed.attempts,
                "error": failed.error,
            })
        })
        .collect();
    let body = Value::Array(shown).to_string();
    Ok(success(|out| out.extend_from_slice(body.as_bytes())))
}
