//! The server as a process: start, refusals, reload, signals, stop.

use rustix::process::Signal;

use super::process::{Server, ends, kymo, run, until};

fn jobs(server: &Server) -> String {
    server.get("/api/v1/scrape_pools")
}

#[test]
fn without_a_file_it_watches_this_machine_and_itself() {
    let server = Server::start(&[], None);
    assert!(
        server.said("stdout").contains("watching     this machine and Kymo itself"),
        "{}",
        server.said("stdout")
    );
    until("both targets to be up", || {
        let up = server.get("/api/v1/query?query=sum%20by%20(job)%20(up)");
        match up.contains("\"job\":\"kymo\"") && up.contains("\"job\":\"node\"") {
            true => Ok(()),
            false => Err(up),
        }
    });
    let url = format!("http://{}", server.address);
    ends(&["query", "instant", "up", "--url", &url], b"", 0, "up{instance=", "");
    ends(&["query", "labels", "job", "--url", &url], b"", 0, "kymo\nnode\n", "");
    ends(&["query", "series", "up", "--url", &url, "--output", "json"], b"", 0, "\"__name__\": \"up\"", "");
    ends(&["query", "instant", "sum(", "--url", &url], b"", 1, "", "parse error");
    ends(&["tsdb", "stats", &url], b"", 0, "series in the head", "");
    let graph = run(&["query", "range", "vector(time())", "--start", "10m", "--url", &url], b"").stdout;
    assert!(String::from_utf8(graph).expect("text").contains("━━ {}"));
}

#[test]
fn a_reload_takes_effect_and_a_bad_one_changes_nothing() {
    let server = Server::start(&[], Some("scrape_configs: [{job_name: one}]\n"));
    assert!(jobs(&server).contains("[\"one\"]"), "{}", jobs(&server));
    let loaded = server.metric("kymo_config_last_reload_success_timestamp_seconds");
    assert!(loaded > 1.7e9);

    server.write_config("scrape_configs: [{job_name: two, basic_auth: {password: hidden}}]\n");
    assert_eq!(server.request("POST", "/-/reload").0, 200);
    assert!(jobs(&server).contains("[\"two\"]"), "{}", jobs(&server));
    let shown = server.get("/api/v1/status/config");
    assert!(shown.contains("two") && !shown.contains("hidden"), "{shown}");

    server.write_config("scrape_configs:\n- job_name: three\n  scrap_interval: 1s\n");
    let (status, said) = server.request("POST", "/-/reload");
    assert_eq!(status, 500);
    assert!(said.contains("kymo.yml:3:3: scrape_configs[0]: unknown key \"scrap_interval\""), "{said}");
    assert!(jobs(&server).contains("[\"two\"]"), "{}", jobs(&server));
    assert_eq!(server.metric("kymo_config_last_reload_successful").to_bits(), 0f64.to_bits());
    assert_eq!(server.metric("kymo_config_reload_failures_total").to_bits(), 1f64.to_bits());

    server.write_config("scrape_configs: [{job_name: a, tls_config: {ca_file: missing.pem}}]\n");
    let (status, said) = server.request("POST", "/-/reload");
    assert_eq!(status, 500);
    assert!(said.contains("missing.pem"), "{said}");
    assert!(jobs(&server).contains("[\"two\"]"), "{}", jobs(&server));

    server.write_config("scrape_configs: [{job_name: four}]\n");
    server.signal(Signal::HUP);
    until("the signal to reload", || match jobs(&server) {
        pools if pools.contains("[\"four\"]") => Ok(()),
        pools => Err(pools),
    });
    until("success to be counted", || match server.metric("kymo_config_last_reload_successful") {
        1.0 => Ok(()),
        other => Err(other.to_string()),
    });
}

#[test]
fn both_signals_and_quit_end_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&["--log-format", "json"], Some(""));
        server.signal(signal);
        assert_eq!(server.end(), Some(0), "{}", server.said("stderr"));
        assert!(server.said("stderr").contains("\"message\":\"stopped\""), "{}", server.said("stderr"));
    }
    let mut server = Server::start(&["--enable-quit"], Some(""));
    assert_eq!(server.request("POST", "/-/quit").0, 200);
    assert_eq!(server.end(), Some(0), "{}", server.said("stderr"));
    let closed = Server::start(&["--disable-reload"], Some(""));
    assert_eq!(closed.request("POST", "/-/quit").0, 403);
    assert_eq!(closed.request("POST", "/-/reload").0, 403);
}

#[test]
fn it_runs_and_stops_when_nobody_reads_what_it_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = kymo(&["serve", "--listen", "127.0.0.1:0"])
        .current_dir(directory.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // The pipes are closed before anything is read.
    drop((child.stdout.take(), child.stderr.take()));
    let stored = || directory.path().join("data/lock").exists().then_some(()).ok_or("no data".to_owned());
    until("storage to be open", stored);
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("small")).expect("positive");
    rustix::process::kill_process(id, Signal::TERM).expect("it is there");
    let ended = until("its end", || child.try_wait().expect("known").ok_or("running".to_owned()));
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_signal_that_comes_twice_at_once_is_one() {
    let mut server = Server::start(&[], Some(""));
    server.signal(Signal::TERM);
    server.signal(Signal::INT);
    assert_eq!(server.end(), Some(0), "{}", server.said("stderr"));
    assert!(server.said("stderr").contains("stopped"), "{}", server.said("stderr"));
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let server = Server::start(&[], Some(""));
    let data = server.path().join("data").to_string_lossy().into_owned();
    ends(&["serve", "--listen", "127.0.0.1:0", "--data", &data], b"", 1, "", "is in use by another process");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let elsewhere = elsewhere.path().to_string_lossy().into_owned();
    ends(&["serve", "--listen", &server.address, "--data", &elsewhere], b"", 1, "", &server.address);
    ends(
        &["serve", "--config", "/no/such.yml", "--data", &elsewhere],
        b"",
        2,
        "",
        "/no/such.yml: cannot read the file",
    );
    ends(&["serve", "--log-level", "a=b=c", "--data", &elsewhere], b"", 2, "", "--log-level");
    server.write_config("global: {x: 1}");
    let config = server.path().join("kymo.yml").to_string_lossy().into_owned();
    ends(
        &["serve", "--config", &config, "--data", &elsewhere],
        b"",
        2,
        "",
        "kymo.yml:1:10: global: unknown key \"x\"",
    );
}

#[test]
fn flags_and_build_can_be_asked_for() {
    let server = Server::start(
        &["--memory-limit", "512MiB", "--retention", "90d", "--retention-size", "1GiB"],
        Some(""),
    );
    let flags = server.get("/api/v1/status/flags");
    for part in ["\"memory-limit\":\"512MiB\"", "\"retention\":\"90d\"", "\"retention-size\":\"1GiB\""] {
        assert!(flags.contains(part), "{part}: {flags}");
    }
    let info = server.get("/api/v1/status/runtimeinfo");
    assert!(info.contains("\"storageRetention\":\"90d or 1GiB\""), "{info}");
    assert!(server.get("/api/v1/status/buildinfo").contains(env!("CARGO_PKG_VERSION")));
    assert!(server.metric("process_resident_memory_bytes") > 1e6);
    assert!(server.metric("process_start_time_seconds") > 1.7e9);
}

#[test]
fn stored_data_is_there_after_a_restart_and_can_be_looked_at_meanwhile() {
    let mut server = Server::start(&[], Some("host_collector: {enabled: true}\n"));
    until("a sample", || match server.get("/api/v1/query?query=node_load1") {
        answer if answer.contains("\"value\"") => Ok(()),
        answer => Err(answer),
    });
    server.signal(Signal::TERM);
    assert_eq!(server.end(), Some(0));
    let data = server.path().join("data").to_string_lossy().into_owned();
    ends(&["tsdb", "stats", &data], b"", 0, "BYTES/SAMPLE", "");
}
