//! `/api/v1/targets` and `/api/v1/scrape_pools`.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::Response;
use model::number::FloatFormat;
use model::time::format_duration_ms;
use scrape::status::{ActiveTarget, DroppedTarget, InvalidTarget};

use crate::error::ApiError;
use crate::json::{write_key, write_labels, write_number, write_string_html, write_strings, write_uint};
use crate::params::{Params, format_time};
use crate::relabel_steps;
use crate::respond::{Annotations, success, success_with};
use crate::state::State;
use crate::work::{blocking, cancel_after};

pub(crate) async fn scrape_pools(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    let mut pools = state.backends()?.targets.pools();
    pools.sort_unstable();
    Ok(success(|out| {
        out.push(b'{');
        write_key(out, "scrapePools");
        write_strings(out, &pools);
        out.push(b'}');
    }))
}

pub(crate) async fn targets(
    Extract(state): Extract<Arc<State>>,
    params: Params,
) -> Result<Response, ApiError> {
    let wanted_state = params.get("state").to_lowercase();
    let is_wanted = |state: &str| matches!(wanted_state.as_str(), "" | "any") || wanted_state == state;
    let (show_active, show_dropped) = (is_wanted("active"), is_wanted("dropped"));
    let pool = params.get("scrapePool").to_owned();
    let work = {
        let state = Arc::clone(&state);
        move || {
            let targets = &state.backends()?.targets;
            let in_pool = |of: &str| pool.is_empty() || of == pool;
            let mut active = if show_active { targets.active() } else { Vec::new() };
            active.retain(|target| in_pool(&target.pool));
            let mut dropped = if show_dropped { targets.dropped() } else { Vec::new() };
            dropped.retain(|target| in_pool(&target.pool));
            let mut invalid = if show_dropped { targets.invalid() } else { Vec::new() };
            invalid.retain(|target| in_pool(&target.pool));
            let counts = show_dropped.then(|| targets.dropped_counts());
            let failures = targets.discovery_failures().into_iter().filter(|(of, _)| in_pool(of));
            let warnings = failures.map(|(pool, failure)| format!("{pool}: {failure}")).collect();
            let annotations = Annotations { warnings, ..Annotations::default() };
            let write = |out: &mut Vec<u8>| write_discovery(out, &active, &dropped, &invalid, counts);
            Ok::<_, ApiError>(success_with(&annotations, write))
        }
    };
    blocking(&state, cancel_after(&state, None), work).await?
}

fn write_discovery(
    out: &mut Vec<u8>,
    active: &[ActiveTarget],
    dropped: &[DroppedTarget],
    invalid: &[InvalidTarget],
    counts: Option<Vec<(String, usize)>>,
) {
    out.push(b'{');
    write_key(out, "activeTargets");
    out.push(b'[');
    for (at, target) in active.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_active(out, target);
    }
    out.push(b']');
    write_key(out, "droppedTargets");
    out.push(b'[');
    for (at, target) in dropped.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
        write_key(out, "discoveredLabels");
        write_labels(out, &target.discovered_labels);
        write_key(out, "scrapePool");
        write_string_html(out, &target.pool);
        // Kymo's own: which rule it was.
        write_key(out, "droppedBy");
        out.push(b'{');
        write_key(out, "index");
        write_uint(out, target.dropped_by as u64);
        write_key(out, "rule");
        relabel_steps::write_rule(out, &target.rule);
        out.extend_from_slice(b"}}");
    }
    out.push(b']');
    if !invalid.is_empty() {
        write_invalid(out, invalid);
    }
    write_key(out, "droppedTargetCounts");
    match counts {
        None => out.extend_from_slice(b"null"),
        Some(mut counts) => {
            counts.sort_unstable();
            out.push(b'{');
            for (pool, count) in &counts {
                write_key(out, pool);
                write_uint(out, *count as u64);
            }
            out.push(b'}');
        }
    }
    out.push(b'}');
}

/// Kymo's own: targets that were discovered and cannot be scraped.
fn write_invalid(out: &mut Vec<u8>, invalid: &[InvalidTarget]) {
    write_key(out, "invalidTargets");
    out.push(b'[');
    for (at, target) in invalid.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"{" } else { b",{" });
        write_key(out, "discoveredLabels");
        write_labels(out, &target.discovered_labels);
        for (key, value) in [("scrapePool", &target.pool), ("error", &target.error)] {
            write_key(out, key);
            write_string_html(out, value);
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn write_active(out: &mut Vec<u8>, target: &ActiveTarget) {
    out.push(b'{');
    write_key(out, "discoveredLabels");
    write_labels(out, &target.discovered_labels);
    write_key(out, "labels");
    write_labels(out, &target.labels);
    let last_scrape = if target.last_scrape_ms == 0 {
        "0001-01-01T00:00:00Z".into()
    } else {
        format_time(target.last_scrape_ms)
    };
    for (key, value) in [
        ("scrapePool", target.pool.as_str()),
        ("scrapeUrl", &target.scrape_url),
        ("globalUrl", &target.global_url),
        ("lastError", &target.last_error),
        ("lastScrape", &last_scrape),
    ] {
        write_key(out, key);
        write_string_html(out, value);
    }
    write_key(out, "lastScrapeDuration");
    write_number(out, target.last_scrape_duration_s, FloatFormat::Json);
    write_key(out, "health");
    write_string_html(out, target.health.as_str());
    write_key(out, "scrapeInterval");
    write_string_html(out, &format_duration_ms(target.interval_ms));
    write_key(out, "scrapeTimeout");
    write_string_html(out, &format_duration_ms(target.timeout_ms));
    if target.last_excess_count > 0 {
        // Kymo's own: samples of new series that `series_limit` left out.
        write_key(out, "seriesLimitExcess");
        write_uint(out, target.last_excess_count);
    }
    out.push(b'}');
}
