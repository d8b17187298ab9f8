//! "Why was I not paged?": for a moment and labels, the step at which it stopped.
//!
//! First the timeline is asked: where did alerts with such labels stand? If there were none, the rules: is there one that could raise
//! them, and what did it see?

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use model::{Labels, Matcher, TenantId};
use notifier::timeline::why::{Standing, Step, standing, standings};
use notifier::timeline::{At, KnownAlert};
use promql::QueryOptions;
use promql::ast::ExprKind;
use promql::value::{SampleValue, Value as QueryValue};
use rules::file::RuleKind;
use rules::rule::{Health, Rule};
use serde_json::{Value, json};

use super::{answer, labels_json, notifier, unreadable};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

/// Alerts of one answer.
const ALERTS_MAX: usize = 100;
/// The newest events of an alert that are looked at.
const EVENTS_MAX: u32 = 1_000;
/// Values of a rule that are shown.
const VALUES_MAX: usize = 3;

/// An alert and where it stood.
struct Found {
    alert: KnownAlert,
    standing: Standing,
    /// At each of its receivers.
    all: Vec<Standing>,
}

/// `GET /api/v1/alerts/why`
pub(super) async fn why(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let time_ms = params.time_or("time", state.deps.clock.now_ms())?;
    let wanted = matcher_sets(&params)?;
    let notifier = notifier(&state)?;
    let known = notifier.known_alerts(time_ms, ALERTS_MAX, wanted.clone()).await.map_err(unreadable)?;
    let mut found = Vec::new();
    for alert in known {
        let events = notifier.events(alert.fingerprint, i64::MIN, time_ms, EVENTS_MAX).await;
        let events = events.map_err(unreadable)?;
        if let Some(standing) = standing(&events) {
            found.push(Found { alert, standing, all: standings(&events) });
        }
    }
    found.sort_by_key(|found| std::cmp::Reverse((found.standing.step, found.standing.at_ms)));
    let data = match found.first() {
        // It was told, or somebody could have been.
        Some(first) => about_alerts(first, &found),
        None => {
            let asked = Arc::clone(&state);
            let cancel = cancel_after(&state, None);
            let options = QueryOptions { cancel: cancel.clone(), ..QueryOptions::default() };
            let look = move || about_rules(&asked, &tenant, &wanted, time_ms, &options);
            blocking(&state, cancel, look).await??
        }
    };
    Ok(answer(&data, false))
}

/// A set for each `match[]`, in the syntax of selectors or of Alertmanager's matchers.
fn matcher_sets(params: &Params) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let parse = |text: &str| {
        let set = notifier::matchers::parse(text).map_err(|error| error.to_string())?;
        match set.iter().all(Matcher::matches_empty) {
            true => Err("it must contain at least one matcher that is not met by nothing".to_owned()),
            false => Ok(set),
        }
    };
    let sets = params.all("match[]").map(parse).collect::<Result<Vec<_>, String>>();
    let sets = sets.map_err(|fault| ApiError::invalid_parameter("match[]", fault))?;
    if sets.is_empty() {
        return Err(ApiError::bad_data(
            "no match[] parameter provided; write the alert's labels, such as {alertname=\"Down\"}",
        ));
    }
    Ok(sets)
}

fn about_alerts(first: &Found, found: &[Found]) -> Value {
    let text = &first.standing.text;
    let answer = match found.len() {
        1 => text.clone(),
        count => format!(
            "There are {count} alerts with such labels. The one that got furthest, {}: {text}",
            first.alert.labels
        ),
    };
    let alert = |found: &Found| {
        json!({
            "fingerprint": found.alert.fingerprint.to_string(),
            "labels": labels_json(&found.alert.labels),
            "step": found.standing.step.as_str(),
            "text": found.standing.text,
            "at": At(found.standing.at_ms),
            "receivers": found.all.iter().filter_map(receiver_json).collect::<Vec<_>>(),
        })
    };
    json!({
        "answer": answer,
        "step": first.standing.step.as_str(),
        "alerts": found.iter().map(alert).collect::<Vec<_>>(),
    })
}

fn receiver_json(standing: &Standing) -> Option<Value> {
    let receiver = standing.receiver.as_ref()?;
    Some(json!({
        "receiver": receiver,
        "step": standing.step.as_str(),
        "text": standing.text,
        "at": At(standing.at_ms),
    }))
}

/// There was no such alert: what do rules say?
fn about_rules(
    state: &State,
    tenant: &TenantId,
    wanted: &[Vec<Matcher>],
    time_ms: i64,
    options: &QueryOptions,
) -> Result<Value, ApiError> {
    let backends = state.backends()?;
    let external_labels = state.deps.status.external_labels();
    let groups = backends.rules.groups(tenant);
    let of_group = |group: &Arc<rules::Group>| -> Vec<usize> {
        let could = |rule: &Rule| wanted.iter().any(|set| could_raise(rule, set, &external_labels));
        let all = group.rules().iter().enumerate();
        all.filter(|(_, rule)| rule.kind() == RuleKind::Alerting && could(rule)).map(|(at, _)| at).collect()
    };
    let candidates: Vec<(&Arc<rules::Group>, usize)> =
        groups.iter().flat_map(|group| of_group(group).into_iter().map(move |at| (group, at))).collect();
    let Some((group, at)) = candidates.first() else {
        let text = "No alerting rule raises an alert with such labels, and none was reported from outside.";
        return Ok(without_alerts(Step::NoRule, text));
    };
    let rule = &group.rules()[*at];
    let more = match candidates.len() {
        1 => String::new(),
        count => format!(" ({} more rules could, too.)", count - 1),
    };
    let status = rule.status();
    let place = format!("Rule {} of group {} in {}", rule.name(), group.name(), group.file());
    if status.health == Health::Bad {
        let text = format!(
            "{place} could raise such an alert, but its evaluation fails: {}.{more}",
            status.last_error
        );
        return Ok(without_alerts(Step::RuleFailed, &text));
    }
    let values = values_of(state, tenant, rule, wanted, time_ms, options)?;
    let text = format!(
        "{place} could raise such an alert, but did not: nothing met its query {}.{values}{more}",
        rule.query()
    );
    Ok(without_alerts(Step::NeverFired, &text))
}

fn without_alerts(step: Step, text: &str) -> Value {
    json!({ "answer": text, "step": step.as_str(), "alerts": [] })
}

/// Whether nothing that a rule says about its alerts' labels speaks against these conditions.
fn could_raise(rule: &Rule, wanted: &[Matcher], external_labels: &Labels) -> bool {
    let literal = |text: &String| !text.contains("{{");
    wanted.iter().all(|matcher| match matcher.name() {
        "alertname" => matcher.matches(rule.name()),
        name => match (rule.spec().labels.get(name), external_labels.get(name)) {
            (Some(text), _) if literal(text) => matcher.matches(text),
            // A template, or a label that the query may yield.
            (Some(_), _) | (None, None) => true,
            // The query may yield it, too; then that one counts.
            (None, Some(value)) => matcher.matches(value),
        },
    })
}

/// What a rule that compares something with something saw of it.
fn values_of(
    state: &State,
    tenant: &TenantId,
    rule: &Rule,
    wanted: &[Vec<Matcher>],
    time_ms: i64,
    options: &QueryOptions,
) -> Result<String, ApiError> {
    let Ok(expr) = promql::parser::parse(rule.query()) else { return Ok(String::new()) };
    let ExprKind::Binary(binary) = &expr.kind else { return Ok(String::new()) };
    if !binary.op.is_comparison() {
        return Ok(String::new());
    }
    let compared = binary.lhs.to_string();
    let querier = state.backends()?.querier.as_ref();
    let result = state.deps.engine.instant(querier, tenant, &compared, time_ms, options)?;
    let fits = |labels: &Labels| {
        // Labels that a sample does not have may come from the rule.
        let meets = |matcher: &Matcher| labels.get(matcher.name()).is_none_or(|value| matcher.matches(value));
        wanted.iter().any(|set| set.iter().all(meets))
    };
    let float = |value: &SampleValue| match value {
        SampleValue::Float(value) => model::number::format_float(*value),
        SampleValue::Histogram(_) => "a histogram".to_owned(),
    };
    let values: Vec<String> = match &result.value {
        QueryValue::Vector(samples) => {
            let fitting = samples.iter().filter(|sample| fits(&sample.labels));
            fitting.map(|sample| format!("{} for {}", float(&sample.value), sample.labels)).collect()
        }
        QueryValue::Scalar { value, .. } => vec![model::number::format_float(*value)],
        QueryValue::String { .. } | QueryValue::Matrix(_) => Vec::new(),
    };
    if values.is_empty() {
        return Ok(format!(" {compared} had no value then."));
    }
    let more = match values.len().saturating_sub(VALUES_MAX) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let shown = values[..values.len().min(VALUES_MAX)].join(", ");
    Ok(format!(" {compared} was {shown}{more} then."))
}
