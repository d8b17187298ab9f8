//! The snippets of `docs/user/collect.md`, each as it stands there, against what it collects from.

use kymo_tests::exporters::{Postgres, Redis};
use kymo_tests::peer::Peer;
use kymo_tests::server::Kymo;
use kymo_tests::{http, paths};

/// The YAML snippets below a heading of the page.
fn snippets(heading: &str) -> Vec<String> {
    let page = std::fs::read_to_string(paths::root().join("docs/user/collect.md")).expect("readable");
    let section =
        page.split("\n## ").find(|section| section.starts_with(heading)).expect("the section is there");
    let blocks = section.split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_snippet_about_pulling_scrapes_its_targets() {
    let (node, etcd, blackbox) = (Peer::node_exporter(), Peer::etcd(), Peer::blackbox_exporter());
    let (redis, postgres) = (Redis::start(), Postgres::start(&[]));
    let stand_in = [
        ("localhost:9100", node.address()),
        ("localhost:2379", etcd.address()),
        ("localhost:9115", blackbox.address()),
        ("localhost:9121", redis.exporter.address()),
        ("localhost:9187", postgres.exporter.address()),
    ];
    let snippets = snippets("Pull");
    assert!(snippets.len() >= 5, "{snippets:?}");
    for snippet in snippets {
        let config = stand_in.iter().fold(snippet.clone(), |text, (there, here)| text.replace(there, here));
        let kymo = Kymo::start_configured(&format!("# interval: for the test\n{config}"));
        let pools = http::api(&kymo.url(), "/api/v1/scrape_pools", &[]).expect("answered");
        let pools: Vec<&str> = pools["scrapePools"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|pool| pool.as_str())
            .collect();
        let jobs: Vec<&&str> = pools.iter().filter(|pool| **pool != "kymo").collect();
        assert!(!jobs.is_empty(), "{snippet}");
        for job in jobs {
            kymo.wait_for_value(&format!("min(up{{job=\"{job}\"}}) == 1"));
        }
    }
}
