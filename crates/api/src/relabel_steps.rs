//! `/api/v1/targets/relabel_steps`: what each relabelling rule of a pool makes of a set of labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use model::relabel::{self, RelabelSettings, Rule};
use model::{Labels, LabelsBuilder};

use crate::error::ApiError;
use crate::json::{write_key, write_labels, write_string_html, write_strings, write_uint};
use crate::params::Params;
use crate::respond::success;
use crate::state::State;

/// One rule, and what it made of the labels.
struct Step {
    rule: RelabelSettings,
    /// Empty if they are dropped.
    output: Labels,
    keep: bool,
}

pub(crate) async fn relabel_steps(
    Extract(state): Extract<Arc<State>>,
    params: Params,
) -> Result<Response, ApiError> {
    let pool = params.get("scrapePool");
    if pool.is_empty() {
        return Err(ApiError::bad_data("no scrapePool parameter provided"));
    }
    let labels = params.get("labels");
    if labels.is_empty() {
        return Err(ApiError::bad_data("no labels parameter provided"));
    }
    let labels: BTreeMap<String, String> = serde_json::from_str(labels)
        .map_err(|e| ApiError::invalid_parameter("labels", format!("not an object of texts: {e}")))?;
    let rules = state.backends()?.targets.relabel_rules(pool);
    let rules = rules.ok_or_else(|| ApiError::bad_data(format!("scrape pool {pool:?} not found")))?;
    let steps = steps(&rules, Labels::from_pairs(labels).to_builder());
    Ok(success(|out| {
        out.push(b'{');
        write_key(out, "steps");
        out.push(b'[');
        for (at, step) in steps.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
            write_key(out, "rule");
            write_rule(out, &step.rule);
            write_key(out, "output");
            write_labels(out, &step.output);
            write_key(out, "keep");
            out.extend_from_slice(if step.keep { b"true" } else { b"false" });
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }))
}

/// Rules behind the one that drops the labels see nothing any more.
fn steps(rules: &[Rule], mut labels: LabelsBuilder) -> Vec<Step> {
    let mut keep = true;
    let step = |rule: &Rule| {
        keep = keep && relabel::apply(std::slice::from_ref(rule), &mut labels);
        let output = if keep { labels.build() } else { Labels::empty() };
        Step { rule: rule.settings().clone(), output, keep }
    };
    rules.iter().map(step).collect()
}

/// A rule under the keys that Prometheus' JSON has; what is empty is left out.
pub(crate) fn write_rule(out: &mut Vec<u8>, rule: &RelabelSettings) {
    out.push(b'{');
    if let Some(labels) = rule.source_labels.as_deref().filter(|labels| !labels.is_empty()) {
        write_key(out, "sourceLabels");
        write_strings(out, labels);
    }
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            write_key(out, key);
            write_string_html(out, value);
        }
    };
    text("separator", &rule.separator);
    text("regex", &rule.regex);
    text("targetLabel", &rule.target_label);
    text("replacement", &rule.replacement);
    text("action", &rule.action);
    if rule.modulus > 0 {
        write_key(out, "modulus");
        write_uint(out, rule.modulus);
    }
    out.push(b'}');
}
