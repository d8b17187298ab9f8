//! Started with nothing, Kymo watches the machine it runs on, and itself.

use kymo_tests::http;
use kymo_tests::server::Kymo;

#[test]
fn without_any_configuration_the_machine_is_watched() {
    let kymo = Kymo::start();
    let busy = kymo.wait_for_value("sum(rate(node_cpu_seconds_total[1m]))");
    assert!(busy > 0.0, "{busy} CPU seconds per second, idle included");
    kymo.wait_for_result("sort_by_label(up, \"job\")", "both built-in jobs", |up| {
        let found = up.as_array().into_iter().flatten().filter_map(|series| series["metric"]["job"].as_str());
        found.eq(["kymo", "node"])
    });
    for needed in [
        "node_load1",
        "node_memory_MemAvailable_bytes",
        "node_filesystem_avail_bytes{mountpoint=\"/\"}",
        "sum(node_network_receive_bytes_total)",
        "node_uname_info",
        "process_resident_memory_bytes{job=\"kymo\"}",
        "kymo_build_info",
    ] {
        kymo.wait_for_value(needed);
    }
}

#[test]
fn the_start_page_and_the_health_checks_answer() {
    let kymo = Kymo::start();
    for (path, content_type, part) in [
        ("/", "text/html", "<title>Kymo"),
        ("/-/healthy", "text/plain", "Healthy"),
        ("/-/ready", "text/plain", "Ready"),
        ("/metrics", "text/plain", "# TYPE kymo_build_info gauge"),
        ("/api/v1/status/buildinfo", "application/json", "\"version\""),
    ] {
        let response = http::get(&format!("{}{path}", kymo.url())).expect("answered");
        assert_eq!(response.status, 200, "{path}");
        assert!(response.content_type.starts_with(content_type), "{path} is {}", response.content_type);
        assert!(response.text().contains(part), "{path}: {}", response.text());
    }
}

#[test]
fn what_was_collected_survives_a_clean_restart() {
    let mut kymo = Kymo::start();
    // One of the samples: when it was, and its value, which is another each time.
    let first_s = kymo.wait_for_value("timestamp(node_time_seconds)");
    let at_first = format!("node_time_seconds @ {first_s:.3}");
    let before = kymo.wait_for_value(&at_first);
    kymo.restart();
    kymo.wait_for_value(&format!("timestamp(node_time_seconds) > {first_s:.3}"));
    assert_eq!(http::single_value(&kymo.url(), &at_first), Ok(before));
}

#[test]
fn a_second_server_on_the_same_data_or_port_is_refused_with_the_reason() {
    let kymo = Kymo::start();
    let run = |listen: &str, data: &str| {
        std::process::Command::new(kymo_tests::paths::kymo_binary())
            .args(["serve", "--listen", listen, "--data"])
            .arg(kymo.folder().join(data))
            .output()
            .expect("started")
    };
    let same_data = run("127.0.0.1:0", "data");
    assert!(!same_data.status.success());
    let said = String::from_utf8_lossy(&same_data.stderr);
    assert!(said.contains("lock") || said.contains("another"), "{said}");
    let address = kymo.url().replace("http://", "");
    let same_port = run(&address, "other");
    assert!(!same_port.status.success());
    assert!(String::from_utf8_lossy(&same_port.stderr).contains(&address));
}
