//! What is asked: random queries of the stable language, over the metrics of `data`.
//!
//! Two kinds of vectors: *exact* ones, whose values are computed without rounding, and any others. Whatever jumps (comparisons,
//! rounding, `topk`, `count_values`) is asked of exact ones only: else two sound engines could fall on different sides.
//! All times, windows and offsets are multiples of 5 s; evaluation times are 2 s later, windows of subqueries 1 s longer, so
//! that neither a sample nor a step of a subquery lies on the edge of a window.

use std::fmt;

use kymo_tests::random::Random;

use super::data::{SPAN_S, START_S};

/// A query and when it is evaluated.
pub(super) struct Asked {
    query: String,
    /// Start, end and step in seconds; the first two are the same for an instant query.
    start: String,
    end: String,
    step: String,
    is_range: bool,
}

impl Asked {
    pub(super) fn path(&self) -> &'static str {
        if self.is_range { "/api/v1/query_range" } else { "/api/v1/query" }
    }

    pub(super) fn parameters(&self) -> Vec<(&str, &str)> {
        if self.is_range {
            return vec![
                ("query", &self.query),
                ("start", &self.start),
                ("end", &self.end),
                ("step", &self.step),
            ];
        }
        vec![("query", &self.query), ("time", &self.start)]
    }

    /// Whether the order of the result means something.
    pub(super) fn is_ordered(&self) -> bool {
        !self.is_range && self.query.starts_with("sort")
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.query)?;
        match self.is_range {
            true => write!(f, "  from {} to {} by {}", self.start, self.end, self.step),
            false => write!(f, "  at {}", self.start),
        }
    }
}

/// A metric, its labels, and values that they may have.
struct Metric {
    name: &'static str,
    labels: &'static [&'static str],
}

const fn metric(name: &'static str, labels: &'static [&'static str]) -> Metric {
    Metric { name, labels }
}

const COUNTERS: [Metric; 3] = [
    metric("requests_total", &["job", "instance", "code"]),
    metric("cpu_seconds_total", &["job", "instance", "mode"]),
    metric("latency_seconds_count", &["job", "instance"]),
];
/// Of different values, so that a rank is clear.
const DISTINCT: [Metric; 3] = [
    metric("memory_bytes", &["job", "instance", "mode"]),
    metric("temperature", &["job", "instance", "zone"]),
    metric("requests_total", &["job", "instance", "code"]),
];
const GAUGES: [Metric; 6] = [
    metric("memory_bytes", &["job", "instance", "mode"]),
    metric("temperature", &["job", "instance", "zone"]),
    metric("queue_length", &["job", "instance"]),
    metric("build_info", &["job", "instance", "version"]),
    metric("odd", &["kind"]),
    metric("sparse", &["job"]),
];
const LABELS: [&str; 6] = ["job", "instance", "code", "mode", "zone", "version"];
const WINDOWS: [&str; 7] = ["30s", "1m", "90s", "5m", "10m", "25m", "1h"];

fn values(label: &str) -> &'static [&'static str] {
    match label {
        "job" => &["api", "web"],
        "instance" => &["a:80", "b:80", "c:80"],
        "code" => &["200", "404", "500"],
        "mode" => &["user", "idle"],
        "zone" => &["z0", "z1"],
        "version" => &["1.2", "1.3"],
        _ => &["nan", "inf", "mixed"],
    }
}

/// Makes queries without end.
pub(super) struct Queries {
    random: Random,
}

impl Queries {
    pub(super) fn new(random: Random) -> Self {
        Self { random }
    }

    /// The next query.
    pub(super) fn next(&mut self) -> Asked {
        let depth = self.random.between(1, 4) as u32;
        let query = match self.random.below(14) {
            0 => self.scalar(depth),
            1 => self.ordered(),
            _ => self.vector(depth),
        };
        let is_range = self.random.one_in(2);
        let start = START_S + self.random.between(0, SPAN_S / 5 + 60) * 5 + 2;
        let step = *self.random.pick(&[5, 15, 30, 60, 125, 300]);
        let end = if is_range { start + step * self.random.between(0, 15) } else { start };
        Asked { query, start: start.to_string(), end: end.to_string(), step: step.to_string(), is_range }
    }

    fn pick(&mut self, from: &[&str]) -> String {
        (*self.random.pick(from)).to_owned()
    }

    /// A random quarter, often whole.
    fn number(&mut self) -> String {
        let quarters = self.random.between(-40, 4_000);
        if self.random.one_in(2) { (quarters / 4).to_string() } else { (quarters as f64 / 4.0).to_string() }
    }

    fn matchers(&mut self, metric: &Metric) -> String {
        let mut all = Vec::new();
        for label in metric.labels {
            if !self.random.one_in(4) {
                continue;
            }
            let value = self.pick(values(label));
            all.push(match self.random.below(9) {
                0..=3 => format!("{label}=\"{value}\""),
                4 => format!("{label}!=\"{value}\""),
                5 => format!("{label}=~\"{value}|nothing\""),
                6 => format!("{label}=~\".*{}\"", &value[value.len() - 1..]),
                7 => format!("{label}!~\"{}.*\"", &value[..1]),
                _ => format!("{label}=~\".+\",{label}!=\"\""),
            });
        }
        if self.random.one_in(20) {
            all.push("no_such_label=\"\"".to_owned());
        }
        all.join(",")
    }

    /// `name{matchers}`, now and then written in another way.
    fn plain(&mut self, metric: &Metric) -> String {
        let matchers = self.matchers(metric);
        if self.random.one_in(12) {
            let comma = if matchers.is_empty() { "" } else { "," };
            return format!("{{__name__=\"{}\"{comma}{matchers}}}", metric.name);
        }
        if matchers.is_empty() { metric.name.to_owned() } else { format!("{}{{{matchers}}}", metric.name) }
    }

    /// ` offset …`, ` @ …`, both or, as a rule, neither.
    fn modifiers(&mut self) -> String {
        let mut text = String::new();
        if self.random.one_in(8) {
            let at = START_S + self.random.between(0, SPAN_S / 5) * 5 + 2;
            text += &match self.random.below(4) {
                0 => " @ start()".to_owned(),
                1 => " @ end()".to_owned(),
                _ => format!(" @ {at}"),
            };
        }
        if self.random.one_in(6) {
            text += &self.offset();
        }
        text
    }

    /// Prometheus 2.42 refuses `offset 0s`.
    fn offset(&mut self) -> String {
        match self.random.between(-60, 240) * 5 {
            0 => " offset 2h".to_owned(),
            seconds if seconds < 0 => format!(" offset -{}s", -seconds),
            seconds => format!(" offset {seconds}s"),
        }
    }

    fn of(&mut self, metrics: &'static [Metric]) -> String {
        let metric = self.random.pick(metrics);
        self.plain(metric)
    }

    fn any_metric(&mut self) -> String {
        if self.random.one_in(2) { self.of(&COUNTERS) } else { self.of(&GAUGES) }
    }

    fn selector(&mut self) -> String {
        if self.random.one_in(25) {
            return format!(
                "{{__name__=~\"{}\"}}",
                self.pick(&["requests.*", "memory_bytes|queue_length", ".*_info"])
            ) + &self.modifiers();
        }
        self.any_metric() + &self.modifiers()
    }

    /// A range of an exact selector.
    fn window(&mut self) -> String {
        format!("{}[{}]{}", self.any_metric(), self.pick(&WINDOWS), self.modifiers())
    }

    fn counter_window(&mut self) -> String {
        format!("{}[{}]{}", self.of(&COUNTERS), self.pick(&WINDOWS), self.modifiers())
    }

    fn subquery(&mut self, inner: &str) -> String {
        let range = self.pick(&["61s", "3m1s", "10m1s", "26s", "20m1s"]);
        let step = self.pick(&["5s", "10s", "30s", "1m", "", "2m"]);
        format!("{inner}[{range}:{step}]{}", self.modifiers())
    }

    fn grouping(&mut self) -> String {
        let mut labels: Vec<&str> = self.random.some_of(&LABELS[..4]).into_iter().copied().collect();
        if self.random.one_in(10) {
            labels.push("__name__");
        }
        let labels = labels.join(", ");
        match self.random.below(3) {
            0 => String::new(),
            1 => format!(" by ({labels}) "),
            _ => format!(" without ({labels}) "),
        }
    }

    fn aggregated(&mut self, operator: &str, arguments: &str) -> String {
        let grouping = self.grouping();
        if self.random.one_in(5) {
            return format!("{operator}({arguments}){grouping}");
        }
        format!("{operator}{grouping}({arguments})")
    }

    /// A vector whose values are exact.
    fn exact(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.random.below(12) {
            0..=3 => self.selector(),
            4 | 5 => {
                let function = self.pick(&[
                    "min_over_time",
                    "max_over_time",
                    "last_over_time",
                    "count_over_time",
                    "changes",
                    "present_over_time",
                    "sum_over_time",
                    "idelta",
                ]);
                format!("{function}({})", self.window())
            }
            6 => format!("resets({})", self.counter_window()),
            7 | 8 => {
                let operator = self.pick(&["sum", "min", "max", "count", "group"]);
                let inner = self.exact(depth - 1);
                self.aggregated(&operator, &inner)
            }
            9 => {
                let (inner, number) = (self.exact(depth - 1), self.number());
                let operator = self.pick(&["+", "-"]);
                if self.random.one_in(2) {
                    format!("{number} {operator} ({inner})")
                } else {
                    format!("({inner}) {operator} {number}")
                }
            }
            10 => {
                let inner = self.exact(depth - 1);
                let (low, high) = (self.random.between(-300, 100), self.random.between(50, 500));
                match self.random.below(5) {
                    0 => format!("clamp({inner}, {low}, {high})"),
                    1 => format!("clamp_min({inner}, {low})"),
                    2 => format!("clamp_max({inner}, {high})"),
                    3 => format!("abs({inner})"),
                    _ => format!("-({inner})"),
                }
            }
            _ => {
                let inner = self.exact(depth - 1);
                let subquery = self.subquery(&format!("({inner})"));
                format!(
                    "{}({subquery})",
                    self.pick(&["min_over_time", "max_over_time", "count_over_time", "last_over_time"])
                )
            }
        }
    }

    /// What jumps, of exact vectors.
    fn jumping(&mut self, depth: u32) -> String {
        let inner = self.exact(depth.saturating_sub(1));
        match self.random.below(9) {
            0 => format!("{}({inner})", self.pick(&["ceil", "floor", "sgn", "round"])),
            1 => format!("round({inner}, {})", self.pick(&["0.5", "5", "0.25", "100"])),
            2..=4 => {
                let operator = self.pick(&["==", "!=", ">", "<", ">=", "<="]);
                let bool_ = if self.random.one_in(3) { "bool " } else { "" };
                let number = self.number();
                if self.random.one_in(4) {
                    format!("{number} {operator} {bool_}{inner}")
                } else {
                    format!("{inner} {operator} {bool_}{number}")
                }
            }
            5 => {
                let operator = self.pick(&["topk", "bottomk"]);
                let selector = self.of(&DISTINCT) + &self.modifiers();
                let arguments = format!("{}, {selector}", self.random.between(0, 4));
                self.aggregated(&operator, &arguments)
            }
            6 => {
                let small = self.pick(&[
                    "queue_length",
                    "build_info",
                    "changes(queue_length[5m])",
                    "count_over_time(sparse[20m])",
                ]);
                self.aggregated("count_values", &format!("\"value\", {small}"))
            }
            7 => format!("({inner}) % {}", self.pick(&["3", "0.5", "-7", "100"])),
            _ => {
                let operator = self.pick(&["==", "!=", ">", "<", ">=", "<="]);
                let bool_ = if self.random.one_in(3) { "bool " } else { "" };
                self.matched(&format!("{operator} {bool_}"), depth, true)
            }
        }
    }

    /// Two vectors joined, most of them so that every group has one series at most.
    fn matched(&mut self, operator: &str, depth: u32, exact: bool) -> String {
        let side = |this: &mut Self| {
            if exact { this.exact(depth.saturating_sub(1)) } else { this.vector(depth.saturating_sub(1)) }
        };
        match self.random.below(6) {
            0 => {
                let inner = side(self);
                format!("({inner}) {operator} ({inner})")
            }
            1 => {
                let (left, right) = (side(self), side(self));
                let by = self.pick(&["job", "instance", "job, instance"]);
                let aggregate = self.pick(&["sum", "max", "min", "count"]);
                let on = if self.random.one_in(2) { format!("on ({by}) ") } else { String::new() };
                format!("{aggregate} by ({by}) ({left}) {operator} {on}{aggregate} by ({by}) ({right})")
            }
            2 => {
                let left = self.of(&COUNTERS);
                format!("{left} {operator} on (job, instance) group_left (version) build_info")
            }
            3 => {
                let right = self.of(&GAUGES[..2]);
                let extra = self.pick(&["", "()", "(version)"]);
                format!("build_info {operator} on (job, instance) group_right {extra} {right}")
            }
            4 => {
                let left = self.of(&COUNTERS[1..2]);
                let ignored = self.pick(&["mode", "code, mode"]);
                format!(
                    "{left} {operator} ignoring ({ignored}) group_left () sum without (mode, zone) (cpu_seconds_total)"
                )
            }
            _ => {
                let (left, right) = (side(self), side(self));
                format!("({left}) {operator} ({right})")
            }
        }
    }

    /// Any vector.
    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.random.below(20) {
            0 | 1 => self.exact(depth),
            2..=4 => self.jumping(depth),
            5 | 6 => self.over_range(depth),
            7 | 8 => {
                let inner = self.vector(depth - 1);
                let operator = self.pick(&["sum", "avg", "min", "max", "count", "group"]);
                self.aggregated(&operator, &inner)
            }
            9 => {
                let inner = self.finite();
                if self.random.one_in(2) {
                    let operator = self.pick(&["stddev", "stdvar"]);
                    return self.aggregated(&operator, &inner);
                }
                let quantile = self.pick(&["0.5", "0.9", "0", "1", "0.333", "-1", "2"]);
                self.aggregated("quantile", &format!("{quantile}, {inner}"))
            }
            10 => self.elementwise(),
            11 => {
                let operator = self.pick(&["+", "-", "*", "/", "^", "atan2"]);
                let (mut inner, scalar) = (self.vector(depth - 1), self.scalar(depth - 1));
                if operator == "atan2" {
                    // Prometheus 2.42 keeps the name here.
                    inner = format!("abs({inner})");
                }
                if self.random.one_in(3) {
                    format!("({scalar}) {operator} ({inner})")
                } else {
                    format!("({inner}) {operator} ({scalar})")
                }
            }
            12 | 13 => {
                let operator = self.pick(&["+", "-", "*", "/"]);
                self.matched(&operator, depth, false)
            }
            14 | 15 => {
                let (left, right) = (self.vector(depth - 1), self.vector(depth - 1));
                let operator = self.pick(&["and", "or", "unless"]);
                let on = self.pick(&[
                    "",
                    "on (job) ",
                    "on () ",
                    "ignoring (code, mode, zone) ",
                    "on (job, instance) ",
                ]);
                format!("({left}) {operator} {on}({right})")
            }
            16 => self.relabelled(depth),
            17 => self.histogram(),
            18 => self.absent_or_time(depth),
            _ => {
                let inner = self.vector(depth - 1);
                format!("{}({inner})", self.pick(&["-", "+", ""]))
            }
        }
    }

    /// A vector without NaN and infinities.
    fn finite(&mut self) -> String {
        match self.random.below(3) {
            0 => self.of(&DISTINCT) + &self.modifiers(),
            1 => format!("rate({})", self.counter_window()),
            _ => format!("avg_over_time({}[{}])", self.of(&DISTINCT), self.pick(&WINDOWS)),
        }
    }

    fn over_range(&mut self, depth: u32) -> String {
        match self.random.below(9) {
            0 | 1 => format!("{}({})", self.pick(&["rate", "increase", "irate"]), self.counter_window()),
            2 | 3 => {
                let function = self.pick(&[
                    "avg_over_time",
                    "sum_over_time",
                    "stddev_over_time",
                    "stdvar_over_time",
                    "delta",
                    "idelta",
                    "present_over_time",
                    "min_over_time",
                ]);
                format!("{function}({})", self.window())
            }
            4 => format!("deriv({}[{}])", self.of(&GAUGES[..3]), self.pick(&WINDOWS)),
            5 => format!(
                "predict_linear({}[{}], {})",
                self.of(&GAUGES[..3]),
                self.pick(&WINDOWS),
                self.random.between(0, 60) * 10
            ),
            6 => {
                let quantile = self.pick(&["0.5", "0.9", "0", "1", "0.25", "-0.1", "1.1"]);
                format!("quantile_over_time({quantile}, {})", self.window())
            }
            7 => {
                let counter = self.of(&COUNTERS);
                let subquery = self.subquery(&counter);
                format!("{}({subquery})", self.pick(&["rate", "increase", "irate", "changes", "resets"]))
            }
            _ => {
                let inner = self.vector(depth - 1);
                let subquery = self.subquery(&format!("({inner})"));
                format!(
                    "{}({subquery})",
                    self.pick(&[
                        "avg_over_time",
                        "max_over_time",
                        "sum_over_time",
                        "count_over_time",
                        "last_over_time",
                        "present_over_time"
                    ])
                )
            }
        }
    }

    fn elementwise(&mut self) -> String {
        let inner = if self.random.one_in(3) {
            "odd".to_owned()
        } else {
            format!("clamp({}, -20, 20)", self.selector())
        };
        let function = self.pick(&[
            "exp", "ln", "log2", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
            "cosh", "tanh", "asinh", "acosh", "atanh", "deg", "rad", "abs", "sgn",
        ]);
        format!("{function}({inner})")
    }

    fn relabelled(&mut self, depth: u32) -> String {
        let inner = self.vector(depth - 1);
        let from = if self.random.one_in(5) { "__name__".to_owned() } else { self.pick(&LABELS) };
        let to = self.pick(&["job", "host", "code"]);
        if self.random.one_in(3) {
            return format!("label_join({inner}, \"{to}\", \"-\", \"job\", \"{from}\")");
        }
        let expression = self.pick(&["(.*):80", "(.).*", "a(.*)", "", "(?:x|(a)).*"]);
        let replacement = self.pick(&["$1", "x-$1", "${1}_y", "", "fixed"]);
        format!("label_replace({inner}, \"{to}\", \"{replacement}\", \"{from}\", \"{expression}\")")
    }

    fn histogram(&mut self) -> String {
        let quantile = self.pick(&["0.5", "0.9", "0.99", "0", "1", "-1", "1.5"]);
        let window = self.pick(&WINDOWS);
        match self.random.below(4) {
            0 => format!("histogram_quantile({quantile}, latency_seconds_bucket)"),
            1 => format!(
                "histogram_quantile({quantile}, sum by (le) (rate(latency_seconds_bucket[{window}])))"
            ),
            2 => format!(
                "histogram_quantile({quantile}, rate(latency_seconds_bucket{{job=\"api\"}}[{window}]))"
            ),
            _ => format!("rate(latency_seconds_sum[{window}]) / rate(latency_seconds_count[{window}])"),
        }
    }

    fn absent_or_time(&mut self, depth: u32) -> String {
        match self.random.below(8) {
            0 => format!("absent({})", self.selector()),
            1 => format!(
                "absent(requests_total{{job=\"none\",code=~\"2..\",instance=\"{}\"}})",
                self.pick(values("instance"))
            ),
            2 => format!("absent_over_time({})", self.window()),
            3 => format!("timestamp({}{})", self.any_metric(), self.offset()),
            4 => format!("time() - timestamp({})", self.any_metric()),
            5 => format!("vector({})", self.scalar(depth - 1)),
            6 => {
                let function = self.pick(&[
                    "hour",
                    "minute",
                    "month",
                    "year",
                    "day_of_week",
                    "day_of_month",
                    "day_of_year",
                    "days_in_month",
                ]);
                let argument = self.pick(&[
                    "",
                    "vector(time())",
                    "queue_length * 86400 * 33",
                    "timestamp(memory_bytes)",
                ]);
                format!("{function}({argument})")
            }
            _ => format!("absent(sum({}))", self.selector()),
        }
    }

    fn scalar(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.number();
        }
        match self.random.below(6) {
            0 | 1 => self.number(),
            2 => "time()".to_owned(),
            3 => format!("scalar({})", self.vector(depth - 1)),
            4 => {
                let (left, right) = (self.scalar(depth - 1), self.scalar(depth - 1));
                let operator = self.pick(&["+", "-", "*", "/", "%", "^", "== bool", "> bool"]);
                // Only numbers are compared: computed ones may differ in their last bit.
                if operator.ends_with("bool") || operator == "%" || operator == "^" {
                    return format!("{} {operator} {}", self.number(), self.number());
                }
                format!("({left}) {operator} ({right})")
            }
            _ => self.pick(&["pi()", "Inf", "-Inf", "NaN", "1e3", "0x1F", "-0.5"]),
        }
    }

    /// What comes in an order.
    fn ordered(&mut self) -> String {
        let inner = self.of(&DISTINCT);
        format!("{}({inner})", self.pick(&["sort", "sort_desc"]))
    }
}
