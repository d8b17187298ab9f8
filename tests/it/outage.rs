//! A receiver is away for minutes while an agent scrapes: sample by sample, what targets served is what arrived.
//!
//! A sample is missing only if its target served an answer that the agent did not take (it was late, on a busy machine); the agent says
//! so itself, by a staleness marker in that place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kymo_tests::gate::{Gate, Mode};
use kymo_tests::server::Kymo;
use kymo_tests::{http, poll};

/// How long a receiver is away, and how many scrapes fall into that at least.
const OUTAGE: Duration = Duration::from_secs(120);
const OUTAGE_SCRAPES: u64 = 110;
/// An outage on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(600);
/// The bound that `docs/internals/forward.md` names.
const REPEATED_RECORDS_MAX: usize = 64;

/// A target that counts its scrapes: each series tells which scrape it is of.
#[derive(Clone)]
struct Target {
    address: String,
    parts: u64,
    state: Arc<Mutex<Served>>,
}

#[derive(Default)]
struct Served {
    scrapes: u64,
    /// While it is away, connections end without an answer, and are counted here.
    away: Option<u64>,
}

/// What `series` is after `scrape` scrapes: the first counts, the others are noise that does not compress.
fn value(scrape: u64, part: u64) -> f64 {
    match part {
        0 => scrape as f64,
        _ => (kymo_tests::random::Random::new(scrape << 20 | part).bits() >> 11) as f64,
    }
}

impl Target {
    fn start(parts: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let target = Self { address, parts, state: Arc::default() };
        let serving = target.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        target
    }

    fn lock(&self) -> MutexGuard<'_, Served> {
        self.state.lock().expect("nobody panics with the target's state")
    }

    fn served(&self) -> u64 {
        self.lock().scrapes
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).ok()? == 0 {
                    return None;
                }
            }
            let scrape = {
                let mut state = self.lock();
                if let Some(refused) = &mut state.away {
                    *refused += 1;
                    return None;
                }
                state.scrapes += 1;
                state.scrapes
            };
            let mut body = String::new();
            for part in 0..self.parts {
                writeln!(body, "served{{part=\"{part}\"}} {}", value(scrape, part)).ok()?;
            }
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}", body.len());
            write!(stream, "{head}\r\n\r\n{body}").ok()?;
        }
    }

    /// Goes away, and waits until the agent has noticed: then it has done all it does with what was served before.
    fn leave(&self) {
        self.lock().away = Some(0);
        poll::until("the agent to notice that a target is away", || match self.lock().away {
            // Each scrape may try a second connection; it begins after the one before has been put into the queue.
            Some(refused) if refused >= 4 => Ok(()),
            refused => Err(format!("{refused:?} requests")),
        });
    }

    fn come_back(&self) {
        self.lock().away = None;
    }
}

fn agent_of(targets: &[Target], gate: &Gate, queue: &str) -> Kymo {
    let list: Vec<String> = targets.iter().map(|target| format!("'{}'", target.address)).collect();
    Kymo::start_agent(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: outage, static_configs: [{{targets: [{}]}}]}}]\n\
         remote_write:\n- url: {}\n  name: there\n  queue_config: {{batch_send_deadline: 100ms, max_backoff: 1s, retry_on_http_429: true{queue}}}\n  \
         write_relabel_configs: [{{source_labels: [__name__], regex: served, action: keep}}]\n",
        list.join(", "),
        gate.url()
    ))
}

fn forwarded(agent: &Kymo, what: &str) -> f64 {
    agent.metric(&format!("kymo_forward_{what}{{receiver=\"there\"}}"))
}

fn dropped(agent: &Kymo) -> f64 {
    agent.metric("kymo_forward_dropped_samples_total{reason=\"queue_full\",receiver=\"there\"}")
}

fn wait_until_served(targets: &[Target], scrapes: u64) {
    poll::until_within(PATIENCE, "targets to be scraped", || {
        match targets.iter().map(Target::served).min() {
            Some(served) if served >= scrapes => Ok(()),
            served => Err(format!("{served:?} of {scrapes} scrapes")),
        }
    });
}

/// Waits until everything that was collected is on disk, or sent, or dropped.
fn wait_until_queued(agent: &Kymo) {
    poll::until("what was collected to be in the queue", || {
        let all = forwarded(agent, "samples_total");
        let known =
            forwarded(agent, "sent_samples_total") + forwarded(agent, "queue_samples") + dropped(agent);
        if all == known { Ok(()) } else { Err(format!("{known} of {all}")) }
    });
}

/// Samples of a series in the order in which the receiver took them first: timestamp and bits of the value.
type Samples = Vec<(i64, u64)>;

/// What came through, by target and part. No sample came before an older one of its series, but for repeats, which are counted.
fn arrived(gate: &Gate) -> (BTreeMap<(String, u64), Samples>, usize) {
    #[derive(Default)]
    struct Arrived {
        samples: Samples,
        known: BTreeSet<(i64, u64)>,
        repeats: usize,
    }
    let mut all: BTreeMap<(String, u64), Arrived> = BTreeMap::new();
    for series in gate.taken() {
        let label = |name: &str| {
            let found = series.labels.iter().find(|(label, _)| label == name);
            found.map(|(_, value)| value.clone()).expect("a label")
        };
        let part = label("part").parse().expect("a number");
        let Arrived { samples, known, repeats } = all.entry((label("instance"), part)).or_default();
        for (timestamp_ms, value) in &series.samples {
            let sample = (*timestamp_ms, value.to_bits());
            if known.insert(sample) {
                let newest = samples.last().map_or(i64::MIN, |(newest, _)| *newest);
                assert!(*timestamp_ms > newest, "{timestamp_ms} arrived after {newest}: {:?}", series.labels);
                samples.push(sample);
            } else {
                *repeats += 1;
            }
        }
    }
    let repeats = all.values().map(|arrived| arrived.repeats).max().unwrap_or(0);
    (all.into_iter().map(|(key, arrived)| (key, arrived.samples)).collect(), repeats)
}

fn is_marker(bits: u64) -> bool {
    bits == 0x7ff0_0000_0000_0002
}

/// Which scrapes the samples of a series are of, and those before which something was late by the agent's own word.
fn scrapes_of(samples: &Samples, part: u64, served: u64) -> (Vec<u64>, BTreeSet<u64>) {
    let by_value: BTreeMap<u64, u64> =
        (1..=served).map(|scrape| (value(scrape, part).to_bits(), scrape)).collect();
    let (mut scrapes, mut after_marker, mut marker) = (Vec::new(), BTreeSet::new(), false);
    for (_, bits) in samples {
        if is_marker(*bits) {
            marker = true;
            continue;
        }
        let scrape =
            *by_value.get(bits).unwrap_or_else(|| panic!("{} was never served", f64::from_bits(*bits)));
        scrapes.push(scrape);
        if std::mem::take(&mut marker) {
            after_marker.insert(scrape);
        }
    }
    (scrapes, after_marker)
}

/// What of `1..=served` is missing, as runs from the first to the last, and whether it was late by the agent's own word.
fn missing(scrapes: &[u64], after_marker: &BTreeSet<u64>, served: u64) -> Vec<(u64, u64, bool)> {
    let mut runs = Vec::new();
    let mut expected = 1;
    for scrape in scrapes.iter().copied().chain([served + 1]) {
        assert!(scrape >= expected, "scrape {scrape} came after {}", expected - 1);
        if scrape > expected {
            runs.push((expected, scrape - 1, after_marker.contains(&scrape)));
        }
        expected = scrape + 1;
    }
    runs
}

/// Waits until the receiver took what ends each series after its target left.
fn wait_until_ended(gate: &Gate, series_count: usize) {
    poll::until("every series to end", || {
        let (arrived, _) = arrived(gate);
        let ended = |samples: &Samples| samples.last().is_some_and(|(_, bits)| is_marker(*bits));
        match arrived.values().filter(|samples| ended(samples)).count() {
            count if count == series_count => Ok(()),
            count => Err(format!("{count} of {series_count} have ended")),
        }
    });
}

fn wait_until_empty(agent: &Kymo) {
    poll::until("the queue to be empty", || match forwarded(agent, "queue_samples") {
        0.0 => Ok(()),
        waiting => Err(format!("{waiting} samples wait")),
    });
}

/// What the receiver itself has of a series, markers left out.
fn stored(receiver: &Kymo, instance: &str, part: u64) -> Vec<(i64, u64)> {
    let found = receiver.instant(&format!("served{{instance=\"{instance}\",part=\"{part}\"}}[1d]"));
    let values = found[0]["values"].as_array().cloned().unwrap_or_default();
    let sample = |pair: &serde_json::Value| {
        let value: f64 = pair[1].as_str().and_then(|text| text.parse().ok()).expect("a number");
        ((pair[0].as_f64().expect("a time") * 1e3).round() as i64, value.to_bits())
    };
    values.iter().map(sample).collect()
}

#[test]
fn minutes_without_a_receiver_and_a_crash_cost_an_agent_nothing() {
    let receiver = Kymo::start();
    let gate = Gate::before(&format!("{}/api/v1/write", receiver.url()));
    let targets: Vec<Target> = (0..3).map(|_| Target::start(20)).collect();
    let mut agent = agent_of(&targets, &gate, "");
    poll::until("the first samples to arrive", || match gate.taken().len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    wait_until_served(&targets, 5);
    gate.set(Mode::Down);
    let (began, before) = (Instant::now(), targets.iter().map(Target::served).max().unwrap_or(0));
    wait_until_served(&targets, before + OUTAGE_SCRAPES / 2);
    // A crash loses what an agent holds in its hands; whatever it has put away must be there again.
    targets.iter().for_each(Target::leave);
    wait_until_queued(&agent);
    agent.crash_and_restart();
    targets.iter().for_each(Target::come_back);
    wait_until_served(&targets, before + OUTAGE_SCRAPES);
    poll::until_within(PATIENCE, "the outage to last", || match began.elapsed() {
        long if long >= OUTAGE => Ok(()),
        short => Err(format!("{short:?}")),
    });
    let waiting = forwarded(&agent, "queue_samples");
    assert!(waiting >= (OUTAGE_SCRAPES * 60) as f64, "only {waiting} samples wait");
    // The receiver comes back, and has no time yet.
    for status in [503, 429] {
        let so_far = gate.put_off_count();
        gate.set(Mode::Busy { status, retry_after: 2 });
        poll::until("requests to be put off", || match gate.put_off_count() - so_far {
            count if count >= 5 => Ok(()),
            count => Err(format!("{count} were")),
        });
    }
    gate.set(Mode::Open);
    let all = targets.iter().map(Target::served).max().unwrap_or(0);
    wait_until_served(&targets, all + 3);
    targets.iter().for_each(Target::leave);
    wait_until_empty(&agent);
    wait_until_ended(&gate, 60);
    assert!(gate.check_patience() >= 5, "few came again");
    assert!(
        !http::get(&format!("{}/metrics", agent.url()))
            .expect("metrics")
            .text()
            .contains("dropped_samples_total{")
    );
    let (arrived, repeats) = arrived(&gate);
    assert!(repeats <= REPEATED_RECORDS_MAX, "{repeats} samples of a series came twice");
    assert_eq!(arrived.len(), 60);
    for ((instance, part), samples) in &arrived {
        let served = targets.iter().find(|target| target.address == *instance).expect("a target").served();
        let (scrapes, after_marker) = scrapes_of(samples, *part, served);
        for (first, last, late) in missing(&scrapes, &after_marker, served) {
            assert!(late, "{instance} {part} is missing {first} to {last} of {scrapes:?}");
        }
        let without_markers: Samples =
            samples.iter().filter(|(_, bits)| !is_marker(*bits)).copied().collect();
        assert_eq!(stored(&receiver, instance, *part), without_markers, "{instance} {part}");
    }
}

#[test]
fn minutes_beyond_the_bound_of_a_queue_cost_exactly_the_oldest_samples() {
    let receiver = Kymo::start();
    let gate = Gate::before(&format!("{}/api/v1/write", receiver.url()));
    let parts = 1_000;
    let target = [Target::start(parts)];
    let agent = agent_of(&target, &gate, ", max_shards: 1, max_disk_size: 1MiB");
    wait_until_served(&target, 5);
    poll::until("the first samples to arrive", || match forwarded(&agent, "sent_samples_total") {
        0.0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    gate.set(Mode::Down);
    let (began, before) = (Instant::now(), target[0].served());
    wait_until_served(&target, before + OUTAGE_SCRAPES);
    poll::until_within(PATIENCE, "the outage to last", || match began.elapsed() {
        long if long >= OUTAGE => Ok(()),
        short => Err(format!("{short:?}")),
    });
    target[0].leave();
    wait_until_queued(&agent);
    gate.set(Mode::Open);
    wait_until_empty(&agent);
    wait_until_ended(&gate, parts as usize);
    wait_until_queued(&agent);
    let (arrived, repeats) = arrived(&gate);
    assert_eq!(repeats, 0, "nothing came twice where nothing crashed");
    assert_eq!(arrived.len() as u64, parts);
    let served = target[0].served();
    let mut lost = BTreeSet::new();
    for ((_, part), samples) in &arrived {
        let (scrapes, after_marker) = scrapes_of(samples, *part, served);
        let mut runs = missing(&scrapes, &after_marker, served);
        runs.sort_by_key(|(first, last, _)| last - first);
        let (first, last, _) = runs.pop().expect("something is lost");
        assert!(
            runs.iter().all(|(.., late)| *late),
            "series {part} is missing {first} to {last} and {runs:?}"
        );
        lost.insert((first, last));
    }
    assert_eq!(lost.len(), 1, "every series is missing the same: {lost:?}");
    let (first, last) = lost.first().copied().expect("a run");
    // What the queue holds in the end is what is newest; what arrived before the outage stays.
    let long = last - first + 1 >= OUTAGE_SCRAPES / 4;
    assert!(first > 1 && last < served && long, "missing {first} to {last} of {served}");
    let came = arrived.values().map(Vec::len).sum::<usize>() as f64;
    assert_eq!(dropped(&agent), forwarded(&agent, "samples_total") - came);
    assert_eq!(dropped(&agent) % parts as f64, 0.0, "every series loses the same");
    let ((instance, part), samples) = arrived.first_key_value().expect("a series");
    let without_markers: Samples = samples.iter().filter(|(_, bits)| !is_marker(*bits)).copied().collect();
    assert_eq!(stored(&receiver, instance, *part), without_markers);
}
