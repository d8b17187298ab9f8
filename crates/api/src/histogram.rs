//! Native histograms as the API prints them: count, sum, and every bucket that is not empty with its bounds.

use model::histogram::CUSTOM_BUCKETS_SCHEMA;
use model::{BucketSpan, FloatHistogram};

use crate::json::{write_key, write_uint, write_value};

/// Which ends of a bucket belong to it, in the API's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Ends {
    LeftOpen = 0,
    RightOpen = 1,
    BothClosed = 3,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    ends: Ends,
    lower: f64,
    upper: f64,
    count: f64,
}

/// `{"count":"2","sum":"3","buckets":[[0,"1","2","2"]]}`
pub(crate) fn write(out: &mut Vec<u8>, histogram: &FloatHistogram) {
    out.push(b'{');
    write_key(out, "count");
    write_value(out, histogram.count);
    write_key(out, "sum");
    write_value(out, histogram.sum);
    let mut first = true;
    for_each_bucket(histogram, |bucket| {
        if bucket.count == 0.0 {
            return;
        }
        if std::mem::take(&mut first) {
            write_key(out, "buckets");
            out.push(b'[');
        } else {
            out.push(b',');
        }
        out.push(b'[');
        write_uint(out, bucket.ends as u64);
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.push(b',');
            write_value(out, value);
        }
        out.push(b']');
    });
    if !first {
        out.push(b']');
    }
    out.push(b'}');
}

/// In order of rising bounds: negative buckets, the zero bucket, positive buckets.
fn for_each_bucket(histogram: &FloatHistogram, mut visit: impl FnMut(Bucket)) {
    let bound = |index| upper_bound(histogram, index);
    let negative: Vec<_> = indexes(&histogram.negative_spans).zip(&histogram.negative_buckets).collect();
    for (index, count) in negative.into_iter().rev() {
        visit(Bucket {
            ends: Ends::RightOpen,
            lower: -bound(index),
            upper: -bound(index - 1),
            count: *count,
        });
    }
    let threshold = histogram.zero_threshold;
    if histogram.zero_count != 0.0 {
        let (lower, upper) = (-threshold, threshold);
        visit(Bucket { ends: Ends::BothClosed, lower, upper, count: histogram.zero_count });
    }
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    for (index, count) in indexes(&histogram.positive_spans).zip(&histogram.positive_buckets) {
        let ends = if custom && index == 0 { Ends::BothClosed } else { Ends::LeftOpen };
        visit(Bucket { ends, lower: bound(index - 1), upper: bound(index), count: *count });
    }
}

/// The index of each bucket that spans describe.
fn indexes(spans: &[BucketSpan]) -> impl Iterator<Item = i64> {
    let mut next = 0i64;
    spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    })
}

/// Where bucket `index` ends.
fn upper_bound(histogram: &FloatHistogram, index: i64) -> f64 {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        return match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(at) => histogram.custom_values.get(at).copied().unwrap_or(f64::INFINITY),
        };
    }
    // 2^(index * 2^-schema), split so that the power of two is exact.
    let (whole, fraction) = if histogram.schema < 0 {
        (index << -histogram.schema, 0.0)
    } else {
        let per_octave = 1i64 << histogram.schema;
        (index.div_euclid(per_octave), index.rem_euclid(per_octave) as f64 / per_octave as f64)
    };
    match i32::try_from(whole) {
        // One past the largest float, where the last bucket ends.
        Ok(1024) if fraction == 0.0 => f64::MAX,
        Ok(whole) => fraction.exp2() * 2f64.powi(whole),
        Err(_) if whole < 0 => 0.0,
        Err(_) => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(histogram: &FloatHistogram, want: &str) {
        let mut out = Vec::new();
        write(&mut out, histogram);
        assert_eq!(String::from_utf8(out).expect("text"), want);
    }

    #[test]
    fn buckets_are_printed_in_order_with_their_bounds() {
        let histogram = FloatHistogram {
            schema: 1,
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 12.0,
            sum: 18.4,
            positive_spans: vec![BucketSpan { offset: 0, length: 2 }, BucketSpan { offset: 1, length: 2 }],
            positive_buckets: vec![1.0, 2.0, 0.0, 1.0],
            negative_spans: vec![BucketSpan { offset: 0, length: 2 }],
            negative_buckets: vec![1.0, 5.0],
            ..FloatHistogram::default()
        };
        check(
            &histogram,
            "{\"count\":\"12\",\"sum\":\"18.4\",\"buckets\":[\
             [1,\"-1.4142135623730951\",\"-1\",\"5\"],\
             [1,\"-1\",\"-0.7071067811865476\",\"1\"],\
             [3,\"-0.001\",\"0.001\",\"2\"],\
             [0,\"0.7071067811865476\",\"1\",\"1\"],\
             [0,\"1\",\"1.4142135623730951\",\"2\"],\
             [0,\"2.8284271247461903\",\"4\",\"1\"]]}",
        );
    }

    #[test]
    fn custom_buckets_begin_and_end_at_infinity_and_an_empty_histogram_has_none() {
        let histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 3.0,
            sum: 5.0,
            positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 1.0, 1.0],
            custom_values: vec![0.5, 2.0],
            ..FloatHistogram::default()
        };
        check(
            &histogram,
            "{\"count\":\"3\",\"sum\":\"5\",\"buckets\":[[3,\"-Inf\",\"0.5\",\"1\"],\
             [0,\"0.5\",\"2\",\"1\"],[0,\"2\",\"+Inf\",\"1\"]]}",
        );
        check(&FloatHistogram::default(), "{\"count\":\"0\",\"sum\":\"0\"}");
    }

    #[test]
    fn coarse_schemas_double_their_exponents_and_the_last_bucket_ends_at_the_largest_float() {
        let coarse = |index| upper_bound(&FloatHistogram { schema: -2, ..FloatHistogram::default() }, index);
        assert_eq!((coarse(0), coarse(1), coarse(-1), coarse(256)), (1.0, 16.0, 0.0625, f64::MAX));
    }
}
