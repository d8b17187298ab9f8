//! What a target answers: families as an instrumented service has them, with comments, labels and values that go on with time.

use std::io::Write;

/// How a value goes on.
#[derive(Clone, Copy)]
enum Course {
    /// Never changes.
    Constant,
    /// A whole number that grows by so many a second.
    Counter(u64),
    /// Grows in fractions.
    Seconds,
    /// Goes up and down.
    Gauge,
}

/// A line up to its value.
struct Line {
    text: String,
    course: Course,
}

/// The metrics that all targets have.
pub(crate) struct Exporter {
    lines: Vec<Line>,
}

const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const CODES: [&str; 3] = ["200", "404", "500"];
const LE: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];

impl Exporter {
    /// Metrics with `series` series.
    pub(crate) fn new(series: usize) -> Self {
        let mut lines = Vec::new();
        family(&mut lines, "process_start_time_seconds", "gauge", &[String::new()], Course::Constant);
        family(&mut lines, "process_cpu_seconds_total", "counter", &[String::new()], Course::Seconds);
        family(&mut lines, "process_resident_memory_bytes", "gauge", &[String::new()], Course::Gauge);
        family(&mut lines, "process_open_fds", "gauge", &[String::new()], Course::Constant);
        family(&mut lines, "go_goroutines", "gauge", &[String::new()], Course::Gauge);
        family(&mut lines, "go_memstats_heap_alloc_bytes", "gauge", &[String::new()], Course::Gauge);
        let version = [r#"{version="1.27.3",revision="4d3c1f0a",goversion="go1.24.1"}"#.to_owned()];
        family(&mut lines, "service_build_info", "gauge", &version, Course::Constant);
        let mut service = 0;
        while lines.len() < series {
            let name = |what: &str| format!("service_{what}_{service}");
            let requests: Vec<String> = METHODS
                .iter()
                .flat_map(|method| CODES.iter().map(move |code| (method, code)))
                .map(|(method, code)| {
                    format!(r#"{{handler="/api/v{service}/items",method="{method}",code="{code}"}}"#)
                })
                .collect();
            family(&mut lines, &name("http_requests_total"), "counter", &requests, Course::Counter(7));
            histogram(&mut lines, &name("http_request_duration_seconds"), service);
            let queues: Vec<String> = (0..8).map(|queue| format!(r#"{{queue="worker-{queue}"}}"#)).collect();
            family(&mut lines, &name("queue_length"), "gauge", &queues, Course::Gauge);
            family(&mut lines, &name("queue_capacity"), "gauge", &queues, Course::Constant);
            service += 1;
        }
        lines.truncate(series);
        Self { lines }
    }

    /// The answer of a target at a time since the beginning.
    pub(crate) fn body(&self, target: usize, now_ms: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.lines.len() * 96);
        for (at, line) in self.lines.iter().enumerate() {
            out.extend_from_slice(line.text.as_bytes());
            let own = mixed((target as u64) << 20 | at as u64);
            let written = match line.course {
                Course::Constant => write!(out, "{}", own % 1024),
                Course::Counter(rate) => {
                    integer(&mut out, own % 30_000_000 + now_ms * (1 + own % rate) / 1000);
                    Ok(())
                }
                Course::Seconds => write!(out, "{}", (own % 9_000_000 + now_ms / 7) as f64 / 100.0),
                Course::Gauge => {
                    let now = mixed(own ^ (now_ms / 1000));
                    write!(out, "{}", (own % 50_000 + now % 1000) as f64 / 1000.0)
                }
            };
            written.expect("memory takes it");
            out.push(b'\n');
        }
        out
    }
}

fn family(lines: &mut Vec<Line>, name: &str, metric_type: &str, labels: &[String], course: Course) {
    for (at, labels) in labels.iter().enumerate() {
        let comments = if at == 0 {
            format!(
                "# HELP {name} What {name} means, in a sentence as long as they are.\n# TYPE {name} {metric_type}\n"
            )
        } else {
            String::new()
        };
        lines.push(Line { text: format!("{comments}{name}{labels} "), course });
    }
}

fn histogram(lines: &mut Vec<Line>, name: &str, service: usize) {
    let handler = format!(r#"handler="/api/v{service}/items""#);
    for (at, le) in LE.iter().enumerate() {
        let comments = if at == 0 {
            format!("# HELP {name} How long requests took.\n# TYPE {name} histogram\n")
        } else {
            String::new()
        };
        let text = format!("{comments}{name}_bucket{{{handler},le=\"{le}\"}} ");
        lines.push(Line { text, course: Course::Counter(3 + at as u64) });
    }
    lines.push(Line { text: format!("{name}_sum{{{handler}}} "), course: Course::Seconds });
    lines.push(Line { text: format!("{name}_count{{{handler}}} "), course: Course::Counter(15) });
}

/// A whole number as Go's client writes it: with an exponent from a million.
fn integer(out: &mut Vec<u8>, value: u64) {
    let digits = value.to_string();
    if digits.len() < 7 {
        out.extend_from_slice(digits.as_bytes());
        return;
    }
    let (first, rest) = digits.split_at(1);
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    out.extend_from_slice(format!("{first}{point}{rest}e+{:02}", digits.len() - 1).as_bytes());
}

/// A number that looks random, always the same for the same seed.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
