//! Delimited messages of `io.prometheus.client.MetricFamily`.
//!
//! Source: `io/prometheus/client/metrics.proto` of prometheus/client_model; field numbers stand where they are written.

use crate::exemplar::Exemplar;
use crate::snapshot::{FamilySnapshot, HistogramSnapshot, Kind, SeriesSnapshot, Value};

pub(super) fn write(families: &[FamilySnapshot]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        let mut message = Message::default();
        let suffix = if family.kind == Kind::Counter { "_total" } else { "" };
        message.text(1, &format!("{}{suffix}", family.name));
        message.text(2, &family.help);
        message.varint(
            3,
            match family.kind {
                Kind::Counter => 0,
                Kind::Gauge => 1,
                Kind::Histogram => 4,
            },
        );
        for series in &family.series {
            message.message(4, |metric| write_metric(metric, series));
        }
        write_varint(&mut out, message.0.len() as u64);
        out.append(&mut message.0);
    }
    out
}

fn write_metric(metric: &mut Message, series: &SeriesSnapshot) {
    write_labels(metric, 1, &series.labels);
    match &series.value {
        Value::Gauge(value) => metric.message(2, |gauge| gauge.double(1, *value)),
        Value::Counter { value, created_ms, exemplar } => metric.message(3, |counter| {
            counter.double(1, *value);
            if let Some(exemplar) = exemplar {
                counter.message(2, |message| write_exemplar(message, exemplar));
            }
            write_time(counter, 3, *created_ms);
        }),
        Value::Histogram(histogram) => metric.message(7, |message| write_histogram(message, histogram)),
    }
}

fn write_histogram(message: &mut Message, histogram: &HistogramSnapshot) {
    message.varint(1, histogram.count);
    message.double(2, histogram.sum);
    if histogram.native.is_none() {
        let mut cumulative = 0;
        for bucket in &histogram.buckets {
            cumulative += bucket.count;
            message.message(3, |inner| {
                inner.varint(1, cumulative);
                inner.double(2, bucket.upper_bound);
                if let Some(exemplar) = &bucket.exemplar {
                    inner.message(3, |message| write_exemplar(message, exemplar));
                }
            });
        }
    }
    if let Some(native) = &histogram.native {
        message.sint(5, native.schema.into());
        message.double(6, native.zero_threshold);
        message.varint(7, native.zero_count);
        write_buckets(message, [9, 10], &native.negative);
        write_buckets(message, [12, 13], &native.positive);
    }
    write_time(message, 15, histogram.created_ms);
    if histogram.native.is_some() {
        for exemplar in histogram.buckets.iter().filter_map(|bucket| bucket.exemplar.as_ref()) {
            message.message(16, |inner| write_exemplar(inner, exemplar));
        }
    }
}

/// Spans of buckets without gaps, and the difference of each count to the one before.
fn write_buckets(message: &mut Message, [spans, deltas]: [u32; 2], buckets: &[(i32, u64)]) {
    let mut end = 0;
    for run in buckets.chunk_by(|a, b| a.0 + 1 == b.0) {
        message.message(spans, |span| {
            span.sint(1, (run[0].0 - end).into());
            span.varint(2, run.len() as u64);
        });
        end = run[0].0 + run.len() as i32;
    }
    let mut before = 0i64;
    for (_, count) in buckets {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        message.sint(deltas, count - before);
        before = count;
    }
}

fn write_exemplar(message: &mut Message, exemplar: &Exemplar) {
    write_labels(message, 1, &exemplar.labels);
    message.double(2, exemplar.value);
    write_time(message, 3, exemplar.timestamp_ms);
}

fn write_labels(message: &mut Message, field: u32, labels: &[(String, String)]) {
    for (name, value) in labels {
        message.message(field, |pair| {
            pair.text(1, name);
            pair.text(2, value);
        });
    }
}

fn write_time(message: &mut Message, field: u32, ms: u64) {
    if ms > 0 {
        message.message(field, |time| {
            time.varint(1, ms / 1_000);
            time.varint(2, ms % 1_000 * 1_000_000);
        });
    }
}

#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u32, wire_type: u32) {
        write_varint(&mut self.0, (field << 3 | wire_type).into());
    }

    fn varint(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        write_varint(&mut self.0, value);
    }

    fn sint(&mut self, field: u32, value: i64) {
        self.varint(field, ((value << 1) ^ (value >> 63)) as u64);
    }

    fn double(&mut self, field: u32, value: f64) {
        self.key(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, field: u32, value: &str) {
        self.key(field, 2);
        write_varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.key(field, 2);
        write_varint(&mut self.0, inner.0.len() as u64);
        self.0.append(&mut inner.0);
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
