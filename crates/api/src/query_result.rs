//! Results of queries as JSON, written while they are sent.

use model::number::FloatFormat;
use promql::value::{Held, MatrixSeries, QueryStats, SampleValue, VectorSample};
use promql::{PlanNode, QueryResult, Value};

use crate::body::Render;
use crate::json::{
    write_histogram_point, write_int, write_key, write_labels, write_number, write_point, write_string_html,
    write_tree, write_uint,
};
use crate::plan::plan_tree;
use crate::respond::{Annotations, begin, end};

/// Points written in one go.
const POINTS: usize = 512;

/// Where rendering stands: in which series, and at which of its points.
#[derive(Debug, Default)]
struct Position {
    series: usize,
    point: usize,
}

pub(crate) struct RenderResult {
    value: Value,
    stats: Option<QueryStats>,
    /// With the steps that were kept.
    plan: Option<(PlanNode, usize)>,
    annotations: Annotations,
    /// Given back with the result.
    _held: Held,
    started: bool,
    at: Position,
}

impl RenderResult {
    pub(crate) fn new(result: QueryResult, with_stats: bool) -> Self {
        let QueryResult { value, warnings, infos, stats, held, plan } = result;
        let kept_steps = stats.kept_steps;
        Self {
            value,
            stats: with_stats.then_some(stats),
            plan: plan.map(|plan| (plan, kept_steps)),
            annotations: Annotations { warnings, infos },
            _held: held,
            started: false,
            at: Position::default(),
        }
    }

    fn begin(&self, out: &mut Vec<u8>) {
        begin(out);
        let result_type = match self.value {
            Value::Scalar { .. } => "scalar",
            Value::String { .. } => "string",
            Value::Vector(_) => "vector",
            Value::Matrix(_) => "matrix",
        };
        out.extend_from_slice(b"{\"resultType\":\"");
        out.extend_from_slice(result_type.as_bytes());
        out.extend_from_slice(b"\",\"result\":");
        match &self.value {
            Value::Scalar { timestamp_ms, value } => {
                write_instant(out, *timestamp_ms);
                out.push(b'"');
                write_number(out, *value, FloatFormat::Fixed);
                out.extend_from_slice(b"\"]");
            }
            Value::String { timestamp_ms, value } => {
                write_instant(out, *timestamp_ms);
                write_string_html(out, value);
                out.push(b']');
            }
            Value::Vector(_) | Value::Matrix(_) => out.push(b'['),
        }
    }

    /// Writes the next piece of the list; `false` if there is none.
    fn write_item(&mut self, out: &mut Vec<u8>) -> bool {
        let at = &mut self.at;
        match &self.value {
            Value::Scalar { .. } | Value::String { .. } => return false,
            Value::Vector(samples) => {
                let Some(sample) = samples.get(at.series) else { return false };
                if at.series > 0 {
                    out.push(b',');
                }
                write_sample(out, sample);
                at.series += 1;
            }
            Value::Matrix(series) => {
                let Some(one) = series.get(at.series) else { return false };
                if at.point == 0 {
                    if at.series > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(b"{\"metric\":");
                    write_labels(out, &one.labels);
                }
                at.point = write_points(out, one, at.point);
                if at.point >= one.floats.len() + one.histograms.len() {
                    out.push(b'}');
                    *at = Position { series: at.series + 1, point: 0 };
                }
            }
        }
        true
    }

    fn end(&self, out: &mut Vec<u8>) {
        if matches!(self.value, Value::Vector(_) | Value::Matrix(_)) {
            out.push(b']');
        }
        if let Some(stats) = &self.stats {
            write_key(out, "stats");
            write_stats(out, stats);
        }
        if let Some((plan, kept_steps)) = &self.plan {
            write_key(out, "plan");
            write_tree(out, &plan_tree(plan));
            write_key(out, "keptSteps");
            write_uint(out, *kept_steps as u64);
        }
        out.push(b'}');
        end(out, &self.annotations);
    }
}

impl Render for RenderResult {
    fn render(&mut self, out: &mut Vec<u8>) -> bool {
        if !std::mem::replace(&mut self.started, true) {
            self.begin(out);
        }
        let more = self.write_item(out);
        if !more {
            self.end(out);
        }
        more
    }
}

/// The time of a scalar or string, which goes through another of Prometheus' writers: `[1.5,` not `[1.500,`.
fn write_instant(out: &mut Vec<u8>, timestamp_ms: i64) {
    out.push(b'[');
    write_number(out, timestamp_ms as f64 / 1_000.0, FloatFormat::Json);
    out.push(b',');
}

fn write_sample(out: &mut Vec<u8>, sample: &VectorSample) {
    out.extend_from_slice(b"{\"metric\":");
    write_labels(out, &sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            write_key(out, "value");
            write_point(out, sample.timestamp_ms, *value);
        }
        SampleValue::Histogram(histogram) => {
            write_key(out, "histogram");
            write_histogram_point(out, sample.timestamp_ms, histogram);
        }
    }
    out.push(b'}');
}

/// Writes some points from `start` on, floats first; returns the number of the next.
fn write_points(out: &mut Vec<u8>, series: &MatrixSeries, start: usize) -> usize {
    let floats = series.floats.len();
    if start < floats {
        let stop = floats.min(start + POINTS);
        for (at, (timestamp_ms, value)) in series.floats.iter().enumerate().take(stop).skip(start) {
            out.extend_from_slice(if at == 0 { b",\"values\":[" } else { b"," });
            write_point(out, *timestamp_ms, *value);
        }
        if stop == floats {
            out.push(b']');
        }
        return stop;
    }
    let Some((timestamp_ms, histogram)) = series.histograms.get(start - floats) else { return start };
    out.extend_from_slice(if start == floats { b",\"histograms\":[" } else { b"," });
    write_histogram_point(out, *timestamp_ms, histogram);
    if start + 1 == floats + series.histograms.len() {
        out.push(b']');
    }
    start + 1
}

fn write_stats(out: &mut Vec<u8>, stats: &QueryStats) {
    out.extend_from_slice(b"{\"timings\":{");
    for (name, seconds) in stats.timings.named() {
        write_key(out, name);
        write_number(out, seconds, FloatFormat::Json);
    }
    out.extend_from_slice(b"},\"samples\":{");
    if let Some(steps) = stats.total_queryable_samples_per_step.as_ref().filter(|steps| !steps.is_empty()) {
        write_key(out, "totalQueryableSamplesPerStep");
        for (at, (timestamp_ms, count)) in steps.iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b',' });
            write_instant(out, *timestamp_ms);
            write_uint(out, *count);
            out.push(b']');
        }
        out.push(b']');
    }
    write_key(out, "totalQueryableSamples");
    write_uint(out, stats.total_queryable_samples);
    write_key(out, "peakSamples");
    write_int(out, i64::try_from(stats.peak_samples).unwrap_or(i64::MAX));
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests;
