//! How much a selection would find, from the index alone: no series is visited, no sample read.
//!
//! Series are resolved as for the selection itself, and with the same caches, so that what comes after costs less. Samples are
//! taken to be spread evenly over the series and the time of a block, or of the head.

use storage::{Error, Estimate, QueryContext, SelectRequest};

use crate::head::{Head, locate};
use crate::postings::resolve_mostly;
use crate::select::{Selected, head_series};
use crate::tenant::Tenant;

/// Of the head's series, so many are looked at to learn how many samples they have.
const PROBES: usize = 32;

pub(crate) fn estimate(
    tenant: &Tenant,
    request: &SelectRequest<'_>,
    context: &QueryContext,
) -> Result<Estimate, Error> {
    let (start_ms, end_ms) = (request.start_ms, request.end_ms);
    let selected = head_series(&tenant.head, request.matchers, context)?;
    let mut estimate = of_head(&tenant.head, &selected, request);
    for block in tenant.blocks().iter().filter(|block| block.overlaps(start_ms, end_ms)) {
        context.cancel.check()?;
        let meta = block.meta();
        // Matchers that are tried on each series are taken to be met by all: this is rather too many.
        let found = match block.selections.get(0, request.matchers) {
            Some(known) => known.len(),
            None => resolve_mostly(&**block, request.matchers)?.series.len(),
        };
        let of_all = found as f64 / meta.series_count.max(1) as f64;
        let of_time = share((meta.min_ms, meta.max_ms), (start_ms, end_ms));
        estimate.sample_count += (meta.sample_count as f64 * of_all * of_time) as u64;
        // The same series are in many blocks.
        estimate.series_count = estimate.series_count.max(found);
    }
    Ok(estimate)
}

/// As [`estimate`], if the selection is known and all it reads is in memory.
pub(crate) fn estimate_at_hand(tenant: &Tenant, request: &SelectRequest<'_>) -> Option<Estimate> {
    let version = tenant.head.index.try_read()?.version();
    let selected = tenant.head.selections.get(version, request.matchers)?;
    let is_in_head = tenant.blocks().iter().all(|block| !block.overlaps(request.start_ms, request.end_ms));
    is_in_head.then(|| of_head(&tenant.head, &selected, request))
}

fn of_head(head: &Head, selected: &Selected, request: &SelectRequest<'_>) -> Estimate {
    let mut estimate = Estimate::default();
    let numbers = &selected.numbers;
    let (mut probed, mut samples) = (0.0, 0.0);
    for number in numbers.iter().step_by((numbers.len() / PROBES).max(1)) {
        let (shard, slot) = locate(*number);
        let shard = head.shards[shard].read();
        let Some(Some(series)) = shard.slots.get(slot) else { continue };
        probed += 1.0;
        if let Some((min_ms, max_ms)) = series.range_ms() {
            let asked = (request.start_ms, request.end_ms);
            samples += series.sample_count() as f64 * share((min_ms, max_ms), asked);
        }
    }
    if probed > 0.0 {
        estimate.sample_count = (samples / probed * numbers.len() as f64) as u64;
    }
    if samples > 0.0 {
        estimate.series_count = numbers.len() as u64;
    }
    estimate
}

/// Which part of a range, inclusive at both ends, lies in another one.
fn share((min_ms, max_ms): (i64, i64), (start_ms, end_ms): (i64, i64)) -> f64 {
    let common = max_ms.min(end_ms) as f64 - min_ms.max(start_ms) as f64 + 1.0;
    (common / (max_ms as f64 - min_ms as f64 + 1.0)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_of_a_range_that_is_asked_for() {
        let check = |range, asked, want: f64| assert!((share(range, asked) - want).abs() < 1e-9);
        check((0, 99), (0, 99), 1.0);
        check((0, 99), (50, 1_000), 0.5);
        check((0, 99), (-9, 9), 0.1);
        check((0, 99), (200, 300), 0.0);
        check((7, 7), (0, 10), 1.0);
        check((i64::MIN, i64::MAX), (i64::MIN, i64::MAX), 1.0);
    }
}
