//! Alertmanager's API v2: what `amtool`, Grafana and karma ask, and where other Prometheus servers send their alerts.
//!
//! Map: here paths, parameters and faults · `alerts` alerts and their groups · `silences` silences · `routing` the routing tree ·
//! `status` the rest.
//!
//! Source: `api/v2/openapi.yaml` of Alertmanager. Faults are JSON strings with status 400, as there; a body that is not what the
//! specification says is 422 with a code and a message.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use model::Matcher;
use serde_json::{Value, json};

use crate::error::{ApiError, json_response};
use crate::params::Params;
use crate::state::State;

mod alerts;
mod routing;
mod silences;
mod status;

/// The paths below `/api/v2`.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/status", get(status::status))
        .route("/receivers", get(status::receivers))
        .route("/alerts", get(alerts::list).post(alerts::report))
        .route("/alerts/groups", get(alerts::groups))
        .route("/silences", get(silences::list).post(silences::set))
        .route("/silence/{id}", get(silences::one).delete(silences::expire))
}

/// What is ours: notifications that nobody got, and the routing tree.
pub(crate) fn own_routes() -> Router<Arc<State>> {
    Router::new()
        .route("/notifications/failed", get(status::failed))
        .route("/notifications/route", post(routing::way))
        .route("/notifications/routes", get(routing::tree))
}

/// A request that is not answered as asked.
pub(crate) enum Fault {
    /// 400 with a text.
    Bad(String),
    /// 400 with a code and a message: the body cannot be read.
    Unreadable(String),
    /// 404 with a text; nothing if it is empty.
    Missing(String),
    /// 422: the body is not what the specification says.
    Invalid(String),
    /// 500 with a text.
    Internal(String),
    /// What every endpoint may say.
    Api(ApiError),
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(text) => json_response(StatusCode::BAD_REQUEST, &Value::String(text)),
            Self::Unreadable(message) => {
                let body = json!({ "code": 400, "message": message });
                json_response(StatusCode::BAD_REQUEST, &body)
            }
            Self::Missing(text) if text.is_empty() => StatusCode::NOT_FOUND.into_response(),
            Self::Missing(text) => json_response(StatusCode::NOT_FOUND, &Value::String(text)),
            Self::Invalid(message) => {
                let body = json!({ "code": 602, "message": message });
                json_response(StatusCode::UNPROCESSABLE_ENTITY, &body)
            }
            Self::Internal(text) => json_response(StatusCode::INTERNAL_SERVER_ERROR, &Value::String(text)),
            Self::Api(error) => {
                let body = Value::String(error.message().to_owned());
                json_response(error.status(), &body)
            }
        }
    }
}

/// The notifier; agents have none.
fn notifier(state: &State) -> Result<&notifier::Handle, Fault> {
    state.deps.notifier.as_ref().ok_or_else(|| Fault::Missing("an agent takes no alerts".to_owned()))
}

fn ok(body: &Value) -> Response {
    json_response(StatusCode::OK, body)
}

/// All values of `filter`, one matcher each.
fn filters(params: &Params) -> Result<Vec<Matcher>, Fault> {
    let parse =
        |text: &str| notifier::matchers::parse_one(text).map_err(|error| Fault::Bad(error.to_string()));
    params.all("filter").map(parse).collect()
}

/// A switch that is on unless it is switched off.
fn switch(params: &Params, name: &str) -> Result<bool, Fault> {
    match params.get(name).to_ascii_lowercase().as_str() {
        "" | "true" | "1" | "yes" | "ok" | "y" | "on" | "t" => Ok(true),
        "false" | "0" | "no" | "n" | "off" | "f" => Ok(false),
        other => Err(Fault::Invalid(format!(
            "{name} in query must be of type boolean: {}",
            crate::params::quoted(other)
        ))),
    }
}

/// RFC 3339 in milliseconds, as Alertmanager's API writes times.
fn time(at_ms: i64) -> String {
    let written = jiff::Timestamp::from_millisecond(at_ms).map(|at| format!("{at:.3}"));
    written.unwrap_or_else(|_| "0001-01-01T00:00:00.000Z".to_owned())
}

/// A body of `what`, which must not be empty.
fn read_json<T: serde::de::DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Fault> {
    if body.is_empty() {
        return Err(Fault::Invalid(format!("{what} in body is required")));
    }
    serde_json::from_slice(body).map_err(|error| unreadable(what, error))
}

fn unreadable(what: &str, why: impl std::fmt::Display) -> Fault {
    Fault::Unreadable(format!("parsing {what} body from \"\" failed, because {why}"))
}

/// A time of a body of `what`; Go's zero time and nothing are none.
fn parse_time(text: Option<&str>, what: &str) -> Result<Option<i64>, Fault> {
    let Some(text) = text.filter(|text| !text.is_empty() && !text.starts_with("0001-01-01T00:00:00")) else {
        return Ok(None);
    };
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    match parsed {
        Ok(at) => Ok(Some(at.as_millisecond())),
        Err(_) => {
            Err(unreadable(what, format_args!("cannot parse {} as a time", crate::params::quoted(text))))
        }
    }
}
