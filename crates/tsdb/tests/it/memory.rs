//! What the head takes for each series, and that series which stopped are released.

use model::{Labels, STALE_NAN, TenantId};
use storage::conformance::NEWEST_MS;

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
