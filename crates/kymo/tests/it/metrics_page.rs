//! The table of self-metrics says what the binary shows.

use std::collections::BTreeMap;
use std::path::Path;

use super::process::{Server, until};

/// Name → type, of the table in the documentation.
fn documented() -> BTreeMap<String, String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/user/metrics.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?.to_owned();
        Some((name, cells.next()?.to_owned()))
    };
    page.lines().filter_map(row).collect()
}

/// Name → type, of what is shown.
fn shown(server: &Server) -> BTreeMap<String, String> {
    let text = server.get("/metrics");
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

#[test]
fn every_metric_is_documented_with_its_type() {
    let config = "scrape_configs: [{job_name: a, scrape_interval: 1s, static_configs: [{targets: ['127.0.0.1:1']}], \
                  file_sd_configs: [{files: [x.json]}]}]\nhost_collector: {enabled: true}\n";
    let server = Server::start(&[], Some(config));
    until("a scrape", || match server.get("/api/v1/query?query=up").contains("\"value\"") {
        true => Ok(()),
        false => Err("no sample".to_owned()),
    });
    let documented = documented();
    let undocumented: Vec<String> = shown(&server)
        .into_iter()
        .filter(|(name, kind)| documented.get(name) != Some(kind))
        .map(|(name, kind)| format!("| `{name}` | {kind} |"))
        .collect();
    assert!(
        undocumented.is_empty(),
        "missing or wrong in docs/user/metrics.md:\n{}",
        undocumented.join("\n")
    );
}
