//! What was acknowledged survives a crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};

const WRITERS: usize = 4;
const SERIES: usize = 25;

/// Sends one sample of each series at each millisecond, until the server is gone. Stores the newest
/// acknowledged time.
fn write_until_gone(url: &str, writer: usize, from_ms: i64, acknowledged: &AtomicI64, stop: &AtomicBool) {
    let mut at_ms = from_ms;
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<Series> = (0..SERIES)
            .map(|i| {
                let labels =
                    [("__name__", "crash_test"), ("writer", &writer.to_string()), ("i", &i.to_string())];
                Series::new(&labels, &[(at_ms, value_of(writer, i, at_ms))])
            })
            .collect();
        match push::send(url, &batch) {
            Ok(answer) if answer.status / 100 == 2 => acknowledged.store(at_ms, Ordering::SeqCst),
            Ok(answer) => panic!("refused: {} {}", answer.status, answer.text()),
            Err(_) => return,
        }
        at_ms += 1;
    }
}

/// Writers would go on for ever if the test failed and nobody told them.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn value_of(writer: usize, i: usize, at_ms: i64) -> f64 {
    (at_ms % 100_000) as f64 + (writer * SERIES + i) as f64 / 128.0
}

/// All samples of a writer, as time in milliseconds and value, for each of its series.
fn stored(url: &str, writer: usize, end_ms: i64) -> BTreeMap<usize, BTreeMap<i64, f64>> {
    let query = format!("crash_test{{writer=\"{writer}\"}}[1h]");
    let time = format!("{:.3}", (end_ms + 1_000) as f64 / 1e3);
    let data = http::api(url, "/api/v1/query", &[("query", &query), ("time", &time)]).expect("answered");
    let mut found = BTreeMap::new();
    for series in data["result"].as_array().expect("a matrix") {
        let i = series["metric"]["i"].as_str().and_then(|i| i.parse().ok()).expect("a number");
        let samples = series["values"].as_array().expect("samples").iter().map(|sample| {
            let at_ms = (sample[0].as_f64().expect("a time") * 1e3).round() as i64;
            (at_ms, sample[1].as_str().and_then(|value| value.parse().ok()).expect("a value"))
        });
        found.insert(i, samples.collect());
    }
    found
}

#[test]
fn nothing_acknowledged_is_missing_after_kill_9_under_load() {
    let mut kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let url = kymo.url();
    let from_ms = push::now_ms() - 1_800_000;
    let mut next_ms = [from_ms; WRITERS];
    for round in 0..3 {
        let acknowledged = next_ms.map(|at_ms| AtomicI64::new(at_ms - 1));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _stop_in_any_case = StopOnDrop(&stop);
            for writer in 0..WRITERS {
                let (url, acknowledged, stop) = (&url, &acknowledged[writer], &stop);
                scope.spawn(move || write_until_gone(url, writer, next_ms[writer], acknowledged, stop));
            }
            poll::until("enough acknowledged writes of each writer", || {
                let counts: [i64; WRITERS] =
                    std::array::from_fn(|w| acknowledged[w].load(Ordering::SeqCst) + 1 - next_ms[w]);
                let enough =
                    counts.iter().sum::<i64>() > 200 * WRITERS as i64 && counts.iter().all(|n| *n > 0);
                if enough { Ok(()) } else { Err(format!("{counts:?}")) }
            });
            // In the middle of the writers' work.
            kymo.process().kill();
        });
        kymo.crash_and_restart();
        for writer in 0..WRITERS {
            let newest_ms = acknowledged[writer].load(Ordering::SeqCst);
            let found = stored(&url, writer, newest_ms);
            assert_eq!(found.len(), SERIES, "round {round}: series of writer {writer}");
            for (i, samples) in &found {
                for at_ms in from_ms..=newest_ms {
                    let value = samples.get(&at_ms);
                    assert_eq!(
                        value,
                        Some(&value_of(writer, *i, at_ms)),
                        "round {round} writer {writer} series {i} at {at_ms}"
                    );
                }
            }
            next_ms[writer] = newest_ms + 1;
        }
    }
}
