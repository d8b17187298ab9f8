//! What is written to one Kymo, or to an agent, arrives at another: through outages and crashes, in order, and if the queue is too small,
//! all but the oldest.

use kymo_tests::push::{Series, now_ms, send};
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};

/// Sends numbers from `range` as samples of one series, a second apart.
fn send_numbers(to: &Kymo, base_ms: i64, range: std::ops::Range<i64>) {
    for number in range {
        let series = Series::new(
            &[("__name__", "number"), ("job", "test")],
            &[(base_ms + number * 1_000, number as f64)],
        );
        let answer = send(&to.url(), &[series]).expect("answered");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

/// All samples of a series, as (timestamp, value).
fn samples(kymo: &Kymo, query: &str) -> Vec<(f64, f64)> {
    let found = kymo.instant(query);
    let values = found[0]["values"].as_array().cloned().unwrap_or_default();
    values
        .iter()
        .map(|pair| {
            let value = pair[1].as_str().and_then(|text| text.parse().ok());
            (pair[0].as_f64().expect("a time"), value.expect("a number"))
        })
        .collect()
}

/// Waits until the receiver has `count` samples, and checks that they are the last of `0..end`.
fn check_arrived(receiver: &Kymo, count: i64, end: i64) {
    poll::until("all samples to arrive", || {
        match http::single_value(&receiver.url(), "count_over_time(number[1d])") {
            Ok(arrived) if arrived == count as f64 => Ok(()),
            other => Err(format!("{other:?} of {count}")),
        }
    });
    let values: Vec<i64> = samples(receiver, "number[1d]").iter().map(|(_, value)| *value as i64).collect();
    assert_eq!(values, (end - count..end).collect::<Vec<_>>());
}

fn config(receiver: &Kymo, more: &str) -> String {
    format!(
        "global: {{external_labels: {{site: here, job: not this}}}}\nremote_write:\n- url: {}/api/v1/write\n  name: there\n{more}",
        receiver.url()
    )
}

const QUICK: &str = "  queue_config: {batch_send_deadline: 100ms, max_backoff: 200ms}\n";

#[test]
fn a_server_sends_on_what_it_stores_by_either_version() {
    for message in ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"] {
        let receiver = Kymo::start();
        let relabel =
            "  write_relabel_configs:\n  - {source_labels: [__name__], regex: 'secret.*', action: drop}\n";
        let sender = Kymo::start_configured(&config(
            &receiver,
            &format!("{QUICK}{relabel}  protobuf_message: {message}\n"),
        ));
        let now = now_ms();
        send_numbers(&sender, now - 50_000, 0..50);
        let secret = Series::new(&[("__name__", "secret_number")], &[(now, 1.0)]);
        assert_eq!(send(&sender.url(), &[secret]).expect("answered").status, 204);
        check_arrived(&receiver, 50, 50);
        assert_eq!(receiver.wait_for_value("count(number{site=\"here\", job=\"test\"})"), 1.0);
        assert_eq!(receiver.instant("secret_number").as_array().map(Vec::len), Some(0));
        assert_eq!(sender.wait_for_value("count(secret_number)"), 1.0, "it is stored here all the same");
        assert_eq!(samples(&receiver, "number[1d]"), samples(&sender, "number[1d]"));
        // The receiver has them before the sender has its answer.
        poll::until("all to be counted as sent", || {
            match sender.metric("kymo_forward_sent_samples_total{receiver=\"there\"}") {
                50.0 => Ok(()),
                sent => Err(format!("{sent} are counted")),
            }
        });
    }
}

#[test]
fn an_agent_keeps_what_it_collects_through_outage_and_crash() {
    let mut receiver = Kymo::start();
    let mut agent = Kymo::start_agent(&config(&receiver, QUICK));
    let base = now_ms() - 400_000;
    send_numbers(&agent, base, 0..20);
    check_arrived(&receiver, 20, 20);
    receiver.process().kill();
    send_numbers(&agent, base, 20..120);
    agent.crash_and_restart();
    send_numbers(&agent, base, 120..150);
    agent.restart();
    send_numbers(&agent, base, 150..160);
    receiver.start_again();
    check_arrived(&receiver, 160, 160);
    assert_eq!(
        agent.metric("kymo_forward_dropped_samples_total{reason=\"queue_full\",receiver=\"there\"}"),
        0.0
    );
    let asked = http::get(&format!("{}/api/v1/query?query=up", agent.url())).expect("answered");
    assert_eq!(asked.status, 503);
    assert!(asked.text().contains("this is an agent"), "{}", asked.text());
}

#[test]
fn beyond_the_queue_exactly_the_oldest_are_missing_and_counted() {
    let mut receiver = Kymo::start();
    let bound = "  queue_config: {max_disk_size: 1MiB, max_shards: 1, batch_send_deadline: 100ms, max_backoff: 200ms}\n";
    let agent = Kymo::start_agent(&config(&receiver, bound));
    receiver.process().kill();
    let base = now_ms() - 3_600_000;
    // Text that does not compress, so that a few hundred samples fill the queue.
    let mut random = kymo_tests::random::Random::new(3);
    let count = 300;
    for number in 0..count {
        let noise: String = (0..500).map(|_| format!("{:016x}", random.bits())).collect();
        let series = [
            Series::new(
                &[("__name__", "number"), ("job", "test")],
                &[(base + number * 1_000, number as f64)],
            ),
            Series::new(&[("__name__", "noise"), ("text", &noise)], &[(base + number * 1_000, 1.0)]),
        ];
        let answer = send(&agent.url(), &series).expect("answered");
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
    let dropped =
        || agent.metric("kymo_forward_dropped_samples_total{reason=\"queue_full\",receiver=\"there\"}");
    receiver.start_again();
    poll::until("the queue to be empty", || {
        match agent.metric("kymo_forward_queue_samples{receiver=\"there\"}") {
            0.0 => Ok(()),
            waiting => Err(format!("{waiting} samples wait")),
        }
    });
    let lost = dropped();
    assert!(lost >= 2.0, "the queue was large enough: {lost}");
    assert_eq!(lost % 2.0, 0.0, "both series lose the same");
    check_arrived(&receiver, count - (lost / 2.0) as i64, count);
}

#[test]
fn an_agent_wants_to_know_where_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("agent.yml");
    kymo_tests::server::write(&path, "scrape_configs: []\n");
    let output = std::process::Command::new(kymo_tests::paths::kymo_binary())
        .args(["agent", "--config"])
        .arg(&path)
        .output()
        .expect("started");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("name one under remote_write"), "{text}");
}
