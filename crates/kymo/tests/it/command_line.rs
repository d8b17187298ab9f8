//! Help, versions, completions, exit codes.

use super::process::{ends, run};

#[test]
fn help_is_worth_reading() {
    for (arguments, want) in [
        (&["--help"][..], "kymo serve --config prometheus.yml"),
        (&["serve", "--help"], "--memory-limit <SIZE>"),
        (&["query", "--help"], "kymo query instant 'sum by (job) (up)'"),
        (&["check", "metrics", "--help"], "curl -s localhost:9100/metrics | kymo check metrics"),
        (&["test", "promql", "--help"], "eval instant at 50m sum(http_requests)"),
        (&["tsdb", "stats", "--help"], "no server may be using it"),
    ] {
        ends(arguments, b"", 0, want, "");
    }
}

#[test]
fn the_version_names_what_was_built() {
    ends(&["--version"], b"", 0, concat!("kymo ", env!("CARGO_PKG_VERSION")), "");
    let said = String::from_utf8(run(&["--version"], b"").stdout).expect("text");
    for part in ["revision: ", "compiler: rustc ", "target: "] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    ends(&["sevre"], b"", 2, "", "serve");
    ends(&["serve", "--memory-limit", "lots"], b"", 2, "", "write a number with a unit");
    ends(&["serve", "--memory-limit", "1MiB"], b"", 2, "", "at least 64MiB are needed");
    ends(&["serve", "--retention", "0"], b"", 2, "", "must be more than nothing");
    ends(&["serve", "--retention", "15"], b"", 2, "", "write a number with a unit");
    ends(&["serve", "--query-concurrency", "0"], b"", 2, "", "0 is not in 1..");
    ends(&["serve", "--query-max-samples", "0"], b"", 2, "", "0 is not in 1..");
    for (listen, complaint) in
        [("localhost", "the port is missing"), ("127.0.0.1:99999", "is not a port"), ("::1:9090", "brackets")]
    {
        ends(&["serve", "--listen", listen], b"", 2, "", complaint);
    }
    for level in ["loud", "scrape", "info,scrape=loud", "", "3"] {
        ends(&["serve", "--log-level", level], b"", 2, "", "is not a level");
    }
    ends(&["check", "config"], b"", 2, "", "FILE");
}

#[test]
fn completions_exist_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        ends(&["completions", shell], b"", 0, "memory-limit", "");
    }
}

#[test]
fn a_query_to_nobody_says_so() {
    ends(&["query", "instant", "up", "--url", "http://127.0.0.1:1"], b"", 1, "", "is the server running?");
    ends(&["query", "instant", "up", "--url", "::"], b"", 1, "", "is not a URL");
    ends(&["query", "range", "up", "--start", "yesterday"], b"", 1, "", "is not a time");
}

#[test]
fn a_server_that_is_no_kymo_is_told_apart() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let body = format!("<html>{}", "x".repeat(5_000));
        let answer =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        // Its request is of no interest, but must be read, or closing would reset the connection.
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]).expect("the request");
        std::io::Write::write_all(&mut stream, answer.as_bytes()).expect("answered");
    });
    let output = run(&["query", "instant", "up", "--url", &url], b"");
    server.join().expect("no panic");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("not as Kymo does") && said.len() < 500, "{said}");
}

#[test]
fn configuration_files_are_checked() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let (good, bad) = (path("good.yml"), path("bad.yml"));
    super::config::write(
        good.as_ref(),
        "scrape_configs: [{job_name: a}]\nrule_files: ['*.rules']\ntracing: {endpoint: 'localhost:1'}\n",
    );
    super::config::write(bad.as_ref(), "global:\n  scrap_interval: 1s\n");
    ends(&["check", "config", &good], b"", 0, "ok, 1 scrape job", "");
    ends(&["check", "config", &good], b"", 0, "warning: tracing: traces are not sent yet", "");
    ends(&["check", "config", &good, &bad], b"", 1, "ok, 1 scrape job", "bad.yml:2:3: global: unknown key");
}

#[test]
fn a_data_folder_that_is_none_is_named() {
    ends(&["tsdb", "stats", "/no/such/folder"], b"", 1, "", "neither a folder nor a URL");
    let empty = tempfile::tempdir().expect("a directory");
    let path = empty.path().to_string_lossy().into_owned();
    ends(&["tsdb", "stats", &path], b"", 1, "", "holds no data of Kymo");
    assert_eq!(
        std::fs::read_dir(empty.path()).expect("readable").count(),
        0,
        "looking leaves nothing behind"
    );
}

#[test]
fn alertmanagers_files_are_checked_and_routes_tested() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let good = "route:\n  receiver: a\n  routes:\n  - matchers: [team=db]\n    receiver: b\nreceivers: [{name: a}, {name: b}]\ntemplates: ['*.tmpl']\n";
    super::config::write(&folder.path().join("good.yml"), good);
    super::config::write(&folder.path().join("bad.yml"), &good.replace("receiver: b", "receiver: c"));
    ends(&["check", "alertmanager", &path("good.yml")], b"", 0, "good.yml: ok\n - 2 routes\n", "");
    let fault = "bad.yml:5:5: route.routes[0].receiver: undefined receiver \"c\" used in route";
    ends(&["check", "alertmanager", &path("good.yml"), &path("bad.yml")], b"", 1, "good.yml: ok", fault);
    ends(&["routes", "test", &path("good.yml"), "team=db"], b"", 0, "b\n", "");
    ends(
        &["routes", "test", &path("good.yml"), "team=db", "--expect", "a"],
        b"",
        1,
        "b\n",
        "it should go to a",
    );
    ends(&["routes", "show", &path("good.yml")], b"", 0, "  {team=\"db\"} -> b ", "");
    ends(&["routes", "test", &path("bad.yml"), "team=db"], b"", 2, "", "undefined receiver");
    super::config::write(&folder.path().join("own.tmpl"), "{{ define");
    ends(&["check", "alertmanager", &path("good.yml")], b"", 1, "good.yml: ok", "own.tmpl");
}
