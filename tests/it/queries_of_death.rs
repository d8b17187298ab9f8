//! Twenty queries that no server can answer, all at once, while samples come in and rules and alerts are evaluated: each ends with a
//! clear error within its limits, writes and alerts do not wait, no evaluation of a rule is left out, and memory stays
//! under its limit.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kymo_tests::push::{self, Series};
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};

const MEMORY_LIMIT_BYTES: u64 = 1 << 30;
/// Sized for a machine of two cores and a binary that is not optimised.
const SERIES: usize = 100_000;
const SERIES_PER_REQUEST: usize = 5_000;
/// Seconds between the two samples of a series.
const INTERVAL_MS: i64 = 240_000;
/// No query runs longer (`--query-timeout`); what is over after twice that has stopped in time.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a small query of the alerts, or a write, may take beside all that. Also how often rules are evaluated.
const IN_TIME: Duration = Duration::from_secs(10);
/// Groups of a recording and an alerting rule each; more than there are threads for rules.
const GROUPS: usize = 20;

fn rules() -> String {
    let seconds = IN_TIME.as_secs();
    let groups = (0..GROUPS).map(|number| {
        format!(
            "- name: g{number}\n  interval: {seconds}s\n  rules:\n  - record: recorded\n    \
             expr: count(small) + {number}\n    labels: {{group: g{number}}}\n  - alert: Fires\n    \
             expr: recorded{{group=\"g{number}\"}} > 0\n"
        )
    });
    format!("groups:\n{}", groups.collect::<String>())
}

/// What the server says about the evaluations of its rules.
struct Rounds {
    /// Evaluations of groups that were due.
    due: f64,
    /// Those that were left out.
    missed: f64,
    /// Those that began later than rules are evaluated often.
    late: f64,
    /// Evaluations of rules that failed.
    failed: f64,
}

impl Rounds {
    fn of(url: &str) -> Self {
        let text = http::get(&format!("{url}/metrics")).expect("answered").text();
        // All labels together.
        let figure = |name: &str| {
            let values = text.lines().filter_map(|line| {
                let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
                rest.rsplit(' ').next()?.parse::<f64>().ok()
            });
            values.sum::<f64>()
        };
        let lag = "kymo_rule_group_evaluation_lag_seconds";
        let in_time = figure(&format!("{lag}_bucket{{le=\"{}\"}}", IN_TIME.as_secs()));
        Self {
            due: figure("kymo_rule_group_iterations_total"),
            missed: figure("kymo_rule_group_iterations_missed_total"),
            late: figure(&format!("{lag}_count")) - in_time,
            failed: figure("kymo_rule_evaluation_failures_total"),
        }
    }
}

fn fill(kymo: &Kymo, now_ms: i64) {
    for part in 0..SERIES / SERIES_PER_REQUEST {
        let series: Vec<Series> = (part * SERIES_PER_REQUEST..(part + 1) * SERIES_PER_REQUEST)
            .map(|number| {
                let labels = [
                    ("__name__", "big"),
                    ("a", &*format!("aaaaaaaaaaaaaaaa{number:06}")),
                    ("b", &*(number % 317).to_string()),
                ];
                let sample = |ago: i64| (now_ms - ago * INTERVAL_MS, (number as i64 - ago) as f64 + 0.25);
                Series::new(&labels, &[sample(1), sample(0)])
            })
            .collect();
        let response = push::send(&kymo.url(), &series).expect("answered");
        assert_eq!(response.status / 100, 2, "{}", response.text());
    }
}

/// Queries, and whether they are of ranges of 11,000 steps.
fn queries() -> Vec<(String, bool)> {
    let doubled = (0..40).fold("big".to_owned(), |inner, _| {
        format!("label_replace({inner}, \"a\", \"$1$1\", \"a\", \"(.*)\")")
    });
    let joined = (0..60).fold("big".to_owned(), |inner, _| format!("({inner} * ignoring () big)"));
    let nested = (0..8).fold("big".to_owned(), |inner, _| format!("max_over_time({inner}[1h:1s])"));
    let range = |query: &str| (query.to_owned(), true);
    let instant = |query: &str| (query.to_owned(), false);
    vec![
        range("{__name__=~\".+\"}"),
        range("topk(100000, big)"),
        range("count_values(\"v\", big * time())"),
        range("sum by (a) (rate(big[1h]))"),
        range("label_join(big, \"c\", \"-\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\")"),
        range("big * on (a) group_left () big"),
        range("quantile by (a) (0.9, big)"),
        range("sort_desc(big) or (big + 1)"),
        range("max_over_time(rate(big[1m])[1h:1s])"),
        range("big{a=~\"(a|aa|aaa)*(a|aa|aaa)*(a|aa|aaa)*[0-9]{6}x?\"}"),
        instant(&nested),
        instant("sum_over_time(sum_over_time(sum_over_time(big[1h:1s])[1h:1s])[1h:1s])"),
        instant("count_over_time(vector(1)[50y:1ms])"),
        instant("absent_over_time(big[10000d:1s])"),
        instant(&doubled),
        instant(&joined),
        instant("big{a=~\"((((a{1,100}){1,100}){1,100}){1,100}){1,100}\"}"),
        instant(&format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000))),
        instant(&format!("{}1", "-".repeat(30_000))),
        instant("big * on (b) group_left () big"),
    ]
}

/// What became of a query.
struct Ended {
    query: String,
    status: u16,
    body: String,
    took: Duration,
}

fn ask(kymo: &str, query: &str, is_range: bool, now_ms: i64) -> Ended {
    let end = (now_ms / 1_000).to_string();
    let start = (now_ms / 1_000 - 10_999).to_string();
    let started = Instant::now();
    let client = http::Client::default();
    let response = if is_range {
        let parameters = [("query", query), ("start", &*start), ("end", &*end), ("step", "1")];
        client.post_form(&format!("{kymo}/api/v1/query_range"), &parameters)
    } else {
        client.post_form(&format!("{kymo}/api/v1/query"), &[("query", query), ("time", &*end)])
    };
    let mut query = query.to_owned();
    query.truncate(80);
    let response = response.unwrap_or_else(|error| panic!("{query}: no answer: {error}"));
    let mut body = response.text();
    body.truncate(body.floor_char_boundary(400));
    Ended { query, status: response.status, body, took: started.elapsed() }
}

/// Peak of the server's memory, as the system counts it.
fn peak_bytes(kymo: &mut Kymo) -> u64 {
    let path = format!("/proc/{}/status", kymo.process().id());
    let status = std::fs::read_to_string(path).expect("the server is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line about the peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Asks again and again until told to stop; returns the longest wait, and how often it was answered.
fn repeat(
    stop: &AtomicBool,
    count: &AtomicU64,
    what: &str,
    mut ask: impl FnMut() -> http::Response,
) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let response = ask();
        assert_eq!(response.status / 100, 2, "{what}: {} {}", response.status, response.text());
        longest = longest.max(started.elapsed());
        count.fetch_add(1, Ordering::Relaxed);
    }
    longest
}

/// All groups have been evaluated twice since `due_before`, none was left out or began an interval late, and no rule failed.
fn check_rules(url: &str, due_before: f64) {
    let rounds = poll::until("two evaluations of each group", || {
        let rounds = Rounds::of(url);
        let are_done = rounds.due >= due_before + 2.0 * GROUPS as f64;
        let text = format!("{} were due, {due_before} of them before", rounds.due);
        if are_done { Ok(rounds) } else { Err(text) }
    });
    let Rounds { due, missed, late, failed } = rounds;
    assert_eq!((missed, late, failed), (0.0, 0.0, 0.0), "left out, late, and failed, of {due}");
}

/// A server with little memory and the rules, whose files are in `folder`.
fn start(folder: &Path) -> Kymo {
    let timeout = format!("{}s", QUERY_TIMEOUT.as_secs());
    write(&folder.join("rules.yml"), &rules());
    let config = folder.join("kymo.yml");
    write(&config, "scrape_configs: []\nrule_files: [rules.yml]\n");
    let config = config.to_str().expect("UTF-8");
    Kymo::start_with(&["--config", config, "--memory-limit", "1GiB", "--query-timeout", &timeout])
}

#[test]
fn queries_of_death_end_while_writes_and_alerts_go_on() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let mut kymo = start(folder.path());
    let (url, now_ms) = (kymo.url(), push::now_ms());
    fill(&kymo, now_ms);
    let due_before = Rounds::of(&url).due;
    let queries = queries();
    let (stop, written, evaluated) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (ended, write_took, alert_took) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            repeat(&stop, &written, "a write", || {
                let number = written.load(Ordering::Relaxed) as f64;
                push::send(&url, &[Series::new(&[("__name__", "small")], &[(push::now_ms(), number)])])
                    .expect("answered")
            })
        });
        let alerts = scope.spawn(|| {
            let client = http::Client::default();
            repeat(&stop, &evaluated, "an alert's query", || {
                let parameters = [("query", "max_over_time(small[1m]) >= 0"), ("class", "alert")];
                client.post_form(&format!("{url}/api/v1/query"), &parameters).expect("answered")
            })
        });
        poll::until("the first write and alert", || {
            let begun = written.load(Ordering::Relaxed) > 0 && evaluated.load(Ordering::Relaxed) > 0;
            begun.then_some(()).ok_or_else(|| "not yet".to_owned())
        });
        let asked: Vec<_> = queries
            .iter()
            .map(|(query, is_range)| scope.spawn(|| ask(&url, query, *is_range, now_ms)))
            .collect();
        let ended: Vec<_> = asked.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        let ended: Vec<Ended> = ended.into_iter().map(|one| one.expect("answered")).collect();
        (ended, writer.join().expect("all were written"), alerts.join().expect("all were evaluated"))
    });
    let peak_bytes = peak_bytes(&mut kymo);
    let (written, evaluated) = (written.into_inner(), evaluated.into_inner());
    #[expect(clippy::print_stdout, reason = "what the limits did")]
    {
        for Ended { query, status, body, took } in &ended {
            println!("{status} after {:.1} s: {query}\n    {body}", took.as_secs_f64());
        }
        println!(
            "{written} writes (longest {write_took:?}), {evaluated} alerts (longest {alert_took:?}), {} MiB at most",
            peak_bytes >> 20
        );
    }
    assert_eq!(ended.len(), 20);
    // On a quick machine, what only takes long may come to its end: an answer within the limits harms nobody.
    let answered = ended.iter().filter(|one| one.status == 200).count();
    assert!(answered <= 3, "{answered} of 20 queries of death were answered");
    for Ended { query, status, body, took } in &ended {
        assert!(*took < QUERY_TIMEOUT * 2, "{query}: ended after {took:?}");
        if *status == 200 {
            continue;
        }
        assert!([400, 422, 429, 503].contains(status), "{query}: {status} {body}");
        let error: serde_json::Value =
            serde_json::from_str(body).unwrap_or_else(|e| panic!("{query}: {e}: {body}"));
        let text = error["error"].as_str().unwrap_or_default();
        assert!(text.len() > 10, "{query}: says why: {body}");
    }
    assert!(peak_bytes < MEMORY_LIMIT_BYTES, "{} MiB of 1,024", peak_bytes >> 20);
    assert!(write_took < IN_TIME, "a write took {write_took:?}");
    assert!(alert_took < IN_TIME, "an alert's query took {alert_took:?}");
    assert!(kymo.process().ended().is_none(), "the server lives");
    check_rules(&url, due_before);
    kymo.wait_for_value("max_over_time(small[5m])");
}
