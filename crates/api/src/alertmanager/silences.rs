//! Silences: made, changed, listed, ended.

use std::sync::Arc;

use axum::extract::{Path, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use notifier::{SetSilenceError, Silence, SilenceError, SilenceMatcher};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Fault, filters, notifier, ok, parse_time, read_json, time};
use crate::body::read_body;
use crate::params::Params;
use crate::state::State;

const BODY_BYTES_MAX: usize = 1 << 20;

/// A silence of a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    id: Option<String>,
    matchers: Option<Vec<PostedMatcher>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
}

/// A condition of a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: Option<bool>,
}

fn matchers(posted: Vec<PostedMatcher>) -> Result<Vec<SilenceMatcher>, Fault> {
    if posted.is_empty() {
        return Err(Fault::Invalid("matchers in body should have at least 1 items".to_owned()));
    }
    let matcher = |(at, posted): (usize, PostedMatcher)| {
        let key = |name: &str| format!("matchers.{at}.{name}");
        Ok(SilenceMatcher {
            is_equal: posted.is_equal.unwrap_or(true),
            is_regex: required(posted.is_regex, &key("isRegex"))?,
            name: required(posted.name, &key("name"))?,
            value: required(posted.value, &key("value"))?,
        })
    };
    posted.into_iter().enumerate().map(matcher).collect()
}

/// The name of a silence in a path.
fn check_id(id: &str) -> Result<(), Fault> {
    let mut parts = id.split('-');
    let is_uuid = [8, 4, 4, 4, 12].iter().all(|length| {
        parts
            .next()
            .is_some_and(|part| part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    if is_uuid && parts.next().is_none() {
        return Ok(());
    }
    Err(Fault::Invalid(format!("silenceID in path must be of type uuid: {}", crate::params::quoted(id))))
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::Invalid(format!("{name} in body is required")))
}

fn wanted(posted: Posted, now_ms: i64) -> Result<Silence, Fault> {
    let starts_at_ms = required(parse_time(posted.starts_at.as_deref(), "silence")?, "startsAt")?;
    let ends_at_ms = required(parse_time(posted.ends_at.as_deref(), "silence")?, "endsAt")?;
    let matchers = matchers(required(posted.matchers, "matchers")?)?;
    let refused = |why: &str| Err(Fault::Bad(format!("Failed to create silence: {why}")));
    if starts_at_ms >= ends_at_ms {
        return refused("start time must be before end time");
    }
    if ends_at_ms < now_ms {
        return refused("end time can't be in the past");
    }
    Ok(Silence {
        id: posted.id.unwrap_or_default(),
        matchers,
        starts_at_ms,
        ends_at_ms,
        updated_at_ms: now_ms,
        created_by: required(posted.created_by, "createdBy")?,
        comment: required(posted.comment, "comment")?,
        recurrence: None,
    })
}

fn silence_json(silence: &Silence, now_ms: i64) -> Value {
    json!({
        "id": silence.id,
        "status": { "state": silence.state_at(now_ms) },
        "updatedAt": time(silence.updated_at_ms),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": time(silence.ends_at_ms),
        "matchers": silence.matchers,
        "startsAt": time(silence.starts_at_ms),
    })
}

impl From<SetSilenceError> for Fault {
    fn from(error: SetSilenceError) -> Self {
        match error {
            SetSilenceError::Silence(SilenceError::NotFound) => Self::Missing(error.to_string()),
            SetSilenceError::Silence(_) => Self::Bad(error.to_string()),
            SetSilenceError::Store(_) => Self::Internal(error.to_string()),
        }
    }
}

/// `GET /silences`
pub(super) async fn list(Extract(state): Extract<Arc<State>>, params: Params) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    let (found, now_ms) = (notifier.silences(&filters(&params)?), notifier.now_ms());
    Ok(ok(&found.iter().map(|silence| silence_json(silence, now_ms)).collect()))
}

/// `POST /silences`
pub(super) async fn set(Extract(state): Extract<Arc<State>>, request: Request) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let posted: Posted = read_json(&body, "silence")?;
    let mut wanted = wanted(posted, notifier.now_ms())?;
    // Alertmanager's API cannot say when a silence recurs; whoever changes one through it does not mean to end that.
    wanted.recurrence = notifier.silence(&wanted.id).and_then(|known| known.recurrence);
    let id = notifier.set_silence(wanted).await?;
    Ok(ok(&json!({ "silenceID": id })))
}

/// `GET /silence/{id}`
pub(super) async fn one(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    check_id(&id)?;
    let silence = notifier.silence(&id).ok_or_else(|| Fault::Missing(String::new()))?;
    Ok(ok(&silence_json(&silence, notifier.now_ms())))
}

/// `DELETE /silence/{id}`
pub(super) async fn expire(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    check_id(&id)?;
    notifier.expire_silence(&id).await?;
    Ok(StatusCode::OK.into_response())
}
