//! Data that goes missing, alerts that do not: Kymo's own keys of rules, and the watchdog.

use kymo_tests::exporter::Exporter;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};
use serde_json::{Value, json};

/// The labels `n` of alerts that fire, by rule.
fn firing(kymo: &Kymo) -> Result<Vec<String>, String> {
    let answer = http::api(&kymo.url(), "/api/v1/alerts", &[])?;
    let alerts = answer["alerts"].as_array().ok_or("no list")?.clone();
    let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
    let mut names: Vec<String> =
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    Ok(names)
}

#[track_caller]
fn wait_for(kymo: &Kymo, expected: &[&str]) {
    poll::until(&format!("{expected:?} to fire"), || match firing(kymo)? {
        found if found == expected => Ok(()),
        found => Err(format!("{found:?}")),
    });
}

#[test]
fn rules_say_what_missing_data_means() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let rules = folder.path().join("rules.yml");
    write(
        &rules,
        "groups:\n- name: g\n  interval: 1s\n  rules:\n\
         \x20 - {alert: AsPrometheus, expr: x > 10}\n\
         \x20 - {alert: Keeps, expr: x > 10, on_missing: keep}\n\
         \x20 - {alert: Misses, expr: x > 100, on_missing: alert}\n\
         \x20 - {alert: Stopped, expr: x, absent_for: 4s}\n",
    );
    let config = folder.path().join("kymo.yml");
    write(&config, &format!("rule_files: ['{}']\n", rules.display()));
    // A sample is believed for this time only, as if a scrape had failed then.
    let kymo = Kymo::start_with(&["--config", &config.display().to_string(), "--query-lookback", "5s"]);
    let push = |value: u32| {
        let url = format!("{}/api/v1/import/prometheus", kymo.url());
        let answer = http::post(&url, &[], format!("x {value}\n").as_bytes()).expect("answered");
        assert!((200..300).contains(&answer.status), "{}", answer.text());
    };
    poll::until("the value to be bad", || {
        push(11);
        match firing(&kymo)? {
            found if found.contains(&"Keeps".to_owned()) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    wait_for(&kymo, &["Keeps", "Misses", "Stopped"]);
    poll::until("all to be fine", || {
        push(5);
        match firing(&kymo)? {
            found if found.is_empty() => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
}

#[test]
fn a_watchdog_fires_and_pings_until_it_is_taken_away() {
    let outside = Exporter::start("text/plain", "ok");
    let section = format!(
        "alertmanager:\n  watchdog: {{interval: 1s, labels: {{severity: none}}, ping_url: 'http://{}/ping'}}\n",
        outside.address()
    );
    let kymo = Kymo::start_configured(&section);
    let alerts =
        || -> Result<Value, String> { Ok(http::get(&format!("{}/api/v2/alerts", kymo.url()))?.json()) };
    let alert = poll::until("the watchdog", || alerts()?.get(0).cloned().ok_or("no alert".to_owned()));
    assert_eq!(alert["labels"], json!({"alertname": "Watchdog", "severity": "none"}));
    poll::until("two pings", || match outside.requests() {
        some if some.len() >= 2 => Ok(()),
        others => Err(format!("{others:?}")),
    });
    assert!(outside.requests().iter().all(|request| request.starts_with("GET /ping ")));
    // It is counted after it was answered.
    poll::until("the pings to be counted", || {
        let metrics = http::get(&format!("{}/metrics", kymo.url()))?.text();
        let line = metrics.lines().find(|line| line.starts_with("kymo_watchdog_pings_total "));
        match line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()) {
            Some(count) if count >= 1.0 => Ok(()),
            count => Err(format!("{count:?}")),
        }
    });
    write(&kymo.config_path(), "global: {}\n");
    assert_eq!(http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered").status, 200);
    let rules = http::api(&kymo.url(), "/api/v1/rules", &[]).expect("answered");
    assert_eq!(rules["groups"], json!([]));
}

#[test]
fn a_watchdog_that_cannot_be_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let config = folder.path().join("kymo.yml");
    write(&config, "alertmanager:\n  watchdog:\n    ping_url: nowhere\n");
    let output = std::process::Command::new(kymo_tests::paths::kymo_binary())
        .args(["check", "config"])
        .arg(&config)
        .output()
        .expect("it runs");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("ping_url \"nowhere\" is not a URL"), "{text}");
    assert!(text.contains("kymo.yml:3"), "{text}");
}
