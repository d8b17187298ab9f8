//! Plans and costs of queries as JSON trees.

use promql::{Cost, Limits, PlanNode};
use serde_json::{Value, json};

/// A plan, with what was estimated and what was measured.
pub(crate) fn plan_tree(node: &PlanNode) -> Value {
    let mut tree = json!({"operator": node.operator, "text": node.text, "fixed": node.is_fixed});
    if node.is_shared {
        tree["shared"] = json!(true);
    }
    if let Some(estimate) = node.estimate {
        tree["estimate"] = json!({"series": estimate.series_count, "samples": estimate.sample_count});
    }
    if let Some(measured) = node.measured {
        tree["measured"] = json!({
            "evaluations": measured.evaluation_count,
            "series": measured.series_count,
            "samples": measured.sample_count,
            "seconds": measured.took.as_secs_f64(),
        });
    }
    if let Some(reading) = node.reading {
        let sources = reading.sources;
        tree["reading"] = json!({
            "seriesSelected": reading.selected_count,
            "series": reading.series_count,
            "samples": reading.sample_count,
            "bytes": reading.bytes,
            "seconds": reading.took.as_secs_f64(),
            "headSeries": sources.head_series_count,
            "blocks": sources.block_count,
            "chunks": sources.chunk_count,
            "framesCached": sources.frames_cached,
            "framesRead": sources.frames_read,
        });
    }
    tree["children"] = node.children.iter().map(plan_tree).collect();
    tree
}

/// What a query would cost, and what it may.
pub(crate) fn cost_tree(cost: &Cost, plan: &PlanNode, limits: &Limits, memory_bytes_max: u64) -> Value {
    let series_max = (limits.series_max < u64::MAX).then_some(limits.series_max);
    json!({
        "series": cost.series_count,
        "samples": cost.sample_count,
        "steps": cost.step_count,
        "memoryBytes": cost.memory_bytes,
        "limits": {"memoryBytes": memory_bytes_max, "series": series_max, "samples": limits.samples_max},
        "fits": cost.memory_bytes <= memory_bytes_max && cost.series_count <= limits.series_max,
        "plan": plan_tree(plan),
    })
}
