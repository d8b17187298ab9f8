//! Silences beyond Alertmanager's API: those that recur, which end soon, what one would hold back, and which groups alerts would form.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State as Extract};
use axum::response::Response;
use model::Labels;
use model::time::parse_duration_ms;
use notifier::timeline::At;
use notifier::{AlertView, PlannedGroup, Recurrence, SetSilenceError, Silence, SilenceError, SilenceMatcher};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, labels_json, notifier};
use crate::body::read_body;
use crate::error::{ApiError, ErrorType};
use crate::params::{Params, parse_time_ms};
use crate::state::State;

const BODY_BYTES_MAX: usize = 8 << 20;
/// Alerts whose groups are planned at once.
const PLANNED_MAX: usize = 10_000;

/// A silence of a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Posted {
    #[serde(default)]
    id: String,
    matchers: Vec<SilenceMatcher>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default)]
    duration: Option<String>,
    created_by: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    recurrence: Option<Recurrence>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedMatchers {
    matchers: Vec<SilenceMatcher>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedAlerts {
    /// Labels of each; nothing: those that fire.
    #[serde(default)]
    alerts: Option<Vec<BTreeMap<String, String>>>,
}

async fn read<T: for<'de> Deserialize<'de>>(
    state: &State,
    request: Request,
    what: &str,
) -> Result<T, ApiError> {
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_data(format!("the body is no {what}: {error}")))
}

fn time_of(text: Option<&String>, name: &str) -> Result<Option<i64>, ApiError> {
    let parse =
        |text: &String| parse_time_ms(text).map_err(|fault| ApiError::bad_data(format!("{name}: {fault}")));
    text.map(parse).transpose()
}

impl Posted {
    fn silence(self, now_ms: i64) -> Result<Silence, ApiError> {
        let starts_at_ms = time_of(self.starts_at.as_ref(), "startsAt")?.unwrap_or(now_ms);
        let ends_at_ms = match (time_of(self.ends_at.as_ref(), "endsAt")?, &self.duration) {
            (Some(ends_at_ms), None) => ends_at_ms,
            (None, Some(text)) => {
                let ms = parse_duration_ms(text)
                    .map_err(|fault| ApiError::bad_data(format!("duration: {fault}")))?;
                starts_at_ms.max(now_ms).saturating_add(ms)
            }
            _ => {
                let fault = "say when it ends: write either endsAt or duration, such as \"2h\"";
                return Err(ApiError::bad_data(fault));
            }
        };
        if ends_at_ms <= starts_at_ms || ends_at_ms <= now_ms {
            return Err(ApiError::bad_data(
                "the silence would end before it begins, or in the past; write a later endsAt",
            ));
        }
        Ok(Silence {
            id: self.id,
            matchers: self.matchers,
            starts_at_ms,
            ends_at_ms,
            updated_at_ms: now_ms,
            created_by: self.created_by,
            comment: self.comment,
            recurrence: self.recurrence,
        })
    }
}

fn failed(error: SetSilenceError) -> ApiError {
    let error_type = match &error {
        SetSilenceError::Silence(SilenceError::NotFound) => ErrorType::NotFound,
        SetSilenceError::Silence(_) => ErrorType::BadData,
        SetSilenceError::Store(_) => ErrorType::Internal,
    };
    ApiError::new(error_type, error.to_string())
}

fn silence_json(notifier: &notifier::Handle, silence: &Silence) -> Value {
    json!({
        "id": silence.id,
        "state": silence.state_at(notifier.now_ms()),
        "matchers": silence.matchers,
        "startsAt": At(silence.starts_at_ms),
        "endsAt": At(silence.ends_at_ms),
        "updatedAt": At(silence.updated_at_ms),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "recurrence": silence.recurrence,
        "alerts": notifier.alerts_of_silence(&silence.id),
        "expiringSoon": notifier.ends_soon(silence),
    })
}

/// `GET /api/v1/silences`: in Alertmanager's order; `filter` as there, `expired=0` without those that are over.
pub(super) async fn list(Extract(state): Extract<Arc<State>>, params: Params) -> Result<Response, ApiError> {
    let notifier = notifier(&state)?;
    let parse = |text: &str| notifier::matchers::parse_one(text);
    let filters = params.all("filter").map(parse).collect::<Result<Vec<_>, _>>();
    let filters = filters.map_err(|error| ApiError::invalid_parameter("filter", error))?;
    let with_expired = params.get("expired").is_empty() || params.flag("expired")?;
    let now_ms = notifier.now_ms();
    let mut found = notifier.silences(&filters);
    found.retain(|silence| with_expired || silence.ends_at_ms >= now_ms);
    let shown: Vec<Value> = found.iter().map(|silence| silence_json(notifier, silence)).collect();
    Ok(answer(&json!({ "silences": shown }), false))
}

/// `POST /api/v1/silences`
pub(super) async fn set(Extract(state): Extract<Arc<State>>, request: Request) -> Result<Response, ApiError> {
    let notifier = notifier(&state)?;
    let posted: Posted = read(&state, request, "silence").await?;
    let silence = posted.silence(notifier.now_ms())?;
    let id = notifier.set_silence(silence).await.map_err(failed)?;
    Ok(answer(&json!({ "id": id }), false))
}

/// `DELETE /api/v1/silences/{id}`
pub(super) async fn expire(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    notifier(&state)?.expire_silence(&id).await.map_err(failed)?;
    Ok(answer(&json!({ "id": id }), false))
}

fn alert_json(view: &AlertView) -> Value {
    let status = &view.status;
    json!({
        "fingerprint": view.alert.fingerprint(),
        "labels": labels_json(&view.alert.labels),
        "startsAt": At(view.alert.starts_at_ms),
        "receivers": view.receivers,
        "silencedBy": status.silenced_by,
        "inhibitedBy": status.inhibited_by,
        "mutedBy": status.muted_by,
    })
}

/// `POST /api/v1/silences/preview`: alerts that a silence with these matchers would hold back now.
pub(super) async fn preview(
    Extract(state): Extract<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let notifier = notifier(&state)?;
    let posted: PostedMatchers = read(&state, request, "list of matchers").await?;
    let found = notifier.preview_silence(posted.matchers);
    let found = found.map_err(|error| ApiError::bad_data(error.to_string()))?;
    let shown: Vec<Value> = found.iter().map(alert_json).collect();
    Ok(answer(&json!({ "alerts": shown }), false))
}

fn group_json(group: &PlannedGroup) -> Value {
    json!({
        "route": group.route,
        "receiver": &*group.receiver,
        "groupKey": group.key,
        "groupLabels": labels_json(&group.labels),
        "alerts": group.alerts.iter().map(labels_json).collect::<Vec<_>>(),
    })
}

/// `POST /api/v1/notifications/groups`: the groups that alerts with these labels would form, or those that fire.
pub(super) async fn groups(
    Extract(state): Extract<Arc<State>>,
    request: Request,
) -> Result<Response, ApiError> {
    let notifier = notifier(&state)?;
    let posted: PostedAlerts = read(&state, request, "list of alerts").await?;
    let alerts: Vec<Labels> = match posted.alerts {
        Some(alerts) if alerts.len() > PLANNED_MAX => {
            return Err(ApiError::bad_data(format!("at most {PLANNED_MAX} alerts can be planned at once")));
        }
        Some(alerts) => {
            let is_bad = |(name, value): (&String, &String)| {
                name.is_empty() || name.len().max(value.len()) > model::labels::LEN_MAX
            };
            if alerts.iter().flatten().any(is_bad) {
                return Err(ApiError::bad_data("a label has no name, or a name or value that is too long"));
            }
            alerts.into_iter().map(Labels::from_pairs).collect()
        }
        None => notifier.alerts().iter().map(|view| view.alert.labels.clone()).collect(),
    };
    let shown: Vec<Value> = notifier.plan_groups(&alerts).iter().map(group_json).collect();
    Ok(answer(&json!({ "groups": shown }), false))
}
