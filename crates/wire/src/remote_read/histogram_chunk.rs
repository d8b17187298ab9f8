//! A chunk of native histograms with float counts: the layout of the buckets once, then times as differences of
//! differences and all numbers by XOR with the one before.

use model::{BucketSpan, CounterResetHint, FloatHistogram, is_stale};

use super::bits::{BitWriter, XorState};

/// How many of these histograms go into one chunk, beginning with the first: those of one layout, of which only the
/// first may be a counter reset.
pub(super) fn run_len(histograms: &[std::sync::Arc<FloatHistogram>], max: usize) -> usize {
    let mut len = 1;
    while len < histograms.len().min(max) && continues(&histograms[len - 1], &histograms[len]) {
        len += 1;
    }
    len
}

fn continues(last: &FloatHistogram, next: &FloatHistogram) -> bool {
    // A staleness marker has no buckets, and nothing follows it.
    if is_stale(last.sum) || is_stale(next.sum) {
        return false;
    }
    let is_gauge = |histogram: &FloatHistogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    if is_gauge(last) || is_gauge(next) {
        return is_gauge(last) && is_gauge(next) && same_layout(last, next);
    }
    next.counter_reset_hint != CounterResetHint::Reset && same_layout(last, next) && rises(last, next)
}

fn same_layout(a: &FloatHistogram, b: &FloatHistogram) -> bool {
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    a.schema == b.schema
        && same(a.zero_threshold, b.zero_threshold)
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.custom_values.len() == b.custom_values.len()
        && a.custom_values.iter().zip(&b.custom_values).all(|(a, b)| same(*a, *b))
}

/// Whether no count falls: a reader takes all but the first of a chunk for "no reset".
fn rises(last: &FloatHistogram, next: &FloatHistogram) -> bool {
    let rise = |last: &[f64], next: &[f64]| last.iter().zip(next).all(|(last, next)| last <= next);
    last.count <= next.count
        && last.zero_count <= next.zero_count
        && rise(&last.positive_buckets, &next.positive_buckets)
        && rise(&last.negative_buckets, &next.negative_buckets)
}

/// Encodes one chunk of what [`run_len`] found.
pub(super) fn encode(
    timestamps_ms: &[i64],
    histograms: &[std::sync::Arc<FloatHistogram>],
    out: &mut BitWriter,
) {
    let first = histograms[0].as_ref();
    let count = u16::try_from(histograms.len()).expect("chunks are cut far below 65,536 samples");
    let [high, low] = count.to_be_bytes();
    out.restart(&[high, low, header_flag(first.counter_reset_hint)]);
    let stale = FloatHistogram { sum: first.sum, ..FloatHistogram::default() };
    let first = if is_stale(first.sum) { &stale } else { first };
    write_layout(first, out);
    out.write_varbit(timestamps_ms[0]);
    for number in numbers(first) {
        out.write(number.to_bits(), 64);
    }
    let mut states: Vec<XorState> = numbers(first).map(XorState::after).collect();
    let (mut last_ms, mut delta_ms) = (timestamps_ms[0], 0i64);
    for (timestamp_ms, histogram) in timestamps_ms.iter().zip(histograms).skip(1) {
        let delta = timestamp_ms.wrapping_sub(last_ms);
        out.write_varbit(delta.wrapping_sub(delta_ms));
        (last_ms, delta_ms) = (*timestamp_ms, delta);
        for (state, number) in states.iter_mut().zip(numbers(histogram)) {
            state.write(number, out);
        }
    }
}

fn header_flag(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::NotReset => 0b0100_0000,
        CounterResetHint::Reset => 0b1000_0000,
        CounterResetHint::Gauge => 0b1100_0000,
    }
}

/// Everything of a histogram that is a number of its own, in the chunk's order.
fn numbers(histogram: &FloatHistogram) -> impl Iterator<Item = f64> + '_ {
    [histogram.count, histogram.zero_count, histogram.sum]
        .into_iter()
        .chain(histogram.positive_buckets.iter().copied())
        .chain(histogram.negative_buckets.iter().copied())
}

fn write_layout(histogram: &FloatHistogram, out: &mut BitWriter) {
    write_zero_threshold(histogram.zero_threshold, out);
    out.write_varbit(i64::from(histogram.schema));
    write_spans(&histogram.positive_spans, out);
    write_spans(&histogram.negative_spans, out);
    if histogram.uses_custom_buckets() {
        out.write_varbit_unsigned(histogram.custom_values.len() as u64);
        for bound in &histogram.custom_values {
            // Zero says that the bound follows as it is; Prometheus knows a shorter form for thousandths.
            out.write_varbit_unsigned(0);
            out.write(bound.to_bits(), 64);
        }
    }
}

/// Zero and powers of two from 2^-243 to 2^10 take one byte.
fn write_zero_threshold(threshold: f64, out: &mut BitWriter) {
    let bits = threshold.to_bits();
    let exponent = (bits >> 52) as i64 - 1_022;
    if bits == 0 {
        out.write(0, 8);
    } else if bits << 12 == 0 && threshold > 0.0 && (-242..=11).contains(&exponent) {
        out.write((exponent + 243).cast_unsigned(), 8);
    } else {
        out.write(0xff, 8);
        out.write(bits, 64);
    }
}

fn write_spans(spans: &[BucketSpan], out: &mut BitWriter) {
    out.write_varbit_unsigned(spans.len() as u64);
    for span in spans {
        out.write_varbit_unsigned(u64::from(span.length));
        out.write_varbit(i64::from(span.offset));
    }
}
