//! `/api/v1/rules/evaluations`: how the last evaluations of rules went, Kymo's own.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::json::write_tree;
use crate::params::{Params, format_time};
use crate::respond::success;
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

/// Rules of the groups and names that are asked for (`file`, `group`, `rule`), each with its last evaluations, the newest first.
pub(crate) async fn evaluations(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let asked = ["file", "group", "rule"].map(|name| params.get(name).to_owned());
    let work = {
        let state = Arc::clone(&state);
        move || {
            let [file, group_name, rule_name] = &asked;
            let is = |asked: &String, is: &str| asked.is_empty() || asked == is;
            let mut rules = Vec::new();
            for group in state.backends()?.rules.groups(&tenant) {
                if !(is(file, group.file()) && is(group_name, group.name())) {
                    continue;
                }
                for rule in group.rules().iter().filter(|rule| is(rule_name, rule.name())) {
                    let evaluations = rule.evaluations().into_iter().map(|evaluation| {
                        json!({
                            "time": format_time(evaluation.at_ms),
                            "duration": evaluation.took_s,
                            "samples": evaluation.sample_count,
                            "error": evaluation.error,
                        })
                    });
                    rules.push(json!({
                        "file": group.file(),
                        "group": group.name(),
                        "rule": rule.name(),
                        "evaluations": evaluations.collect::<Vec<_>>(),
                    }));
                }
            }
            Ok::<_, ApiError>(Value::Array(rules))
        }
    };
    let data = blocking(&state, cancel_after(&state, None), work).await??;
    Ok(success(|out| write_tree(out, &data)))
}
