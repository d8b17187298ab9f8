//! What the head takes for each series, and that series which stopped are released.

use model::{Labels, TenantId};
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
        ("path", format!("/api/v1/orders/{i}")),
        ("pod", format!("checkout-{generation:08x}-{:05x}", i / 50)),
        ("status", "200".to_owned()),
    ])
}

fn write_all(bed: &Testbed, all: &[Labels], at_ms: i64) {
    bed.clock.set_ms(at_ms);
    let samples: Vec<(&Labels, i64, f64)> = all.iter().map(|labels| (labels, at_ms, 1.0)).collect();
    assert_eq!(bed.write(&samples).rejected.len(), 0);
}

#[test]
fn a_series_takes_few_bytes() {
    let bed = Testbed::new();
    let all: Vec<Labels> = (0..10_000).map(|i| pod_series(0, i)).collect();
    for round in 0..3 {
        write_all(&bed, &all, NEWEST_MS + round * 15_000);
    }
    let stats = bed.tsdb().stats(&TenantId::anonymous(), 0);
    assert_eq!((stats.series_count, stats.sample_count), (10_000, 30_000));
    let label_bytes: usize = all.iter().map(|labels| labels.packed().len()).sum();
    let besides = (stats.head_bytes as usize - label_bytes) / all.len();
    assert!(besides <= 340, "{besides} bytes besides the labels of each series");
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
