//! `/api/v1/rules`, `/api/v1/alerts` and `/api/v1/alertmanagers`, in the shapes of Prometheus 3.14.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Matcher;
use model::number::FloatFormat;
use rules::Group;
use rules::alert::{Alert, AlertState};
use rules::file::RuleKind;
use rules::rule::Rule;

use crate::error::ApiError;
use crate::json::{write_int, write_key, write_labels, write_number, write_string, write_string_html};
use crate::params::{Params, format_time, quoted};
use crate::respond::success;
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

pub(crate) mod backfill;
pub(crate) mod backtest;
pub(crate) mod evaluations;
pub(crate) mod stored;

/// Which rules are wanted.
#[derive(Debug, Default)]
struct Wanted {
    kind: Option<RuleKind>,
    names: BTreeSet<String>,
    groups: BTreeSet<String>,
    files: BTreeSet<String>,
    matcher_sets: Vec<Vec<Matcher>>,
    exclude_alerts: bool,
    /// How many groups at most.
    group_limit: Option<usize>,
    /// The first group of this page; empty for the first page.
    token: String,
}

pub(crate) async fn rules(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let wanted = Wanted::from_params(&params)?;
    let work = {
        let state = Arc::clone(&state);
        move || {
            let groups = state.backends()?.rules.groups(&tenant);
            let (page, next) = wanted.page(&groups)?;
            Ok::<_, ApiError>(success(|out| {
                out.push(b'{');
                write_key(out, "groups");
                write_list(out, &page, |out, (group, rules)| {
                    write_group(out, group, rules, wanted.exclude_alerts);
                });
                if let Some(next) = next {
                    write_key(out, "groupNextToken");
                    write_string_html(out, &next);
                }
                out.push(b'}');
            }))
        }
    };
    blocking(&state, cancel_after(&state, None), work).await?
}

pub(crate) async fn alerts(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
) -> Result<Response, ApiError> {
    let work = {
        let state = Arc::clone(&state);
        move || {
            let mut alerts = Vec::new();
            for group in state.backends()?.rules.groups(&tenant) {
                let mut rules: Vec<&Rule> = group.rules().iter().filter(is_alerting).collect();
                // The most severe first, as Prometheus has it.
                rules.sort_by_key(|rule| (std::cmp::Reverse(rule.state()), rule.name()));
                alerts.extend(rules.into_iter().flat_map(Rule::alerts));
            }
            Ok::<_, ApiError>(success(|out| {
                out.push(b'{');
                write_key(out, "alerts");
                write_list(out, &alerts, write_alert);
                out.push(b'}');
            }))
        }
    };
    blocking(&state, cancel_after(&state, None), work).await?
}

pub(crate) async fn alertmanagers(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    let known = &state.backends()?.alertmanagers;
    let write_urls = |out: &mut Vec<u8>, urls: &[String]| {
        write_list(out, urls, |out, url| {
            out.push(b'{');
            write_key(out, "url");
            write_string_html(out, url);
            out.push(b'}');
        });
    };
    let (active, dropped) = (known.active(), known.dropped());
    Ok(success(|out| {
        out.push(b'{');
        write_key(out, "activeAlertmanagers");
        write_urls(out, &active);
        write_key(out, "droppedAlertmanagers");
        write_urls(out, &dropped);
        out.push(b'}');
    }))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "filters pass references to what they hold")]
fn is_alerting(rule: &&Rule) -> bool {
    rule.kind() == RuleKind::Alerting
}

impl Wanted {
    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let set = |name: &str| params.all(name).map(str::to_owned).collect();
        let matcher_sets = params.matcher_sets().map_err(ApiError::bad_data)?;
        let kind = match params.get("type").to_lowercase().as_str() {
            "" => None,
            "alert" => Some(RuleKind::Alerting),
            "record" => Some(RuleKind::Recording),
            other => {
                let fault = format!("not supported value {}", quoted(other));
                return Err(ApiError::invalid_parameter("type", fault));
            }
        };
        let exclude_alerts = match params.get("exclude_alerts").to_lowercase().as_str() {
            "" | "0" | "f" | "false" => false,
            "1" | "t" | "true" => true,
            other => {
                let fault = format!(
                    "error converting exclude_alerts: strconv.ParseBool: parsing {}: invalid syntax",
                    quoted(other)
                );
                return Err(ApiError::invalid_parameter("exclude_alerts", fault));
            }
        };
        let (group_limit, token) = page_of(params)?;
        Ok(Self {
            kind,
            names: set("rule_name[]"),
            groups: set("rule_group[]"),
            files: set("file[]"),
            matcher_sets,
            exclude_alerts,
            group_limit,
            token,
        })
    }

    /// Groups of this page, each with the rules that are wanted of it, and the token of the next page.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn page<'g>(
        &self,
        groups: &'g [Arc<Group>],
    ) -> Result<(Vec<(&'g Group, Vec<&'g Rule>)>, Option<String>), ApiError> {
        let first = match self.token.as_str() {
            "" => 0,
            token => groups.iter().position(|group| token_of(group) == token).ok_or_else(|| {
                let fault = format!("invalid group_next_token '{token}'. were rule groups changed?");
                ApiError::invalid_parameter("group_next_token", fault)
            })?,
        };
        let is_in = |set: &BTreeSet<String>, name: &str| set.is_empty() || set.contains(name);
        let mut page = Vec::new();
        for group in &groups[first..] {
            if !(is_in(&self.groups, group.name()) && is_in(&self.files, group.file())) {
                continue;
            }
            let rules: Vec<&Rule> = group.rules().iter().filter(|rule| self.wants(rule)).collect();
            if rules.is_empty() {
                continue;
            }
            if self.group_limit.is_some_and(|limit| page.len() == limit) {
                return Ok((page, Some(token_of(group))));
            }
            page.push((&**group, rules));
        }
        Ok((page, None))
    }

    fn wants(&self, rule: &Rule) -> bool {
        let labels = &rule.spec().labels;
        let meets =
            |matcher: &Matcher| matcher.matches(labels.get(matcher.name()).map_or("", String::as_str));
        self.kind.is_none_or(|kind| kind == rule.kind())
            && (self.names.is_empty() || self.names.contains(rule.name()))
            && (self.matcher_sets.is_empty() || self.matcher_sets.iter().any(|set| set.iter().all(meets)))
    }
}

fn page_of(params: &Params) -> Result<(Option<usize>, String), ApiError> {
    let (limit, token) = (params.get("group_limit"), params.get("group_next_token"));
    if limit.is_empty() {
        return if token.is_empty() {
            Ok((None, String::new()))
        } else {
            let fault = "group_limit needs to be present in order to paginate over the groups";
            Err(ApiError::invalid_parameter("group_next_token", fault))
        };
    }
    let fault = |fault: String| Err(ApiError::invalid_parameter("group_limit", fault));
    match limit.parse::<i32>() {
        Ok(limit) if limit > 0 => Ok((usize::try_from(limit).ok(), token.to_owned())),
        Ok(_) => fault("group_limit needs to be greater than 0".to_owned()),
        Err(error) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            let limit = quoted(limit);
            fault(format!("group_limit needs to be a valid number: strconv.ParseInt: parsing {limit}: {why}"))
        }
    }
}

/// Names a group in `group_next_token`; opaque to clients.
fn token_of(group: &Group) -> String {
    URL_SAFE_NO_PAD.encode(format!("{};{}", group.file(), group.name()))
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn write_group(out: &mut Vec<u8>, group: &Group, rules: &[&Rule], exclude_alerts: bool) {
    let status = group.status();
    out.push(b'{');
    for (key, value) in [("name", group.name()), ("file", group.file())] {
        write_key(out, key);
        write_string_html(out, value);
    }
    write_key(out, "rules");
    write_list(out, rules, |out, rule| write_rule(out, rule, exclude_alerts));
    write_seconds(out, "interval", group.interval_ms());
    write_key(out, "limit");
    write_int(out, group.limit());
    write_evaluation(out, status.evaluation_s, status.last_evaluation_ms);
    out.push(b'}');
}

fn write_rule(out: &mut Vec<u8>, rule: &Rule, exclude_alerts: bool) {
    let (spec, status) = (rule.spec(), rule.status());
    let is_alerting = rule.kind() == RuleKind::Alerting;
    out.push(b'{');
    if is_alerting {
        write_key(out, "state");
        write_string(out, rule.state().map_or("unknown", AlertState::as_str));
    }
    for (key, value) in [("name", rule.name()), ("query", rule.query())] {
        write_key(out, key);
        write_string_html(out, value);
    }
    if is_alerting {
        write_seconds(out, "duration", spec.for_ms);
        write_seconds(out, "keepFiringFor", spec.keep_firing_for_ms);
    }
    write_key(out, "labels");
    write_map(out, &spec.labels);
    if is_alerting {
        write_key(out, "annotations");
        write_map(out, &spec.annotations);
        write_key(out, "alerts");
        if exclude_alerts {
            out.extend_from_slice(b"null");
        } else {
            write_list(out, &rule.alerts(), write_alert);
        }
    }
    write_key(out, "health");
    write_string(out, status.health.as_str());
    if !status.last_error.is_empty() {
        write_key(out, "lastError");
        write_string_html(out, &status.last_error);
    }
    write_evaluation(out, status.evaluation_s, status.last_evaluation_ms);
    write_key(out, "type");
    write_string(out, if is_alerting { "alerting" } else { "recording" });
    out.push(b'}');
}

fn write_alert(out: &mut Vec<u8>, alert: &Alert) {
    out.push(b'{');
    write_key(out, "labels");
    write_labels(out, &alert.labels);
    write_key(out, "annotations");
    write_map(out, &alert.annotations);
    write_key(out, "state");
    write_string(out, alert.state.as_str());
    write_time(out, "activeAt", Some(alert.active_at_ms));
    if alert.keep_firing_since_ms.is_some() {
        write_time(out, "keepFiringSince", alert.keep_firing_since_ms);
    }
    write_key(out, "value");
    write_string(out, &scientific(alert.value));
    out.push(b'}');
}

/// In order of names.
fn write_map(out: &mut Vec<u8>, texts: &BTreeMap<String, String>) {
    out.push(b'{');
    for (name, text) in texts {
        write_key(out, name);
        write_string(out, text);
    }
    out.push(b'}');
}

fn write_seconds(out: &mut Vec<u8>, key: &str, ms: i64) {
    write_key(out, key);
    write_number(out, ms as f64 / 1_000.0, FloatFormat::Json);
}

fn write_evaluation(out: &mut Vec<u8>, took_s: f64, at_ms: Option<i64>) {
    write_key(out, "evaluationTime");
    write_number(out, took_s, FloatFormat::Json);
    write_time(out, "lastEvaluation", at_ms);
}

fn write_time(out: &mut Vec<u8>, key: &str, time_ms: Option<i64>) {
    write_key(out, key);
    // Go's zero time.
    let text = time_ms.map_or("0001-01-01T00:00:00Z".into(), format_time);
    write_string(out, &text);
}

/// Go's `%e` with as many digits as are needed: `1e+00`.
fn scientific(value: f64) -> String {
    if !value.is_finite() {
        return model::number::format_float(value);
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_prometheus_does() {
        for (value, text) in [
            (0.0, "0e+00"),
            (1.0, "1e+00"),
            (-1.5, "-1.5e+00"),
            (123_456_789.0, "1.23456789e+08"),
            (1e-7, "1e-07"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(scientific(value), text);
        }
    }
}
