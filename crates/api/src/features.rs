//! `/api/v1/features`: what this server can do, by category, so that clients need not guess from a version.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;

use crate::json::{write_key, write_string};
use crate::respond::success;
use crate::state::State;

/// Names of Prometheus' features, and whether Kymo has them.
const FIXED: &[(&str, &str, bool)] = &[
    ("api", "exclude_alerts", true),
    ("api", "label_values_match", true),
    ("api", "otlp_write_receiver", true),
    ("api", "query_stats", true),
    ("api", "query_warnings", true),
    ("api", "remote_read", true),
    ("api", "remote_write_receiver", true),
    ("api", "search", true),
    ("api", "search_fuzz_alg_jarowinkler", true),
    ("api", "search_fuzz_alg_subsequence", true),
    ("api", "time_range_labels", true),
    ("api", "time_range_series", true),
    ("prometheus", "agent_mode", false),
    ("prometheus", "auto_reload_config", false),
    ("prometheus", "server_mode", true),
    ("promql", "anchored", true),
    ("promql", "at_modifier", true),
    ("promql", "bool", true),
    ("promql", "by", true),
    ("promql", "duration_expr", true),
    ("promql", "fill", true),
    ("promql", "fill_left", true),
    ("promql", "fill_right", true),
    ("promql", "group_left", true),
    ("promql", "group_right", true),
    ("promql", "ignoring", true),
    ("promql", "negative_offset", true),
    ("promql", "offset", true),
    ("promql", "on", true),
    ("promql", "per_query_lookback_delta", true),
    ("promql", "per_step_stats", true),
    ("promql", "smoothed", true),
    ("promql", "subqueries", true),
    ("promql", "without", true),
    ("tsdb", "exemplar_storage", true),
    ("tsdb", "isolation", true),
    ("tsdb", "native_histograms", true),
];

/// Operators and aggregations, of which Prometheus makes one category.
const OPERATORS: &[&str] = &[
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "</",
    "<=",
    "==",
    "=~",
    ">",
    ">/",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
];

pub(crate) async fn features(Extract(state): Extract<Arc<State>>) -> Response {
    let mut all: BTreeMap<&str, BTreeMap<&str, bool>> = BTreeMap::new();
    let settings = &state.settings;
    let of_settings = [
        ("api", "admin", settings.allow_admin),
        ("api", "lifecycle", settings.allow_reload),
        ("promql", "delayed_name_removal", state.deps.engine.settings().delayed_name_removal),
    ];
    let operators = OPERATORS.iter().map(|name| ("promql_operators", *name, true));
    let functions = promql::functions::FUNCTIONS.iter().map(|one| ("promql_functions", one.name, true));
    for (category, name, has) in FIXED
        .iter()
        .copied()
        .chain(of_settings)
        .chain(state.deps.status.features())
        .chain(operators)
        .chain(functions)
    {
        all.entry(category).or_default().insert(name, has);
    }
    success(|out| {
        out.push(b'{');
        for (category, features) in &all {
            write_key(out, category);
            out.push(b'{');
            for (at, (name, has)) in features.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                // Not `write_key`: an operator may end in the brace that it looks for.
                write_string(out, name);
                out.extend_from_slice(if *has { b":true" } else { b":false" });
            }
            out.push(b'}');
        }
        out.push(b'}');
    })
}
