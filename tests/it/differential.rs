//! Thousands of random queries, answered by Kymo and by Debian's Prometheus over the same data: no difference but those
//! that `docs/internals/differential.md` lists, which the generator stays clear of.
//!
//! Map: `data` what is stored · `generator` what is asked · `compare` what counts as the same.
//! `KYMO_DIFFERENTIAL_SEED` and `KYMO_DIFFERENTIAL_QUERIES` repeat a run or make it longer.

mod compare;
mod data;
mod generator;

use std::sync::Mutex;

use kymo_tests::http::Client;
use kymo_tests::peer::Peer;
use kymo_tests::push;
use kymo_tests::random::Random;
use kymo_tests::server::Kymo;

use generator::{Asked, Queries};

const SEED: u64 = 4;
const QUERIES: u64 = 10_000;
const WORKERS: u64 = 3;
/// Differences that are printed; a real one shows in many queries.
const SHOWN_MAX: usize = 12;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[derive(Debug, Default)]
struct Tally {
    asked: u64,
    empty: u64,
    refused: u64,
    differences: Vec<String>,
}

/// One worker's share, over connections of its own.
fn ask_all(kymo: &str, prometheus: &str, seed: u64, count: u64, tally: &Mutex<Tally>) {
    let client = Client::default();
    let mut queries = Queries::new(Random::new(seed));
    for _ in 0..count {
        let asked = queries.next();
        let ours = ask(&client, kymo, &asked);
        let theirs = ask(&client, prometheus, &asked);
        let difference = compare::difference(&asked, &ours, &theirs);
        let mut tally = tally.lock().expect("nobody panicked");
        tally.asked += 1;
        tally.empty += u64::from(theirs["data"]["result"].as_array().is_some_and(Vec::is_empty));
        tally.refused += u64::from(theirs["status"] != "success");
        if let Some(difference) = difference {
            tally.differences.push(format!("{asked}\n    {difference}"));
        }
    }
}

fn ask(client: &Client, base: &str, asked: &Asked) -> serde_json::Value {
    let response = client.post_form(&format!("{base}{}", asked.path()), &asked.parameters());
    response.unwrap_or_else(|error| panic!("{asked}: {error}")).json()
}

#[test]
fn random_queries_are_answered_as_prometheus_answers_them() {
    let seed = setting("KYMO_DIFFERENTIAL_SEED", SEED);
    let count = setting("KYMO_DIFFERENTIAL_QUERIES", QUERIES);
    let kymo = Kymo::start_with(&["--retention", "100y"]);
    let prometheus = Peer::prometheus("global: {scrape_interval: 1h}\n");
    for batch in data::batches() {
        for url in [kymo.url(), prometheus.url()] {
            let response = push::send(&url, &batch).expect("answered");
            assert_eq!(response.status / 100, 2, "{url}: {}", response.text());
        }
    }
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (ours, theirs, tally) = (kymo.url(), prometheus.url(), &tally);
            let own_seed = seed.wrapping_mul(1_000).wrapping_add(worker);
            scope.spawn(move || ask_all(&ours, &theirs, own_seed, count.div_ceil(WORKERS), tally));
        }
    });
    let tally = tally.into_inner().expect("nobody panicked");
    let Tally { asked, empty, refused, .. } = tally;
    #[expect(clippy::print_stdout, reason = "the run can be repeated")]
    {
        println!("seed {seed}: {asked} queries, {empty} with an empty answer, {refused} refused by both");
    }
    let (different, shown) =
        (tally.differences.len(), &tally.differences[..tally.differences.len().min(SHOWN_MAX)]);
    assert_eq!(different, 0, "seed {seed}: {different} of {asked} queries differ:\n{}", shown.join("\n"));
    assert!(empty * 3 < asked, "most queries find something: {empty} of {asked} did not");
    assert!(refused * 10 < asked, "few queries are refused: {refused} of {asked}");
}
