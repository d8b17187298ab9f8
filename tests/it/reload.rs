//! Configuration: watched target files, reloads that work, and reloads that change nothing.

use kymo_tests::peer::Peer;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};
use rustix::process::Signal;

fn active_targets(kymo: &Kymo) -> Result<Vec<String>, String> {
    let targets = http::api(&kymo.url(), "/api/v1/targets", &[("state", "active")])?;
    let list = targets["activeTargets"].as_array().ok_or("no list")?;
    Ok(list.iter().filter_map(|target| target["labels"]["instance"].as_str().map(str::to_owned)).collect())
}

fn until_targets(kymo: &Kymo, wanted: &[&str]) {
    poll::until(&format!("targets {wanted:?}"), || {
        let mut found = active_targets(kymo)?;
        found.sort();
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn a_target_file_is_watched() {
    let (first, second) = (Peer::node_exporter(), Peer::node_exporter());
    let kymo = Kymo::start_configured(
        "scrape_configs:\n  - job_name: files\n    scrape_interval: 1s\n    file_sd_configs:\n      - files: ['targets-*.json', 'targets-*.yml']\n",
    );
    let path = kymo.folder().join("targets-a.json");
    write(&path, &format!(r#"[{{"targets": ["{}"], "labels": {{"from": "file"}}}}]"#, first.address()));
    kymo.wait_for_value("up{from=\"file\"} == 1");
    let mut both = [first.address(), second.address()];
    both.sort();
    write(&path, &format!(r#"[{{"targets": ["{}", "{}"]}}]"#, first.address(), second.address()));
    until_targets(&kymo, &both.each_ref().map(String::as_str));
    write(&path, "[{\"targets\": [");
    // A broken file keeps the last good targets.
    poll::until("the broken file to be seen", || {
        let metrics = http::get(&format!("{}/metrics", kymo.url()))?.text();
        let failing = metrics.contains("\nkymo_discovery_files_failing 1");
        if failing { Ok(()) } else { Err(metrics) }
    });
    until_targets(&kymo, &both.each_ref().map(String::as_str));
    write(&path, &format!(r#"[{{"targets": ["{}"]}}]"#, second.address()));
    until_targets(&kymo, &[&second.address()]);
    poll::until("the vanished target's series to end", || {
        let up = http::instant(&kymo.url(), &format!("up{{instance=\"{}\"}}", first.address()))?;
        if up.as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(up.to_string()) }
    });
}

fn config_with(exporter: &Peer, job: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: {job}\n    static_configs: [{{targets: ['{}']}}]\n",
        exporter.address()
    )
}

#[test]
fn a_reload_takes_effect_and_a_bad_one_changes_nothing() {
    let exporter = Peer::node_exporter();
    let mut kymo = Kymo::start_configured(&config_with(&exporter, "one"));
    kymo.wait_for_value("up{job=\"one\"} == 1");
    let reload = format!("{}/-/reload", kymo.url());

    kymo.write_config(&config_with(&exporter, "two"));
    let response = http::post(&reload, &[], b"").expect("answered");
    assert_eq!(response.status, 200, "{}", response.text());
    kymo.wait_for_value("up{job=\"two\"} == 1");
    let shown = http::api(&kymo.url(), "/api/v1/status/config", &[]).expect("answered");
    assert!(shown["yaml"].as_str().is_some_and(|yaml| yaml.contains("two")), "{shown}");

    kymo.write_config("scrape_configs:\n  - job_name: three\n    scrap_interval: 1s\n");
    let response = http::post(&reload, &[], b"").expect("answered");
    assert_eq!(response.status, 500);
    let said = response.text();
    for part in ["kymo.yml", "3", "scrap_interval"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    assert_eq!(
        http::api(&kymo.url(), "/api/v1/scrape_pools", &[]).expect("answered")["scrapePools"][0],
        "two"
    );
    let metrics = http::get(&format!("{}/metrics", kymo.url())).expect("answered").text();
    assert!(metrics.contains("kymo_config_last_reload_successful 0"), "a failed reload shows");

    kymo.write_config(&config_with(&exporter, "four"));
    kymo.process().signal(Signal::HUP);
    kymo.wait_for_value("up{job=\"four\"} == 1");
    assert_eq!(
        http::get(&format!("{}/-/reload", kymo.url())).expect("answered").status,
        405,
        "only by POST or PUT"
    );
    let quit = http::post(&format!("{}/-/quit", kymo.url()), &[], b"").expect("answered");
    assert_eq!(quit.status, 403, "off by default");
}
