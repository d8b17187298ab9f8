//! Queries governed, driven from outside: what they would cost, and results that are kept without anybody
//! noticing.

use kymo_tests::http::{self, Response};
use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use serde_json::Value;

const MINUTE: i64 = 60_000;

fn write(kymo: &Kymo, i: usize, samples: &[(i64, f64)]) {
    let name = i.to_string();
    let answer = push::send(&kymo.url(), &[Series::new(&[("__name__", "x_total"), ("i", &name)], samples)]);
    assert_eq!(answer.expect("answered").status, 204);
}

fn get(kymo: &Kymo, path: &str) -> Response {
    http::get(&format!("{}{path}", kymo.url())).expect("answered")
}

/// The answer of a range query over an hour, with and without kept results; they must agree. How many steps were kept.
#[track_caller]
fn ask(kymo: &Kymo, query: &str, start_ms: i64) -> (Value, u64) {
    let range = format!("start={}&end={}&step=60", start_ms / 1_000, (start_ms + 60 * MINUTE) / 1_000);
    let path = format!("/api/v1/query_range?query={}&{range}", http::escape(query));
    let traced = get(kymo, &format!("{path}&trace=1")).json();
    let anew = get(kymo, &format!("{path}&nocache=1")).json();
    assert_eq!(traced["data"]["result"], anew["data"]["result"], "{query}");
    (anew["data"]["result"].clone(), traced["data"]["keptSteps"].as_u64().expect("a number"))
}

#[test]
fn kept_results_follow_late_samples_and_deletes() {
    let kymo = Kymo::start_with(&["--enable-admin-api"]);
    let start_ms = push::now_ms() / MINUTE * MINUTE - 70 * MINUTE;
    for i in 0..3 {
        let samples: Vec<(i64, f64)> =
            (0..=60).map(|at| (start_ms + at * MINUTE, (at * 10) as f64)).collect();
        write(&kymo, i, &samples);
    }
    let query = "sum(increase(x_total[5m]))";
    let (first, kept) = ask(&kymo, query, start_ms);
    assert_eq!(kept, 0);
    assert_eq!(ask(&kymo, query, start_ms), (first.clone(), 61), "nothing has changed");
    write(&kymo, 0, &[(start_ms + 30 * MINUTE + 7, 1.0)]);
    let (second, kept) = ask(&kymo, query, start_ms);
    assert!(second != first && kept == 30, "a late sample concerns what follows it: {kept}");
    let range =
        format!("start={}&end={}", (start_ms + 10 * MINUTE) / 1_000, (start_ms + 20 * MINUTE) / 1_000);
    let path = format!("/api/v1/admin/tsdb/delete_series?match[]={}&{range}", http::escape("x_total"));
    let deleted = http::post(&format!("{}{path}", kymo.url()), &[], b"").expect("answered");
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    let (third, kept) = ask(&kymo, query, start_ms);
    assert!(third != second && kept == 10, "a delete concerns what follows it: {kept}");
    assert_eq!(ask(&kymo, query, start_ms).1, 61);
    let metrics = get(&kymo, "/metrics").text();
    assert!(metrics.contains("kymo_promql_result_cache_requests_total{result=\"hit\"} 2"), "{metrics}");
}

#[test]
fn what_a_query_would_cost_is_told_by_the_index() {
    let kymo = Kymo::start_with(&[]);
    let start_ms = push::now_ms() / MINUTE * MINUTE - 70 * MINUTE;
    for i in 0..5 {
        let samples: Vec<(i64, f64)> = (0..=60).map(|at| (start_ms + at * MINUTE, at as f64)).collect();
        write(&kymo, i, &samples);
    }
    let check = |samples_min: u64| {
        let range = format!("start={}&end={}&step=60", start_ms / 1_000, (start_ms + 60 * MINUTE) / 1_000);
        let cost = get(&kymo, &format!("/api/v1/query_cost?query=rate(x_total[5m])&{range}")).json();
        let cost = &cost["data"];
        assert_eq!(
            (&cost["series"], &cost["steps"], &cost["fits"]),
            (&5.into(), &61.into(), &true.into()),
            "{cost}"
        );
        let samples = cost["samples"].as_u64().expect("a number");
        assert!((samples_min..=350).contains(&samples), "{samples}");
    };
    check(250);
    let compacted =
        http::post(&format!("{}/api/v1/admin/tsdb/compact", kymo.url()), &[], b"").expect("answered");
    assert_eq!(compacted.status, 200, "{}", compacted.text());
    // In a block, samples are taken to be spread evenly over all series.
    check(1);
}
