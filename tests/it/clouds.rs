//! Receivers of clouds: an agent signs, fetches tokens and renews them, and what is refused for an old one is sent again.

use std::process::Command;

use kymo_tests::docs::snippet;
use kymo_tests::ports::free_port;
use kymo_tests::process::Process;
use kymo_tests::push::{Series, now_ms, send};
use kymo_tests::server::Kymo;
use kymo_tests::{http, paths, poll};
use serde_json::Value;

const CLOUDS: [&str; 3] = ["aws", "azure", "google"];

fn log(url: &str) -> Value {
    http::get(&format!("{url}/log")).expect("answered").json()
}

/// Pushes to the agent until every cloud has given new keys or tokens at least twice and taken more, none of it refused.
fn push_until_renewed(agent: &Kymo, url: &str) {
    let count = |log: &Value, what: &str, cloud: &str| log[what][cloud].as_u64().unwrap_or(0);
    let before = log(url);
    poll::until("tokens and keys to be renewed", || {
        let series = Series::new(&[("__name__", "number")], &[(now_ms(), 1.0)]);
        assert_eq!(send(&agent.url(), &[series]).expect("answered").status, 204);
        let now = log(url);
        for cloud in CLOUDS {
            for what in ["given", "taken"] {
                if count(&now, what, cloud) < count(&before, what, cloud) + 2 {
                    return Err(format!("{what} by {cloud}: {now}"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn clouds_take_what_is_signed_and_what_has_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut command = Command::new(paths::python());
    command.arg(paths::root().join("tests/python/clouds.py")).arg(port.to_string());
    let _clouds = Process::start(command, &folder.path().join("log"));
    let url = format!("http://127.0.0.1:{port}");
    poll::until("the clouds to answer", || http::get(&format!("{url}/log")).map(drop));
    let config = snippet("configuration.md", "clouds")
        .replace(
            "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
            &format!("{url}/aws/write"),
        )
        .replace(
            "https://metrics.example.ingest.monitor.azure.com/dataCollectionRules/1/write",
            &format!("{url}/azure/write"),
        )
        .replace(
            "https://monitoring.googleapis.com/v1/projects/p/location/global/prometheus/api/v1/write",
            &format!("{url}/google/write"),
        );
    assert_eq!(config.matches(&url).count(), 3, "{config}");
    let environment = [
        ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ("AZURE_AUTHORITY_HOST", &url),
        ("GCE_METADATA_HOST", url.trim_start_matches("http://")),
        ("HOME", "/nowhere"),
    ];
    let agent = Kymo::start_agent_with_environment(&config, &environment);
    push_until_renewed(&agent, &url);
    assert_eq!(log(&url)["refused"], serde_json::json!([]));
    assert_eq!(http::get(&format!("{url}/revoke")).expect("answered").status, 200);
    push_until_renewed(&agent, &url);
    let metrics = http::get(&format!("{}/metrics", agent.url())).expect("metrics").text();
    assert!(!metrics.contains("reason=\"refused\""), "{metrics}");
}
