//! Real exporters and what they watch, scraped by the real binary in text and in protobuf.

use std::collections::BTreeSet;

use kymo_tests::exporters::{Postgres, Redis};
use kymo_tests::peer::Peer;
use kymo_tests::ports::free_port;
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};
use serde_json::Value;

/// A job that scrapes one address each second.
fn job(name: &str, address: &str, more: &str) -> String {
    format!("  - job_name: {name}\n    static_configs: [{{targets: ['{address}']}}]\n{more}")
}

fn config(jobs: &[String]) -> String {
    format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n{}", jobs.concat())
}

/// All series of a job, without the job, as texts.
fn series_of(kymo: &Kymo, job: &str) -> BTreeSet<String> {
    let selector = format!("{{job=\"{job}\",__name__!~\"scrape_.*|up\"}}");
    let series = http::api(&kymo.url(), "/api/v1/series", &[("match[]", &selector)]).expect("answered");
    let text = |labels: &Value| {
        let mut labels = labels.as_object().expect("labels").clone();
        labels.remove("job");
        serde_json::to_string(&labels).expect("text")
    };
    series.as_array().expect("a list").iter().map(text).collect()
}

const PROTOBUF: &str = "    scrape_protocols: [PrometheusProto]\n";
const TEXT: &str = "    scrape_protocols: [PrometheusText0.0.4]\n";

#[test]
fn etcd_says_the_same_in_protobuf_as_in_text() {
    let etcd = Peer::etcd();
    let address = etcd.address();
    let converted = "    convert_classic_histograms_to_nhcb: true\n    scrape_native_histograms: true\n";
    let kymo = Kymo::start_configured(&config(&[
        job("proto", &address, PROTOBUF),
        job("text", &address, TEXT),
        job("converted", &address, converted),
        job("converted_text", &address, &format!("{TEXT}    convert_classic_histograms_to_nhcb: true\n")),
    ]));
    for key in ["YQ==", "Yg==", "Yw=="] {
        let put = format!("{{\"key\":\"{key}\",\"value\":\"dg==\"}}");
        // On a slow machine, etcd may be busy with itself.
        poll::until("etcd to take a key", || {
            let answer = http::post(&format!("{}/v3/kv/put", etcd.url()), &[], put.as_bytes())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        });
    }
    for job in ["proto", "text"] {
        kymo.wait_for_value(&format!("etcd_mvcc_put_total{{job=\"{job}\"}} >= 3"));
        kymo.wait_until(&format!("etcd_server_has_leader{{job=\"{job}\"}}"), 1.0);
    }
    poll::until("the same series by both ways", || {
        let (proto, text) = (series_of(&kymo, "proto"), series_of(&kymo, "text"));
        let only_one: Vec<&String> = proto.symmetric_difference(&text).collect();
        if only_one.is_empty() && text.len() > 300 { Ok(()) } else { Err(format!("{only_one:#?}")) }
    });
    // Buckets and counts are those of the text, histogram by histogram.
    let histogram = "etcd_disk_wal_fsync_duration_seconds";
    for job in ["converted", "converted_text"] {
        kymo.wait_for_value(&format!("histogram_count({histogram}{{job=\"{job}\"}}) > 0"));
        let classic = kymo.instant(&format!("{histogram}_bucket{{job=\"{job}\"}}"));
        assert_eq!(classic.as_array().map(Vec::len), Some(0), "{classic}");
    }
    // Not one that may fall between two buckets, as 0.9 of ten does: there, the two kinds round to different sides.
    poll::until("the same quantile of classic and converted histograms", || {
        let classic = http::single_value(
            &kymo.url(),
            &format!("histogram_quantile(0.93719, {histogram}_bucket{{job=\"proto\"}})"),
        )?;
        let native = http::single_value(
            &kymo.url(),
            &format!("histogram_quantile(0.93719, {histogram}{{job=\"converted\"}})"),
        )?;
        if (classic - native).abs() < 1e-9 { Ok(()) } else { Err(format!("{classic} and {native}")) }
    });
    let known = http::api(&kymo.url(), "/api/v1/metadata", &[("metric", histogram)]).expect("answered");
    assert_eq!(known[histogram][0]["type"], "histogram", "{known}");
}

#[test]
fn redis_is_seen_through_its_exporter() {
    let redis = Redis::start();
    redis.command("SET a 1");
    redis.command("SET b 2");
    let address = redis.exporter.address();
    let kymo =
        Kymo::start_configured(&config(&[job("proto", &address, PROTOBUF), job("text", &address, TEXT)]));
    for job in ["proto", "text"] {
        kymo.wait_until(&format!("redis_up{{job=\"{job}\"}}"), 1.0);
        kymo.wait_until(&format!("redis_db_keys{{job=\"{job}\",db=\"db0\"}}"), 2.0);
    }
    redis.command("SET c 3");
    kymo.wait_until("redis_db_keys{job=\"text\",db=\"db0\"}", 3.0);
    redis.command("DEL a b c");
    kymo.wait_until("redis_db_keys{job=\"proto\",db=\"db0\"}", 0.0);
}

#[test]
fn postgresql_is_seen_through_its_exporter() {
    let postgres = Postgres::start(&[("max_connections", "57")]);
    let address = postgres.exporter.address();
    let kymo =
        Kymo::start_configured(&config(&[job("proto", &address, PROTOBUF), job("text", &address, TEXT)]));
    for job in ["proto", "text"] {
        kymo.wait_until(&format!("pg_up{{job=\"{job}\"}}"), 1.0);
        kymo.wait_until(&format!("pg_settings_max_connections{{job=\"{job}\"}}"), 57.0);
        kymo.wait_for_value(&format!(
            "pg_stat_database_numbackends{{job=\"{job}\",datname=\"postgres\"}} >= 1"
        ));
    }
}

#[test]
fn blackbox_probes_are_targets_made_by_relabelling() {
    let (etcd, blackbox) = (Peer::etcd(), Peer::blackbox_exporter());
    let (good, bad) = (format!("{}/health", etcd.url()), format!("http://127.0.0.1:{}/", free_port()));
    let kymo = Kymo::start_configured(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: probe\n    metrics_path: /probe\n    params: {{module: [http_2xx]}}\n    static_configs: [{{targets: ['{good}', '{bad}', 'http://left.out/']}}]\n    relabel_configs:\n      - {{source_labels: [__address__], target_label: __param_target}}\n      - {{source_labels: [__param_target], target_label: instance}}\n      - {{source_labels: [instance], regex: '.*left.out.*', action: drop}}\n      - {{target_label: __address__, replacement: '{}'}}\n",
        blackbox.address()
    ));
    // On a slow machine, a probe may come to nothing.
    kymo.wait_until(&format!("probe_success{{instance=\"{good}\"}}"), 1.0);
    kymo.wait_until(&format!("probe_success{{instance=\"{bad}\"}}"), 0.0);
    kymo.wait_until(&format!("probe_http_status_code{{instance=\"{good}\"}}"), 200.0);
    let targets = http::api(&kymo.url(), "/api/v1/targets", &[("state", "dropped")]).expect("answered");
    let dropped = &targets["droppedTargets"][0];
    assert_eq!(dropped["discoveredLabels"]["__address__"], "http://left.out/", "{targets}");
    assert_eq!(
        (&dropped["droppedBy"]["index"], &targets["droppedTargetCounts"]["probe"]),
        (&2.into(), &1.into())
    );
    let labels = serde_json::to_string(&dropped["discoveredLabels"]).expect("text");
    let asked = [("scrapePool", "probe"), ("labels", labels.as_str())];
    let steps = http::api(&kymo.url(), "/api/v1/targets/relabel_steps", &asked).expect("answered");
    let keeps: Vec<_> = steps["steps"].as_array().expect("steps").iter().map(|step| &step["keep"]).collect();
    assert_eq!(
        keeps,
        [&true, &true, &false, &false].map(|keep| Value::from(*keep)).iter().collect::<Vec<_>>()
    );
    assert_eq!(steps["steps"][1]["output"]["instance"], "http://left.out/", "{steps}");
    assert_eq!(steps["steps"][2]["rule"]["action"], "drop", "{steps}");
}
