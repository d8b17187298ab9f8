//! What the head takes for each series, that series which stopped are released, and that working memory is counted.

use model::{Labels, STALE_NAN, TenantId};
use stdx::cancel::Cancel;
use stdx::memory::Budget;
use storage::conformance::NEWEST_MS;
use storage::{Querier, QueryContext, SelectHints, SelectRequest, SeriesSamples};

use crate::testbed::Testbed;

const MINUTE_MS: i64 = 60_000;

/// Ten labels of the lengths that exporters and Kubernetes give them.
fn pod_series(generation: i64, i: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", format!("http_request_duration_seconds_bucket_{}", i % 50)),
        ("cluster", "eu-west-1".to_owned()),
        ("instance", format!("10.12.{}.{}:8080", i / 1000, i % 250)),
        ("job", "api".to_owned()),
        ("le", format!("0.{}", i % 10)),
        ("method", "GET".to_owned()),
        ("namespace", "shop".to_owned()),
        ("path", format!("/api/v1/orders/{}", i % 40)),
        ("pod", format!("checkout-{generation:08x}-{:05x}", i / 50)),
        ("status", "200".to_owned()),
    ])
}

fn write_all(bed: &Testbed, all: &[Labels], at_ms: i64) {
    bed.clock.set_ms(at_ms);
    let samples: Vec<(&Labels, i64, f64)> = all.iter().map(|labels| (labels, at_ms, 1.0)).collect();
    assert_eq!(bed.write(&samples).rejected.len(), 0);
}

fn head_bytes(bed: &Testbed) -> u64 {
    bed.tsdb().stats(&TenantId::anonymous(), 0).head_bytes
}

/// All in: labels, the open chunk, index, tables, and half an hour of samples that change.
#[test]
fn a_series_takes_few_bytes() {
    let bed = Testbed::new();
    let all: Vec<Labels> = (0..5_000).map(|i| pod_series(0, i)).collect();
    write_all(&bed, &all, NEWEST_MS);
    let idle = head_bytes(&bed) / 5_000;
    assert!(idle < 280, "{idle} bytes a series with one sample");
    for round in 1..=30 {
        let at_ms = NEWEST_MS + round * 15_000 + round % 7;
        bed.clock.set_ms(at_ms);
        let samples: Vec<(&Labels, i64, f64)> =
            (0..).zip(&all).map(|(i, labels)| (labels, at_ms, (i * 1_000 + round * 31) as f64)).collect();
        assert_eq!(bed.write(&samples).rejected.len(), 0);
    }
    let active = head_bytes(&bed) / 5_000;
    assert!(active < 400, "{active} bytes a series");
}

#[test]
fn what_is_counted_for_a_series_goes_with_it() {
    let bed = Testbed::new();
    for generation in 0..3 {
        let all: Vec<Labels> = (0..2_000).map(|i| pod_series(generation, i)).collect();
        write_all(&bed, &all, NEWEST_MS + generation * 60 * MINUTE_MS);
    }
    bed.clock.set_ms(NEWEST_MS + 300 * MINUTE_MS);
    bed.tsdb().flush().expect("flushed");
    assert_eq!(head_bytes(&bed), 0);
}

#[test]
fn series_that_stopped_are_released_without_a_flush_of_the_others() {
    let bed = Testbed::new();
    let [gone, stale, alive] =
        [0, 1, 2].map(|generation| (0..2_000).map(|i| pod_series(generation, i)).collect::<Vec<Labels>>());
    let count = || bed.tsdb().stats(&TenantId::anonymous(), 0).series_count;
    for all in [&gone, &stale, &alive] {
        write_all(&bed, all, NEWEST_MS);
    }
    let markers: Vec<(&Labels, i64, f64)> =
        stale.iter().map(|labels| (labels, NEWEST_MS + 1, STALE_NAN)).collect();
    assert_eq!(bed.write(&markers).rejected.len(), 0);
    let mut counts = Vec::new();
    for minute in 1..=7 {
        write_all(&bed, &alive, NEWEST_MS + minute * MINUTE_MS);
        bed.tsdb().release_stopped().expect("written");
        counts.push(count());
    }
    assert_eq!(counts, [6_000, 4_000, 4_000, 4_000, 4_000, 2_000, 2_000]);
    assert_eq!(bed.tsdb().stats(&TenantId::anonymous(), 0).sample_count, 16_000, "the others' samples stay");
    let found = || bed.all().values().map(Vec::len).sum::<usize>();
    assert_eq!(found(), 2_000 + 4_000 + 16_000, "and nothing is lost");
    bed.kill();
    bed.start();
    assert_eq!(found(), 2_000 + 4_000 + 16_000, "nor when the journal brings them back");
}

#[test]
fn series_that_come_and_go_do_not_pile_up() {
    let bed = Testbed::new();
    let mut after_first = None;
    for hour in 0..4 {
        let all: Vec<Labels> = (0..2_000).map(|i| pod_series(hour, i)).collect();
        for minute in [0, 20, 40, 59] {
            write_all(&bed, &all, NEWEST_MS + (hour * 60 + minute) * MINUTE_MS);
        }
        bed.tsdb().flush().expect("flushed");
        let stats = bed.tsdb().stats(&TenantId::anonymous(), 0);
        assert_eq!(stats.series_count, 2_000, "hour {hour}: only those of this hour");
        let first = *after_first.get_or_insert(stats.head_bytes);
        assert!(stats.head_bytes <= first + first / 20, "hour {hour}: {} after {first}", stats.head_bytes);
    }
    assert_eq!(bed.metric("kymo_tsdb_head_series_removed_total"), 6_000.0);
    assert_eq!(bed.all().len(), 8_000, "their samples are all there");
}

#[test]
fn blocks_are_made_although_memory_is_used_up_and_what_that_takes_is_counted() {
    let budget = Budget::root("storage", 8 << 20);
    let bed = Testbed::with_budget(budget.clone());
    let all: Vec<Labels> = (0..200).map(|i| pod_series(0, i)).collect();
    let others = budget.reserve(budget.limit_bytes() - budget.used_bytes()).expect("the rest");
    for round in 0..3 {
        write_all(&bed, &all, NEWEST_MS + round * MINUTE_MS);
        bed.tsdb().flush().expect("flushed");
    }
    let peak_bytes = budget.peak_bytes();
    assert!(peak_bytes > budget.limit_bytes() + (1 << 20), "a flush is counted: {peak_bytes}");
    bed.tsdb().compact_all().expect("compacted");
    assert!(budget.peak_bytes() > peak_bytes + (2 << 20), "so is a compaction: {}", budget.peak_bytes());
    assert_eq!(bed.all().values().map(Vec::len).sum::<usize>(), 600);
    drop(others);
    assert!(budget.used_bytes() < 1 << 20, "it is given back: {}", budget.used_bytes());
}

#[test]
fn what_decoding_takes_is_the_querys() {
    let bed = Testbed::new();
    let labels = pod_series(0, 0);
    bed.clock.set_ms(NEWEST_MS + 4_000_000);
    let samples: Vec<(&Labels, i64, f64)> =
        (0..4_000).map(|i| (&labels, NEWEST_MS + i * 1_000, i as f64)).collect();
    bed.write(&samples);
    bed.tsdb().flush().expect("flushed");
    let request =
        SelectRequest { matchers: &[], start_ms: 0, end_ms: i64::MAX, hints: SelectHints::default() };
    let select = |budget: &std::sync::Arc<Budget>| {
        let context = QueryContext { budget: budget.clone(), cancel: Cancel::never() };
        bed.tsdb().select(&TenantId::anonymous(), &request, &context).expect("selected")
    };
    let budget = Budget::root("query", 1 << 20);
    let set = select(&budget);
    let selected_bytes = budget.used_bytes();
    set.read(0, &mut SeriesSamples::default()).expect("read");
    let read_bytes = budget.used_bytes();
    assert!(read_bytes >= selected_bytes + 4_000 * 16, "{selected_bytes}, then {read_bytes}");
    set.read(0, &mut SeriesSamples::default()).expect("read again");
    assert_eq!(budget.used_bytes(), read_bytes, "with the same buffers");
    drop(set);
    assert_eq!(budget.used_bytes(), 0);
    let too_small = Budget::root("query", 80 << 10);
    let refused = select(&too_small).read(0, &mut SeriesSamples::default());
    assert_eq!(refused.expect_err("too much").kind(), storage::ErrorKind::Limit);
}
