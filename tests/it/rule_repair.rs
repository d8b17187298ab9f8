//! Evaluations of recording rules that were missed are made up for; how the last ones went can be asked.

use std::time::{Duration, Instant};

use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};
use serde_json::Value;

const RULES: &str = "groups: [{name: g, rules: [{record: r, expr: vector(1)}, {record: bad, expr: 'vector(1) * on() group_left() (vector(1) or label_replace(vector(1), \"a\", \"b\", \"\", \"\"))'}]}]";

/// Times of a metric's samples, in milliseconds.
fn samples(kymo: &Kymo) -> Result<Vec<i64>, String> {
    let found = http::instant(&kymo.url(), "r[10m]")?;
    let values = found[0]["values"].as_array().cloned().unwrap_or_default();
    let time = |sample: &Value| (sample[0].as_f64().expect("a time") * 1_000.0).round() as i64;
    Ok(values.iter().map(time).collect())
}

#[test]
fn the_time_of_an_outage_is_filled_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.yml");
    write(&path, RULES);
    let config = format!("global: {{evaluation_interval: 1s}}\nrule_files: ['{}']\n", path.display());
    let mut kymo = Kymo::start_configured(&config);
    // What the last evaluation wrote may not be on disk yet; what those before it wrote is.
    poll::until("some evaluations", || match samples(&kymo)?.len() {
        few @ 0..3 => Err(few.to_string()),
        _ => Ok(()),
    });
    kymo.process().kill();
    let stopped = Instant::now();
    poll::until("an outage of some evaluations", || {
        if stopped.elapsed() > Duration::from_secs(5) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    kymo.start_again();
    poll::until("all evaluations to be there", || {
        let times = samples(&kymo)?;
        let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] != 1_000).count();
        if times.len() > 8 && gaps == 0 { Ok(()) } else { Err(format!("{times:?}")) }
    });
    // Samples are there before they are on disk, and counted after that.
    poll::until("what was repaired to be counted", || {
        let metrics = http::get(&format!("{}/metrics", kymo.url()))?.text();
        let mut counted =
            metrics.lines().filter(|line| line.starts_with("kymo_rule_evaluations_repaired_total{"));
        if counted.any(|line| !line.ends_with(" 0")) { Ok(()) } else { Err("nothing".to_owned()) }
    });

    let asked = [("group", "g"), ("rule", "r")];
    let rules = http::api(&kymo.url(), "/api/v1/rules/evaluations", &asked).expect("answered");
    let last = &rules[0]["evaluations"][0];
    assert_eq!((&last["samples"], last["error"].as_str()), (&1.into(), Some("")), "{rules}");
    assert!(last["time"].is_string() && last["duration"].is_number(), "{last}");
    let bad = http::api(&kymo.url(), "/api/v1/rules/evaluations", &[("rule", "bad")]).expect("answered");
    assert!(bad[0]["evaluations"][0]["error"].as_str().is_some_and(|error| !error.is_empty()), "{bad}");
}
