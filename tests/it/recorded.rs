//! The recorded scrapes of real exporters replay without an error, and can be queried.

use std::process::Command;

use kymo_tests::server::Kymo;
use kymo_tests::{http, paths};

#[test]
fn the_recorded_scrapes_replay() {
    let (Some(scrapes), Some(manifest)) =
        (paths::shared("data/scrapes.zst"), paths::shared("bench/Cargo.toml"))
    else {
        return;
    };
    let target = paths::root().join("target/sidebench");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()
        .expect("started");
    assert!(built.success(), "sidebench builds");
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let report = kymo.folder().join("replay.json");
    let output = Command::new(target.join("release/sidebench"))
        .arg("replay")
        .arg("--scrapes")
        .arg(scrapes)
        .args(["--url", &format!("{}/api/v1/write", kymo.url()), "--settle", "0s", "--json"])
        .arg(&report)
        .output()
        .expect("started");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(report).expect("written")).expect("JSON");
    for refused in ["rejected", "errors", "failed"] {
        if let Some(count) = report.get(refused).and_then(serde_json::Value::as_u64) {
            assert_eq!(count, 0, "{refused}: {report}");
        }
    }
    let up = http::single_value(&kymo.url(), "count(count by (job) (up))").expect("stored");
    assert!(up >= 5.0, "{up} jobs: {said}");
}
