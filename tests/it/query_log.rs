//! The query log: each query as a line of a file, as Prometheus writes it.

use std::collections::BTreeSet;
use std::path::Path;

use kymo_tests::peer::Peer;
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};
use serde_json::Value;

/// The lines of a log that tell of a query.
fn lines(path: &Path, query: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last one may be half written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["params"]["query"] == query).collect()
}

#[track_caller]
fn line(path: &Path, query: &str) -> Value {
    poll::until(&format!("{query} in {}", path.display()), || {
        lines(path, query).pop().ok_or_else(|| std::fs::read_to_string(path).unwrap_or_default())
    })
}

/// All keys, with those above them; numbers and texts do not matter.
fn keys(of: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = vec![(String::new(), of)];
    while let Some((path, value)) = rest.pop() {
        for (key, below) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{key}");
            found.insert(path.clone());
            rest.push((path, below));
        }
    }
    found
}

fn ask(url: &str, path: &str) -> http::Response {
    http::get(&format!("{url}{path}")).expect("answered")
}

const RANGE: &str = "/api/v1/query_range?query=1%2B1&start=1000.5&end=1030&step=10";
const FAILING: &str = "/api/v1/query?query=label_replace(vector(1),%22%22,%22%22,%22%22,%22%22)&time=7";
const FAILING_TEXT: &str = "label_replace(vector(1),\"\",\"\",\"\",\"\")";

#[test]
fn queries_are_logged_as_prometheus_logs_them() {
    let kymo = Kymo::start_configured("global: {query_log_file: queries.log}\n");
    let prometheus = Peer::prometheus("global: {query_log_file: queries.log}\n");
    let (our_log, their_log) = (kymo.folder().join("queries.log"), prometheus.folder().join("queries.log"));
    for path in [RANGE, FAILING, "/api/v1/query?query=no%20query("] {
        let (ours, theirs) = (ask(&kymo.url(), path), ask(&prometheus.url(), path));
        assert_eq!(ours.status, theirs.status, "{path}");
    }
    for query in ["1+1", FAILING_TEXT] {
        let (mut ours, theirs) = (line(&our_log, query), line(&their_log, query));
        for part in ["params", "httpRequest", "spanID"] {
            assert_eq!(ours[part], theirs[part], "{query}");
        }
        assert_eq!(ours["error"].is_string(), theirs["error"].is_string(), "{ours} {theirs}");
        let (our_keys, their_keys) = (keys(&ours), keys(&theirs));
        assert!(our_keys.is_superset(&their_keys), "{:?}", their_keys.difference(&our_keys));
        assert!(ours["stats"]["timings"]["execTotalTime"].as_f64().is_some_and(|s| s > 0.0), "{ours}");
        let ended = ours["ts"].take();
        assert_eq!(ended, ours["time"], "for readers of either");
    }
    for log in [&our_log, &their_log] {
        assert!(lines(log, "no query(").is_empty(), "what is no query is not logged");
    }
}

#[test]
fn the_file_is_opened_anew_by_a_reload_and_a_bad_one_changes_nothing() {
    let kymo = Kymo::start_configured("global: {query_log_file: queries.log}\n");
    let (log, moved) = (kymo.folder().join("queries.log"), kymo.folder().join("queries.log.1"));
    let reload = || http::post(&format!("{}/-/reload", kymo.url()), &[], b"").expect("answered");
    let count = |log: &Path| lines(log, "2").len();
    let metric = |name: &str| {
        let metrics = ask(&kymo.url(), "/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).expect("it is there");
        line.rsplit(' ').next().map(str::to_owned)
    };
    ask(&kymo.url(), "/api/v1/query?query=2");
    line(&log, "2");
    assert_eq!(metric("kymo_query_log_enabled").as_deref(), Some("1"));
    std::fs::rename(&log, &moved).expect("moved");
    ask(&kymo.url(), "/api/v1/query?query=2");
    poll::until("a line in the file that was moved", || {
        (count(&moved) == 2).then_some(()).ok_or("not yet".to_owned())
    });
    assert_eq!(reload().status, 200);
    ask(&kymo.url(), "/api/v1/query?query=2");
    line(&log, "2");
    assert_eq!((count(&log), count(&moved)), (1, 2));

    kymo.write_config("global: {query_log_file: missing/queries.log}\n");
    let refused = reload();
    assert!(refused.status != 200 && refused.text().contains("missing/queries.log"), "{}", refused.text());
    ask(&kymo.url(), "/api/v1/query?query=2");
    poll::until("the old log goes on", || (count(&log) == 2).then_some(()).ok_or("not yet".to_owned()));

    kymo.write_config("global: {query_log_file: /dev/full}\n");
    assert_eq!(reload().status, 200);
    assert_eq!(ask(&kymo.url(), "/api/v1/query?query=2").status, 200, "who asks is not concerned");
    poll::until("the failure to be counted", || match metric("kymo_query_log_failures_total").as_deref() {
        Some("1") => Ok(()),
        other => Err(format!("{other:?}")),
    });

    kymo.write_config("global: {}\n");
    assert_eq!(reload().status, 200);
    ask(&kymo.url(), "/api/v1/query?query=2");
    assert_eq!(metric("kymo_query_log_enabled").as_deref(), Some("0"));
    assert_eq!(count(&log), 2);
}
