//! `kymo query`: asks a running server.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use model::time::parse_duration_ms;
use serde_json::Value;

use crate::api_client::ApiClient;
use crate::cli::Outcome;
use crate::output::graph::{self, Line, Style};
use crate::output::table::table;
use crate::output::{self, series_text, time_text};

const EXAMPLES: &str = "\
Examples:
  kymo query instant 'sum by (job) (up)'
  kymo query instant --time 2026-01-31T12:00:00Z 'node_load1'
  kymo query range 'rate(node_cpu_seconds_total{mode=\"user\"}[5m])' --start 6h --step 1m
  kymo query series '{job=\"node\"}' --start 1d
  kymo query labels                    names of labels
  kymo query labels job                values of one

Times: Unix seconds, RFC 3339 (2026-01-31T12:00:00Z), now, or a duration that counts back from now (90m, 2d).";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// The server.
    #[arg(long, global = true, default_value = "http://localhost:9090", env = "KYMO_URL")]
    url: String,
    /// Whose data; without it, the data of those who name nobody.
    #[arg(long, global = true, value_name = "ID", env = "KYMO_TENANT")]
    tenant: Option<String>,
    /// How the answer is printed; a graph is for ranges only.
    #[arg(long, short, global = true)]
    output: Option<Format>,
    /// Longest time to wait for the answer.
    #[arg(long, global = true, default_value = "2m", value_parser = parse_duration)]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns of text.
    Table,
    /// The server's answer, for programs.
    Json,
    /// Lines over time.
    Graph,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Evaluate a query at one time.
    Instant {
        /// The query, in PromQL.
        query: String,
        /// When; now, if not given.
        #[arg(long)]
        time: Option<String>,
    },
    /// Evaluate a query over a range of time.
    Range {
        /// The query, in PromQL.
        query: String,
        /// From when on.
        #[arg(long, default_value = "1h")]
        start: String,
        /// Until when.
        #[arg(long, default_value = "now")]
        end: String,
        /// Time between points, such as 15s; by default what gives about 250 points.
        #[arg(long)]
        step: Option<String>,
    },
    /// List series.
    Series {
        /// Selectors; a series that any of them selects is listed.
        #[arg(required = true, value_name = "SELECTOR")]
        selectors: Vec<String>,
        /// From when on.
        #[arg(long, default_value = "1h")]
        start: String,
        /// Until when.
        #[arg(long, default_value = "now")]
        end: String,
        /// The most that are listed; 0 lists all.
        #[arg(long, default_value_t = 1000)]
        limit: u64,
    },
    /// List names of labels, or the values of one.
    Labels {
        /// The label whose values are listed.
        name: Option<String>,
        /// Only labels of series that one of these selects.
        #[arg(long = "match", value_name = "SELECTOR")]
        selectors: Vec<String>,
        /// From when on.
        #[arg(long, default_value = "1h")]
        start: String,
        /// Until when.
        #[arg(long, default_value = "now")]
        end: String,
    },
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let ms = parse_duration_ms(text).map_err(|error| error.to_string())?;
    Ok(Duration::from_millis(ms.unsigned_abs()))
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    let api = ApiClient::new(&arguments.url, arguments.tenant.as_deref(), arguments.timeout)?;
    let now = now_seconds();
    let (path, parameters) = arguments.what.request(now)?;
    // Values of a label are the one question that has no form.
    let answer = match arguments.what {
        What::Labels { name: Some(_), .. } => api.get(&path, &parameters)?,
        _ => api.post(&path, &parameters)?,
    };
    for warning in &answer.warnings {
        writeln!(err, "warning: {warning}")?;
    }
    let default = if matches!(arguments.what, What::Range { .. }) { Format::Graph } else { Format::Table };
    match arguments.output.unwrap_or(default) {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&answer.data)?)?,
        Format::Graph => match &arguments.what {
            What::Range { .. } => print_graph(out, &answer.data, &parameters)?,
            _ => bail!("--output graph needs a range; use kymo query range"),
        },
        Format::Table => match arguments.what {
            What::Instant { .. } | What::Range { .. } => print_result(out, &answer.data)?,
            What::Series { .. } => {
                for series in answer.data.as_array().into_iter().flatten() {
                    writeln!(out, "{}", series_text(series))?;
                }
            }
            What::Labels { .. } => {
                for value in answer.data.as_array().into_iter().flatten() {
                    writeln!(out, "{}", value.as_str().unwrap_or_default())?;
                }
            }
        },
    }
    Ok(Outcome::Success)
}

/// A path below `/api/v1/`, and its parameters.
type Request = (String, Vec<(&'static str, String)>);

impl What {
    fn request(&self, now: f64) -> anyhow::Result<Request> {
        let between = |start: &str, end: &str| -> anyhow::Result<(f64, f64)> {
            Ok((parse_time(start, now)?, parse_time(end, now)?))
        };
        let selected =
            |selectors: &[String]| selectors.iter().map(|s| ("match[]", s.clone())).collect::<Vec<_>>();
        Ok(match self {
            Self::Instant { query, time } => {
                let time = time.as_deref().map_or(Ok(now), |time| parse_time(time, now))?;
                ("query".to_owned(), vec![("query", query.clone()), ("time", time.to_string())])
            }
            Self::Range { query, start, end, step } => {
                let (start, end) = between(start, end)?;
                let step = match step {
                    Some(step) => parse_step(step)?,
                    None => ((end - start) / 250.0).ceil().max(1.0),
                };
                let times = [("start", start), ("end", end), ("step", step)];
                let times = times.into_iter().map(|(key, value)| (key, value.to_string()));
                ("query_range".to_owned(), [("query", query.clone())].into_iter().chain(times).collect())
            }
            Self::Series { selectors, start, end, limit } => {
                let (start, end) = between(start, end)?;
                let mut parameters = selected(selectors);
                parameters.extend([("start", start.to_string()), ("end", end.to_string())]);
                parameters.push(("limit", limit.to_string()));
                ("series".to_owned(), parameters)
            }
            Self::Labels { name, selectors, start, end } => {
                let (start, end) = between(start, end)?;
                let mut parameters = selected(selectors);
                parameters.extend([("start", start.to_string()), ("end", end.to_string())]);
                let path = name.as_ref().map_or("labels".to_owned(), |name| {
                    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
                    format!("label/{name}/values")
                });
                (path, parameters)
            }
        })
    }
}

pub(super) fn now_seconds() -> f64 {
    stdx::clock::SystemClock::shared().now_ms() as f64 / 1000.0
}

/// Unix seconds, RFC 3339, `now`, or a duration back from now.
pub(super) fn parse_time(text: &str, now: f64) -> anyhow::Result<f64> {
    if text == "now" {
        return Ok(now);
    }
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(seconds);
    }
    if let Ok(back_ms) = parse_duration_ms(text.trim_start_matches('-')) {
        return Ok(now - back_ms as f64 / 1000.0);
    }
    let timestamp: jiff::Timestamp = text.parse().ok().with_context(|| {
        format!(
            "{text:?} is not a time; write Unix seconds, 2026-01-31T12:00:00Z, now, or a duration such as 90m"
        )
    })?;
    Ok(timestamp.as_millisecond() as f64 / 1000.0)
}

/// A duration, or seconds.
fn parse_step(text: &str) -> anyhow::Result<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok(seconds);
    }
    let ms = parse_duration_ms(text).with_context(|| format!("{text:?} is not a step; write 15s or 15"))?;
    Ok(ms as f64 / 1000.0)
}

/// `[time, "value"]` of the API.
fn point(pair: &Value) -> (f64, String) {
    let value = match &pair[1] {
        Value::String(text) => text.clone(),
        histogram => format!("count {} sum {}", text_of(&histogram["count"]), text_of(&histogram["sum"])),
    };
    (pair[0].as_f64().unwrap_or(0.0), value)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn print_result(out: &mut dyn Write, data: &Value) -> anyhow::Result<()> {
    const TIME: &str = "%Y-%m-%d %H:%M:%S%.3f";
    let series = || data["result"].as_array().into_iter().flatten();
    match data["resultType"].as_str() {
        Some("scalar" | "string") => writeln!(out, "{}", point(&data["result"]).1)?,
        Some("vector") => {
            let row = |sample: &Value| {
                let key = if sample["value"].is_array() { "value" } else { "histogram" };
                vec![series_text(&sample["metric"]), point(&sample[key]).1]
            };
            let rows: Vec<Vec<String>> = series().map(row).collect();
            print_rows(out, &["SERIES", "VALUE"], &[false, true], &rows)?;
        }
        _ => {
            let mut rows = Vec::new();
            for line in series() {
                let name = series_text(&line["metric"]);
                let points =
                    [&line["values"], &line["histograms"]].into_iter().filter_map(Value::as_array).flatten();
                for (time, value) in points.map(point) {
                    rows.push(vec![name.clone(), time_text(time, TIME), value]);
                }
            }
            print_rows(out, &["SERIES", "TIME", "VALUE"], &[false, false, true], &rows)?;
        }
    }
    Ok(())
}

fn print_rows(
    out: &mut dyn Write,
    header: &[&str],
    right: &[bool],
    rows: &[Vec<String>],
) -> std::io::Result<()> {
    match rows.is_empty() {
        true => writeln!(out, "(no series)"),
        false => write!(out, "{}", table(header, right, rows)),
    }
}

fn print_graph(out: &mut dyn Write, data: &Value, parameters: &[(&str, String)]) -> anyhow::Result<()> {
    let time = |key: &str| {
        let found = parameters.iter().find(|(name, _)| *name == key);
        found.and_then(|(_, text)| text.parse().ok()).unwrap_or(0.0)
    };
    let line = |series: &Value| Line {
        name: series_text(&series["metric"]),
        points: series["values"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pair| (pair[0].as_f64().unwrap_or(0.0), text_of(&pair[1]).parse().unwrap_or(f64::NAN)))
            .collect(),
    };
    let lines: Vec<Line> = data["result"].as_array().into_iter().flatten().map(line).collect();
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let style = Style { width: output::width(), height: 15, color };
    match graph::draw(&lines, time("start"), time("end"), style).as_str() {
        "" => writeln!(out, "(no series with values to draw)")?,
        drawing => write!(out, "{drawing}")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let now = 1_000_000.0;
        for (text, want) in [
            ("now", now),
            ("0", 0.0),
            ("12.5", 12.5),
            ("90m", now - 5_400.0),
            ("-90m", now - 5_400.0),
            ("1970-01-02T00:00:00Z", 86_400.0),
            ("1970-01-01T01:00:00+01:00", 0.0),
        ] {
            assert!((parse_time(text, now).expect(text) - want).abs() < 1e-9, "{text}");
        }
        for bad in ["", "yesterday", "NaN", "1x"] {
            assert!(parse_time(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_become_tables() {
        let data = serde_json::json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a"}, "value": [1.0, "1"]},
            {"metric": {}, "value": [1.0, "20"]}]});
        let mut out = Vec::new();
        print_result(&mut out, &data).expect("written");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("SERIES") && lines[0].ends_with("VALUE"), "{text}");
        assert!(lines[1].starts_with("up{job=\"a\"}") && lines[1].ends_with(" 1"), "{text}");
        assert!(lines[2].starts_with("{}") && lines[2].ends_with("20"), "{text}");
    }
}
