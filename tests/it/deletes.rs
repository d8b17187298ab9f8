//! Selecting, late and duplicate samples, deletes and retention, driven from outside.

use std::collections::BTreeMap;

use kymo_tests::http::{self, Response};
use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use serde_json::Value;

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;

/// Now, on a full second.
fn now_ms() -> i64 {
    push::now_ms() / 1000 * 1000
}

/// The middle of a block of a while ago: what is written within an hour of it, or of the same time of another day, is in one block.
fn middle_of_block_ms() -> i64 {
    const BLOCK: i64 = 120 * MINUTE;
    now_ms() / BLOCK * BLOCK - BLOCK / 2
}

#[track_caller]
fn write(kymo: &Kymo, metric: &str, i: &str, samples: &[(i64, f64)]) {
    let answer = push::send(&kymo.url(), &[Series::new(&[("__name__", metric), ("i", i)], samples)]);
    assert_eq!(answer.expect("answered").status, 204);
}

fn post(kymo: &Kymo, path: &str) -> Response {
    http::post(&format!("{}{path}", kymo.url()), &[], b"").expect("answered")
}

#[track_caller]
fn delete(kymo: &Kymo, selector: &str, range: &str) {
    let path = format!("/api/v1/admin/tsdb/delete_series?match[]={}{range}", http::escape(selector));
    let answer = post(kymo, &path);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// Samples of each series by its label `i`.
fn stored(kymo: &Kymo, metric: &str, end_ms: i64) -> BTreeMap<String, Vec<(i64, f64)>> {
    let (query, time) = (format!("{metric}[40d]"), format!("{:.3}", end_ms as f64 / 1e3));
    let data = http::api(&kymo.url(), "/api/v1/query", &[("query", &query), ("time", &time)]);
    let mut found = BTreeMap::new();
    for series in data.expect("answered")["result"].as_array().expect("a matrix") {
        let i = series["metric"]["i"].as_str().unwrap_or_default().to_owned();
        let samples = series["values"].as_array().expect("samples").iter().map(|sample| {
            let at_ms = (sample[0].as_f64().expect("a time") * 1e3).round() as i64;
            (at_ms, sample[1].as_str().and_then(|value| value.parse().ok()).expect("a value"))
        });
        found.insert(i, samples.collect());
    }
    found
}

fn times(kymo: &Kymo, metric: &str, i: &str, from_ms: i64) -> Vec<i64> {
    let found = stored(kymo, metric, from_ms + DAY);
    found
        .get(i)
        .map(|samples| samples.iter().map(|(t, _)| (t - from_ms) / MINUTE).collect())
        .unwrap_or_default()
}

fn compact(kymo: &Kymo) -> Value {
    let answer = post(kymo, "/api/v1/admin/tsdb/compact");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

#[test]
fn selectors_select_what_they_should_in_memory_and_on_disk() {
    let mut kymo = Kymo::start();
    let at_ms = now_ms() - 10 * MINUTE;
    for i in ["a1", "a2", "b1", "ü"] {
        write(&kymo, "select_test", i, &[(at_ms, 1.0)]);
    }
    for round in 0..3 {
        for (selector, want) in [
            (r#"select_test"#, "a1 a2 b1 ü"),
            (r#"{__name__="select_test",i="a1"}"#, "a1"),
            (r#"select_test{i!="a1"}"#, "a2 b1 ü"),
            (r#"select_test{i=~"a.*|ü"}"#, "a1 a2 ü"),
            (r#"select_test{i!~"a.+"}"#, "b1 ü"),
            (r#"select_test{absent=""}"#, "a1 a2 b1 ü"),
            (r#"select_test{i=""}"#, ""),
        ] {
            let found = http::api(&kymo.url(), "/api/v1/series", &[("match[]", selector)]).expect("answered");
            let found: Vec<&str> =
                found.as_array().expect("a list").iter().filter_map(|labels| labels["i"].as_str()).collect();
            assert_eq!(found.join(" "), want, "{selector}, round {round}");
        }
        match round {
            0 => drop(compact(&kymo)),
            _ => kymo.restart(),
        }
    }
}

#[test]
fn late_duplicate_and_replaced_samples_end_as_the_last_write_says() {
    let mut kymo = Kymo::start();
    let t = now_ms() - 5 * DAY;
    write(&kymo, "late_test", "1", &[(t + 5 * MINUTE, 5.0), (t + 6 * MINUTE, 6.0)]);
    write(&kymo, "late_test", "1", &[(t + 6 * MINUTE, 6.0)]);
    write(&kymo, "late_test", "1", &[(t, 0.0), (t + 3 * MINUTE, 3.0)]);
    compact(&kymo);
    write(&kymo, "late_test", "1", &[(t + 3 * MINUTE, 33.0), (t + MINUTE, 1.0), (t + 5 * MINUTE, 5.0)]);
    let want = [(0, 0.0), (1, 1.0), (3, 33.0), (5, 5.0), (6, 6.0)].map(|(m, v)| (t + m * MINUTE, v));
    for round in 0..4 {
        assert_eq!(stored(&kymo, "late_test", t + DAY)["1"], want, "round {round}");
        match round {
            0 => kymo.crash_and_restart(),
            1 => drop(compact(&kymo)),
            _ => kymo.restart(),
        }
    }
}

#[test]
fn deleted_samples_are_gone_at_once_and_for_good() {
    let mut kymo = Kymo::start_with(&["--enable-admin-api"]);
    let t = now_ms() - 60 * MINUTE;
    let samples: Vec<(i64, f64)> = (0..10).map(|m| (t + m * MINUTE, m as f64)).collect();
    for i in ["1", "2", "3"] {
        write(&kymo, "delete_test", i, &samples);
    }
    let range = format!("&start={}&end={}", (t + 2 * MINUTE) / 1000, (t + 7 * MINUTE) / 1000);
    delete(&kymo, r#"delete_test{i="1"}"#, &range);
    delete(&kymo, r#"delete_test{i="2"}"#, "");
    // Written again: the newest of all with the same value, and one in between.
    write(&kymo, "delete_test", "2", &[samples[9]]);
    write(&kymo, "delete_test", "1", &[(t + 4 * MINUTE, 44.0)]);
    for round in 0..6 {
        assert_eq!(times(&kymo, "delete_test", "1", t), [0, 1, 4, 8, 9], "round {round}");
        assert_eq!(times(&kymo, "delete_test", "2", t), [9], "round {round}");
        assert_eq!(times(&kymo, "delete_test", "3", t).len(), 10, "round {round}");
        match round {
            0 => kymo.crash_and_restart(),
            1 => assert_eq!(post(&kymo, "/api/v1/admin/tsdb/clean_tombstones").status, 204),
            2 => kymo.restart(),
            3 => drop(compact(&kymo)),
            _ => kymo.crash_and_restart(),
        }
    }
    delete(&kymo, r#"{__name__="delete_test"}"#, "");
    let listed = http::api(&kymo.url(), "/api/v1/series", &[("match[]", "delete_test")]).expect("answered");
    assert_eq!(listed.as_array().map(Vec::len), Some(0));
}

#[test]
fn nothing_is_deleted_unless_it_was_allowed() {
    let kymo = Kymo::start();
    let answer = post(&kymo, "/api/v1/admin/tsdb/delete_series?match[]=up");
    assert!(answer.status == 403 && answer.text().contains("admin APIs disabled"), "{}", answer.text());
}

#[test]
fn what_is_older_than_the_retention_or_too_much_goes() {
    let config = |limits: &str| {
        format!("global: {{scrape_interval: 1h}}\nstorage:\n  tsdb:\n    retention: {{{limits}}}\n")
    };
    let kymo = Kymo::start_configured(&config("time: 30d"));
    let t = middle_of_block_ms();
    for days in [20, 10, 5, 1] {
        let samples: Vec<(i64, f64)> = (0..500)
            .map(|s| (t - days * DAY + s * 1000, f64::from((s * 7919 % 104_729) as i32).sqrt()))
            .collect();
        write(&kymo, "retention_test", &days.to_string(), &samples);
    }
    compact(&kymo);
    let days = || stored(&kymo, "retention_test", t).into_keys().collect::<Vec<String>>().join(" ");
    assert_eq!(days(), "1 10 20 5");
    let reload = |limits: &str| {
        kymo.write_config(&config(limits));
        let answer = post(&kymo, "/-/reload");
        assert_eq!(answer.status, 200, "{}", answer.text());
        compact(&kymo)
    };
    reload("time: 12d");
    assert_eq!(days(), "1 10 5");
    // Samples beyond it are refused, too.
    let late = Series::new(&[("__name__", "retention_test"), ("i", "20")], &[(t - 20 * DAY, 1.0)]);
    assert_eq!(push::send(&kymo.url(), &[late]).expect("answered").status, 400);
    let bytes = reload("time: 12d")["blockBytesAfter"].as_u64().expect("a size");
    let after = reload(&format!("time: 12d, size: {}B", bytes - 100));
    assert!(after["blockBytesAfter"].as_u64().expect("a size") < bytes, "{after}");
    assert_eq!(days(), "1 5", "the oldest went");
}

#[test]
fn each_tenant_keeps_as_long_and_as_much_as_the_file_says() {
    let config = |tenants: &str| {
        format!(
            "global: {{scrape_interval: 1h}}\nstorage:\n  tsdb: {{retention: {{time: 30d}}}}\n  tenants: {{{tenants}}}\n"
        )
    };
    let kymo = Kymo::start_configured(&config(""));
    let t = middle_of_block_ms();
    let send = |tenant: &str, days: i64| {
        let samples: Vec<(i64, f64)> = (0..500)
            .map(|s| (t - days * DAY + s * 1000, f64::from((s * 7919 % 104_729) as i32).sqrt()))
            .collect();
        let series = Series::new(&[("__name__", "kept_test"), ("i", &days.to_string())], &samples);
        push::send_as(&kymo.url(), tenant, &[series]).expect("answered").status
    };
    for tenant in ["long", "short", "small"] {
        assert!([20, 10, 5, 1].iter().all(|days| send(tenant, *days) == 204));
    }
    let size = compact(&kymo)["blockBytesAfter"].as_u64().expect("a size") / 3;
    let kept = |tenant: &str| {
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("X-Scope-OrgID", tenant)];
        let body = b"query=count(last_over_time(kept_test[40d]))";
        let answer = http::post(&format!("{}/api/v1/query", kymo.url()), &headers, body).expect("answered");
        answer.json()["data"]["result"][0]["value"][1].as_str().unwrap_or("0").to_owned()
    };
    assert_eq!(["long", "short", "small"].map(kept), ["4", "4", "4"]);
    let reload = |tenants: &str| {
        kymo.write_config(&config(tenants));
        let answer = post(&kymo, "/-/reload");
        assert_eq!(answer.status, 200, "{}", answer.text());
        compact(&kymo);
    };
    let own = format!("short: {{retention: {{time: 7d}}}}, small: {{retention: {{size: {}B}}}}", size / 2);
    reload(&own);
    assert_eq!(["long", "short", "small"].map(kept), ["4", "2", "2"]);
    assert_eq!([send("long", 25), send("short", 10), send("small", 25)], [204, 400, 204]);
    reload("long: {retention: {time: 2d}}");
    assert_eq!(["long", "short"].map(kept), ["1", "2"]);
    // A fault changes nothing.
    kymo.write_config(&config("short: {retention: {size: -1B}}"));
    let answer = post(&kymo, "/-/reload");
    assert!(answer.status != 200 && answer.text().contains("size"), "{}", answer.text());
    assert_eq!(send("long", 10), 400);
}
