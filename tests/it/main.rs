//! The black-box suites; one test binary, one module a theme.

mod alert_care;
mod alert_generator;
mod alertmanager;
mod alertmanager_side_by_side;
mod backtest;
mod bad_input;
mod browser;
mod client_crate;
mod clouds;
mod collect;
mod crash;
mod deletes;
mod differential;
mod discovery;
mod discovery_snippets;
mod disk;
mod export;
mod exporters;
mod features;
mod first_start;
mod forward;
mod governance;
mod import;
mod malformed_queries;
mod missing_data;
mod native_export;
mod native_histograms;
mod node_exporter;
mod otlp;
mod outage;
mod prometheus;
mod promtool;
mod pushes;
mod queries_of_death;
mod query_log;
mod recorded;
mod reload;
mod remote_read;
mod remote_write2;
mod rule_repair;
mod rule_tools;
mod rules;
mod search;
mod snapshots;
mod start_timestamps;
mod statistics;
mod stored_rules;
mod timeline;

/// Every file beside this one is a module here; a forgotten one would never run.
#[test]
fn no_suite_is_forgotten() {
    let folder = kymo_tests::paths::root().join("tests/it");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("listed") {
        let name = entry.expect("an entry").file_name().into_string().expect("a readable name");
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else { continue };
        assert!(main.contains(&format!("mod {module};")), "tests/it/{name} is not in main.rs");
    }
}
