//! Targets out of discovered labels: labels, URLs, times, faults.

use super::*;
use crate::settings::{Global, ScrapeConfig};

fn job(change: impl FnOnce(&mut Job)) -> Job {
    let config = ScrapeConfig { job_name: "j".into(), ..ScrapeConfig::default() };
    let mut job = config.resolve(&Global::default()).expect("valid");
    change(&mut job);
    job
}

fn rule(json: &str) -> relabel::Rule {
    serde_json::from_str(json).expect("a rule")
}

fn build_one(address: &str, labels: &[(&str, &str)], job: &Job) -> Result<Built, TargetError> {
    let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let group = TargetGroup::of_addresses("g".into(), [address], &labels);
    build(&group.targets[0], &group, job)
}

#[track_caller]
fn check(address: &str, labels: &[(&str, &str)], job: &Job, want_url: &str, want: &[(&str, &str)]) {
    match build_one(address, labels, job).expect("built") {
        Built::Target(spec) => {
            assert_eq!(spec.url, want_url);
            assert_eq!(spec.labels, Labels::from_pairs(want.iter().copied()));
        }
        Built::Dropped { discovered, .. } => panic!("dropped {discovered}"),
    }
}

#[track_caller]
fn check_error(labels: &[(&str, &str)], job: &Job, want: &str) {
    assert_eq!(build_one("h:1", labels, job).expect_err("refused").to_string(), want);
}

#[test]
fn a_target_gets_the_labels_of_its_group_and_job() {
    check("h:1", &[], &job(|_| {}), "http://h:1/metrics", &[("instance", "h:1"), ("job", "j")]);
    check(
        "h:1",
        &[("job", "other"), ("env", "prod"), ("instance", "i"), ("__meta_x", "y")],
        &job(|_| {}),
        "http://h:1/metrics",
        &[("instance", "i"), ("job", "other"), ("env", "prod")],
    );
}

#[test]
fn the_url_is_made_of_labels_and_parameters() {
    let probe = job(|job| {
        job.scheme = "https".into();
        job.metrics_path = "/probe me".into();
        job.params = BTreeMap::from([
            ("module".into(), vec!["http".into(), "tcp".into()]),
            ("a".into(), vec!["1 & 2".into()]),
            ("none".into(), vec![]),
        ]);
        job.relabel.push(rule(r#"{"source_labels":["__address__"],"target_label":"__param_target"}"#));
        job.relabel.push(rule(r#"{"target_label":"__param_module","replacement":"icmp"}"#));
    });
    let labels = [("instance", "h"), ("job", "j")];
    check("h", &[], &probe, "https://h/probe%20me?a=1+%26+2&module=icmp&module=tcp&target=h", &labels);
    let port = [("instance", "[::1]:80"), ("job", "j")];
    check("[::1]:80", &[("__metrics_path__", "x")], &job(|_| {}), "http://[::1]:80/x", &port);
}

#[test]
fn rules_may_drop_a_target_or_give_it_other_times() {
    let drops =
        job(|job| job.relabel.push(rule(r#"{"source_labels":["env"],"regex":"dev","action":"drop"}"#)));
    match build_one("h:1", &[("env", "dev")], &drops).expect("no error") {
        Built::Dropped { discovered, .. } => {
            let want = [
                ("__address__", "h:1"),
                ("__metrics_path__", "/metrics"),
                ("__scheme__", "http"),
                ("__scrape_interval__", "1m"),
                ("__scrape_timeout__", "10s"),
                ("env", "dev"),
                ("job", "j"),
            ];
            assert_eq!(discovered, Labels::from_pairs(want));
        }
        Built::Target(spec) => panic!("kept {spec:?}"),
    }
    let slow = [("__scrape_interval__", "5m"), ("__scrape_timeout__", "90s")];
    let Built::Target(spec) = build_one("h:1", &slow, &drops).expect("built") else { panic!("dropped") };
    assert_eq!((spec.interval_ms, spec.timeout_ms), (300_000, 90_000));
}

#[test]
fn what_cannot_be_scraped_is_refused_with_its_reason() {
    let plain = job(|_| {});
    check_error(&[("__scrape_interval__", "0")], &plain, "scrape interval cannot be 0");
    check_error(&[("__scrape_timeout__", "0s")], &plain, "scrape timeout cannot be 0");
    check_error(
        &[("__scrape_interval__", "x")],
        &plain,
        "error parsing scrape interval: not a valid duration string: \"x\"",
    );
    check_error(
        &[("__scrape_timeout__", "2m")],
        &plain,
        "scrape timeout cannot be greater than scrape interval (\"2m\" > \"1m\")",
    );
    let nowhere = job(|job| job.relabel.push(rule(r#"{"regex":"__address__","action":"labeldrop"}"#)));
    check_error(&[], &nowhere, "no address");
    assert_eq!(build_one("http://bad", &[], &plain), Err(TargetError::Address("http://bad".into())));
}

#[test]
fn global_urls_name_this_machine_as_others_do() {
    let check = |address: &str, want: &str| {
        let Built::Target(spec) = build_one(address, &[], &job(|_| {})).expect("built") else {
            panic!("dropped")
        };
        assert_eq!(spec.global_url("web1"), want);
    };
    check("localhost:9100", "http://web1:9100/metrics");
    check("127.0.0.1:9100", "http://web1:9100/metrics");
    check("[::1]:9100", "http://web1:9100/metrics");
    check("localhost", "http://web1/metrics");
    check("localhosts:1", "http://localhosts:1/metrics");
    check("db:1", "http://db:1/metrics");
}
