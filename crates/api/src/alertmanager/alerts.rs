//! Alerts: taken in, and shown one by one or in their groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::Response;
use http::StatusCode;
use model::matcher::compile_anchored;
use model::{Labels, Matcher};
use notifier::{AlertView, ReportedAlert};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Fault, filters, notifier, ok, parse_time, read_json, switch, time};
use crate::body::read_body;
use crate::params::Params;
use crate::state::State;

/// A larger report is refused; ten thousand alerts fit.
const BODY_BYTES_MAX: usize = 32 << 20;

/// Which alerts are wanted.
struct Wanted {
    filters: Vec<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
    muted: bool,
    receiver: Option<regex::Regex>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Fault> {
        // An alert is processed the moment it comes in; there are no unprocessed ones to leave out.
        switch(params, "unprocessed")?;
        let receiver = match params.get("receiver") {
            "" => None,
            text => {
                let bad = |error| Fault::Bad(format!("failed to parse receiver param: {error}"));
                Some(compile_anchored(text).map_err(bad)?)
            }
        };
        Ok(Self {
            filters: filters(params)?,
            active: switch(params, "active")?,
            silenced: switch(params, "silenced")?,
            inhibited: switch(params, "inhibited")?,
            muted: switch(params, "muted")?,
            receiver,
        })
    }

    fn takes_receiver(&self, name: &str) -> bool {
        self.receiver.as_ref().is_none_or(|wanted| wanted.is_match(name))
    }

    fn takes(&self, view: &AlertView) -> bool {
        let status = &view.status;
        (self.active || !status.is_active())
            && (self.silenced || status.silenced_by.is_empty())
            && (self.inhibited || status.inhibited_by.is_empty())
            && (self.muted || status.muted_by.is_empty())
            && self.filters.iter().all(|filter| filter.matches_labels(view.alert.labels.as_ref()))
    }
}

fn labels_json(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

/// An alert with those of its receivers that `shows` takes.
fn alert_json(view: &AlertView, shows: impl Fn(&str) -> bool) -> Value {
    let (alert, status) = (&view.alert, &view.status);
    let receivers = view.receivers.iter().filter(|name| shows(name));
    let receivers: Vec<Value> = receivers.map(|name| json!({ "name": **name })).collect();
    let mut shown = Map::new();
    shown.insert("annotations".to_owned(), json!(alert.annotations));
    shown.insert("endsAt".to_owned(), time(alert.ends_at_ms).into());
    shown.insert("fingerprint".to_owned(), alert.fingerprint().to_string().into());
    shown.insert("receivers".to_owned(), receivers.into());
    shown.insert("startsAt".to_owned(), time(alert.starts_at_ms).into());
    let state = if status.is_active() { "active" } else { "suppressed" };
    let status = json!({
        "inhibitedBy": status.inhibited_by,
        "mutedBy": status.muted_by,
        "silencedBy": status.silenced_by,
        "state": state,
    });
    shown.insert("status".to_owned(), status);
    shown.insert("updatedAt".to_owned(), time(alert.updated_at_ms).into());
    if !alert.generator_url.is_empty() {
        shown.insert("generatorURL".to_owned(), alert.generator_url.clone().into());
    }
    shown.insert("labels".to_owned(), labels_json(&alert.labels));
    Value::Object(shown)
}

/// `GET /alerts`
pub(super) async fn list(Extract(state): Extract<Arc<State>>, params: Params) -> Result<Response, Fault> {
    let wanted = Wanted::read(&params)?;
    let is_wanted = |view: &AlertView| {
        wanted.takes(view) && view.receivers.iter().any(|name| wanted.takes_receiver(name))
    };
    let all = notifier(&state)?.alerts();
    Ok(ok(&all.iter().filter(|view| is_wanted(view)).map(|view| alert_json(view, |_| true)).collect()))
}

/// `GET /alerts/groups`
pub(super) async fn groups(Extract(state): Extract<Arc<State>>, params: Params) -> Result<Response, Fault> {
    let wanted = Wanted::read(&params)?;
    let mut shown = Vec::new();
    for group in notifier(&state)?.groups() {
        if !wanted.takes_receiver(&group.receiver) {
            continue;
        }
        // As Alertmanager has it: receivers that were not asked for are not shown here.
        let shown_alert = |view: &AlertView| alert_json(view, |name| wanted.takes_receiver(name));
        let alerts: Vec<Value> =
            group.alerts.iter().filter(|view| wanted.takes(view)).map(shown_alert).collect();
        if !alerts.is_empty() {
            shown.push(json!({
                "alerts": alerts,
                "labels": labels_json(&group.labels),
                "receiver": { "name": *group.receiver },
            }));
        }
    }
    Ok(ok(&Value::Array(shown)))
}

/// An alert of a body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    starts_at: Option<String>,
    #[serde(default)]
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: Option<String>,
}

fn reported(posted: Posted) -> Result<ReportedAlert, Fault> {
    let labels = posted.labels.ok_or_else(|| Fault::Invalid("labels in body is required".to_owned()))?;
    Ok(ReportedAlert {
        labels: labels.into_iter().collect(),
        annotations: posted.annotations.unwrap_or_default(),
        starts_at_ms: parse_time(posted.starts_at.as_deref(), "alerts")?,
        ends_at_ms: parse_time(posted.ends_at.as_deref(), "alerts")?,
        generator_url: posted.generator_url.unwrap_or_default(),
    })
}

/// `POST /alerts`
pub(super) async fn report(Extract(state): Extract<Arc<State>>, request: Request) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let posted: Vec<Posted> = read_json(&body, "alerts")?;
    let alerts = posted.into_iter().map(reported).collect::<Result<Vec<_>, Fault>>()?;
    notifier.report(alerts).map_err(Fault::Bad)?;
    Ok(axum::response::IntoResponse::into_response(StatusCode::OK))
}
