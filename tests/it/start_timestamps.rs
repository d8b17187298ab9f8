//! When counters began: scraped from OpenMetrics, kept, asked for, exported.

use std::process::Command;

use kymo_tests::exporter::Exporter;
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, paths};

const ANSWER: &str = "# TYPE requests counter\nrequests_total{code=\"200\"} 17\nrequests_created{code=\"200\"} 1700000000.5\n\
                      # TYPE size histogram\nsize_bucket{le=\"1.0\"} 1\nsize_bucket{le=\"+Inf\"} 2\nsize_count 2\nsize_sum 3\n\
                      size_created 1700000001\n# TYPE level gauge\nlevel 4\n# EOF\n";

#[test]
fn counters_that_say_when_they_began_are_believed_from_scrape_to_export() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let config = folder.path().join("kymo.yml");
    let exporter = Exporter::start("application/openmetrics-text; version=1.0.0", ANSWER);
    let target = format!("[{{targets: ['{}']}}]", exporter.address());
    write(
        &config,
        &format!("scrape_configs: [{{job_name: a, scrape_interval: 1s, static_configs: {target}}}]\n"),
    );
    let config = config.display().to_string();
    let arguments = ["--config", &config, "--enable-feature", "st-storage,use-start-timestamps"];
    let mut kymo = Kymo::start_with(&arguments);
    for round in 0..3 {
        for (query, want) in [
            ("start_timestamp(requests_total)", 1_700_000_000.5),
            ("count(start_timestamp({__name__=~\"size_.*\"}) == 1700000001)", 4.0),
            ("requests_total > 0", 17.0),
        ] {
            kymo.wait_until(query, want);
        }
        let found = kymo.instant("{__name__=~\".*_created\"}");
        assert_eq!(found.as_array().map(Vec::len), Some(0), "{found}");
        match round {
            0 => kymo.crash_and_restart(),
            _ => kymo.restart(),
        }
    }
    let snapshot = {
        let answer = http::post(&format!("{}/api/v1/admin/tsdb/compact", kymo.url()), &[], b"");
        assert_eq!(answer.expect("answered").status, 200);
        kymo.stop();
        kymo.folder().join("data")
    };
    let dumped = Command::new(paths::kymo_binary())
        .args(["tsdb", "dump", "--match", "requests_total"])
        .arg(&snapshot)
        .output()
        .expect("started");
    let text = String::from_utf8_lossy(&dumped.stdout);
    assert!(text.lines().any(|line| line.ends_with(" st@1700000000500")), "{text}");
}
