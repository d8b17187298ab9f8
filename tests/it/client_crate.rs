//! The client crate, from a program's numbers to answers of the server.

use kymo_client::serve::Server;
use kymo_client::{Buckets, Registry};
use kymo_tests::server::Kymo;
use kymo_tests::{docs, http};

/// A program that is measured, for as long as the server is held.
fn program() -> Server {
    let registry = Registry::new();
    let done = registry.counter_family("jobs_total", "Jobs that were done.", ["queue"]).expect("free");
    done.with(["mail"]).add_with_exemplar(3, &[("trace_id", "4bf92f3577b34da6")]);
    done.with(["print"]).inc();
    registry.gauge("jobs_waiting", "Jobs that wait.").expect("free").set(2.5);
    let took = registry.histogram("job_seconds", "Time.", Buckets::Classic(vec![1.0, 2.0])).expect("free");
    [0.5, 1.5, 7.0].into_iter().for_each(|seconds| took.observe(seconds));
    Server::start("127.0.0.1:0", registry).expect("a free port")
}

#[test]
fn a_program_is_scraped() {
    let program = program();
    let kymo = Kymo::start_configured(&format!(
        "scrape_configs: [{{job_name: program, scrape_interval: 1s, static_configs: [{{targets: ['{}']}}]}}]\n",
        program.address()
    ));
    for (query, want) in [
        ("jobs_total{queue=\"mail\"}", 3.0),
        ("sum(jobs_total)", 4.0),
        ("jobs_waiting", 2.5),
        ("job_seconds_count", 3.0),
        ("job_seconds_bucket{le=\"2.0\"}", 2.0),
        ("job_seconds_sum", 9.0),
    ] {
        kymo.wait_until(query, want);
    }
    let asked = [("query", "jobs_total"), ("start", "0"), ("end", "4102444800")];
    let found = http::api(&kymo.url(), "/api/v1/query_exemplars", &asked).expect("answered");
    assert_eq!(found[0]["exemplars"][0]["labels"]["trace_id"], "4bf92f3577b34da6", "{found}");
}

/// The snippet of `docs/user/collect.md` that is [`measured`].
pub(crate) const SNIPPET: &str = "client-crate";

// As the documentation has it.
fn measured() -> Result<Server, Box<dyn std::error::Error>> {
    let registry = Registry::new();
    let done = registry.counter_family("mails_total", "Mails that were sent.", ["list"])?;
    let took = registry.histogram("mail_seconds", "How long a mail took.", Buckets::native())?;

    let news = done.with(["news"]); // look it up once, keep it
    news.inc();
    took.observe(0.018);
    Ok(Server::start("127.0.0.1:9200", registry)?) // answers /metrics until it is dropped
}

#[test]
fn what_the_documentation_shows_is_what_runs() {
    let snippet = docs::snippet("collect.md", SNIPPET);
    assert!(
        include_str!("client_crate.rs").contains(&snippet),
        "this file has not what stands there:\n{snippet}"
    );
    // Its port may be taken here.
    if let Ok(program) = measured() {
        let text = http::get(&format!("http://{}/metrics", program.address())).expect("answered").text();
        assert!(text.contains("mails_total{list=\"news\"} 1"), "{text}");
    }
}
