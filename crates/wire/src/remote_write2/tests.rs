//! Requests there and back, and requests that are wrong.

use std::collections::HashMap;

use model::{BucketSpan, FloatHistogram, Labels, METRIC_NAME};
use proptest::prelude::*;

use super::encode::{Encoder, SeriesContent};
use super::*;
use crate::protobuf::Writer;

#[derive(Debug, Default, PartialEq)]
struct Seen {
    series: Vec<Labels>,
    floats: Vec<(usize, i64, u64, i64)>,
    histograms: Vec<(usize, i64, FloatHistogram, i64)>,
    exemplars: Vec<(usize, Exemplar)>,
    metadata: Vec<(String, Metadata)>,
    rejected: Vec<String>,
}

/// Takes raw series as a batch and storage do together.
struct Taking {
    seen: Seen,
    /// Series whose labels are still to be decoded.
    raw: Vec<(usize, u128, Range<usize>)>,
}

impl Visitor for Taking {
    fn raw_series(&mut self, hash: u128, refs: Range<usize>) {
        self.raw.push((self.seen.series.len(), hash, refs));
        self.seen.series.push(Labels::empty());
    }
    fn series(&mut self, labels: LabelsRef<'_>) {
        assert!(LabelsRef::from_packed(labels.packed()).is_some(), "packed form is sound");
        self.seen.series.push(labels.to_labels());
    }
    fn float(&mut self, timestamp_ms: i64, value: f64, start_ms: i64) {
        self.seen.floats.push((self.seen.series.len(), timestamp_ms, value.to_bits(), start_ms));
    }
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram, start_ms: i64) {
        self.seen.histograms.push((self.seen.series.len(), timestamp_ms, histogram, start_ms));
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        self.seen.exemplars.push((self.seen.series.len(), exemplar));
    }
    fn metadata(&mut self, family: &str, metadata: Metadata) {
        self.seen.metadata.push((family.to_owned(), metadata));
    }
    fn reject(&mut self, rejected: RejectedSeries) {
        self.seen.rejected.push(rejected.to_string());
    }
}

fn hasher() -> LabelHasher {
    let mut word = 0x9e37_79b9_7f4a_7c15u64;
    LabelHasher::new(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word
    })
}

/// What a request holds, and the hash of each raw series by its labels.
fn seen(request: &[u8]) -> (Seen, HashMap<Labels, u128>) {
    let mut taking = Taking { seen: Seen::default(), raw: Vec::new() };
    let table = decode(request, &hasher(), &mut taking).expect("sound");
    let mut whole = request.to_vec();
    table.append_to(&mut whole);
    let mut hashes = HashMap::new();
    for (at, hash, refs) in taking.raw {
        let refs = whole[refs].to_vec();
        let mut packed = String::new();
        match decode_refs(&refs, &whole, &mut packed) {
            Ok(()) => {
                assert_eq!(refuse_refs(&refs, &whole), None);
                taking.seen.series[at] = LabelsRef::from_packed(&packed).expect("sound").to_labels();
                hashes.insert(taking.seen.series[at].clone(), hash);
            }
            Err(_) => taking.seen.rejected.push(refuse_refs(&refs, &whole).expect("a reason")),
        }
    }
    (taking.seen, hashes)
}

fn histogram() -> FloatHistogram {
    FloatHistogram {
        count: 3.0,
        sum: 4.5,
        schema: 2,
        zero_threshold: 0.001,
        positive_spans: vec![BucketSpan { offset: -3, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        ..FloatHistogram::default()
    }
}

fn metadata(metric_type: MetricType, help: &str) -> Metadata {
    Metadata { metric_type, unit: "seconds".to_owned(), help: help.to_owned() }
}

#[test]
fn everything_that_a_request_holds_arrives() {
    let exemplar = Exemplar {
        labels: Labels::from_pairs([("trace_id", "abc")]),
        value: 2.5,
        timestamp_ms: Some(1_760_000_000_001),
    };
    let undated = Exemplar { timestamp_ms: None, ..exemplar.clone() };
    let counter = metadata(MetricType::Counter, "how many");
    let of_histogram = metadata(MetricType::Histogram, "how long");
    let mut encoder = Encoder::new();
    encoder.series(
        [(METRIC_NAME, "http_requests_total"), ("job", "a")],
        SeriesContent {
            floats: &[(1_760_000_000_000, 1.0, 0), (1_760_000_000_005, 2.0, 1_750_000_000_000)],
            exemplars: &[exemplar.clone(), undated],
            metadata: Some(&counter),
            created_ms: 1_740_000_000_000,
            ..SeriesContent::default()
        },
    );
    encoder.series(
        [(METRIC_NAME, "size"), ("job", "a")],
        SeriesContent {
            histograms: &[(7, histogram(), 5)],
            metadata: Some(&of_histogram),
            ..SeriesContent::default()
        },
    );
    encoder.series(
        [(METRIC_NAME, "wait_bucket"), ("le", "1")],
        SeriesContent { floats: &[(9, 1.0, 0)], metadata: Some(&of_histogram), ..SeriesContent::default() },
    );
    let (seen, hashes) = seen(&encoder.to_bytes());
    assert_eq!(
        seen.series,
        [
            Labels::from_pairs([(METRIC_NAME, "http_requests_total"), ("job", "a")]),
            Labels::from_pairs([(METRIC_NAME, "size"), ("job", "a")]),
            Labels::from_pairs([(METRIC_NAME, "wait_bucket"), ("le", "1")]),
        ]
    );
    assert_eq!(hashes.len(), 3, "all by their hash");
    assert_eq!(
        seen.floats,
        [
            (1, 1_760_000_000_000, 1f64.to_bits(), 1_740_000_000_000),
            (1, 1_760_000_000_005, 2f64.to_bits(), 1_750_000_000_000),
            (3, 9, 1f64.to_bits(), 0),
        ]
    );
    assert_eq!(seen.histograms, [(2, 7, histogram(), 5)]);
    let dated = Exemplar { timestamp_ms: Some(1_760_000_000_005), ..exemplar.clone() };
    assert_eq!(seen.exemplars, [(1, exemplar), (1, dated)]);
    assert_eq!(
        seen.metadata,
        [
            ("http_requests_total".to_owned(), counter),
            ("size".to_owned(), of_histogram.clone()),
            ("wait".to_owned(), of_histogram),
        ]
    );
    assert_eq!(seen.rejected, [""; 0]);
}

#[test]
fn a_series_has_the_same_hash_whatever_its_numbers_are() {
    let pairs = [(METRIC_NAME, "up"), ("job", "a"), ("instance", "x")];
    let floats = &[(1, 1.0, 0)][..];
    let content = SeriesContent { floats, ..SeriesContent::default() };
    let mut first = Encoder::new();
    first.series(pairs, content);
    let mut second = Encoder::new();
    second.series([(METRIC_NAME, "x"), ("zzz", "up"), ("instance", "job")], content).series(pairs, content);
    let labels = Labels::from_pairs(pairs);
    let (first, second) = (seen(&first.to_bytes()).1, seen(&second.to_bytes()).1);
    assert_eq!(first[&labels], second[&labels]);
    assert_eq!(second.len(), 2);
}

#[test]
fn series_that_cannot_be_are_left_out_with_a_reason() {
    let check = |refs: &[u64], want: &str| {
        let mut encoder = Encoder::new();
        let content = SeriesContent { floats: &[(1, 1.0, 0)], ..SeriesContent::default() };
        encoder.series([(METRIC_NAME, "up"), ("b", "\u{1}")], content);
        encoder.series_of_refs(refs, content);
        let (seen, _) = seen(&encoder.to_bytes());
        assert_eq!(seen.rejected.len(), 1, "{refs:?}");
        assert!(seen.rejected[0].contains(want), "{:?} lacks {want:?}", seen.rejected[0]);
        assert_eq!(seen.series[0], Labels::from_pairs([(METRIC_NAME, "up"), ("b", "\u{1}")]));
    };
    check(&[1, 2, 3], "3 references");
    check(&[1, 2, 3, 77], "reference 77 of 5 symbols");
    check(&[1, 2, 3, u64::MAX], "reference 4294967295 of 5");
    check(&[3, 2], "metric name is missing");
    check(&[1, 2, 3, 2, 3, 4], "label name \"b\" is not unique");
    check(&[1, 2, 0, 2], "label name is empty");
    check(&[], "metric name is missing");
}

#[test]
fn what_contradicts_itself_is_left_out_and_the_rest_stays() {
    let broken = FloatHistogram { positive_buckets: vec![1.0], ..histogram() };
    let wrong = Exemplar { labels: Labels::from_pairs([("a", "b")]), value: 1.0, timestamp_ms: Some(1) };
    let mut encoder = Encoder::new();
    encoder.series(
        [(METRIC_NAME, "size")],
        SeriesContent {
            histograms: &[(1, broken, 0), (2, histogram(), 0)],
            exemplars: &[wrong],
            ..SeriesContent::default()
        },
    );
    let (seen, _) = seen(&encoder.to_bytes());
    assert_eq!((seen.histograms.len(), seen.exemplars.len()), (1, 1));
    assert!(seen.rejected[0].contains("size") && seen.rejected[0].contains("invalid native histogram"));
}

#[test]
fn symbols_may_come_behind_the_series_and_references_unpacked() {
    let mut sample = Writer::new();
    sample.double(1, 1.0);
    sample.int64(2, 5);
    let mut series = Writer::new();
    series.varint_always(1, 0);
    series.varint_always(1, 1);
    series.bytes(2, sample.as_bytes());
    let mut request = Writer::new();
    request.bytes(5, series.as_bytes());
    request.bytes(4, b"__name__");
    request.bytes(4, b"up");
    let (seen, hashes) = seen(request.as_bytes());
    assert_eq!(seen.series, [Labels::from_pairs([(METRIC_NAME, "up")])]);
    assert!(hashes.is_empty() && seen.floats.len() == 1);
}

#[test]
fn what_is_no_request_fails_as_a_whole() {
    let check = |request: &[u8], want: &str| {
        let mut taking = Taking { seen: Seen::default(), raw: Vec::new() };
        let error = decode(request, &hasher(), &mut taking).expect_err("refused");
        assert_eq!(error.to_string(), want);
    };
    check(b"\x2a\x02\x12", "request: the message is cut off");
    check(b"\x2a\x01\x12", "time series number 1: the message is cut off");
    check(b"\x28\x01", "time series number 1: field 5 has the wrong wire type");
    let wanted = "the request has more than 1024 symbols, far more than its series can need";
    check(&[0x22, 0].repeat(3_000), wanted);
    // A request of 1.0 has no field of ours.
    assert_eq!(seen(b"\x0a\x00").0, Seen::default());
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(
        series in proptest::collection::vec(
            (proptest::collection::btree_map("[a-c]{1,2}", "[x-z]{1,2}", 0..4), any::<i64>(), any::<f64>(), any::<i64>()), 0..6)
    ) {
        let mut encoder = Encoder::new();
        for (labels, timestamp_ms, value, start_ms) in &series {
            let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain([(METRIC_NAME, "m")]);
            let floats = &[(*timestamp_ms, *value, *start_ms)][..];
            encoder.series(pairs, SeriesContent { floats, ..SeriesContent::default() });
        }
        let (seen, _) = seen(&encoder.to_bytes());
        prop_assert_eq!(seen.rejected, Vec::<String>::new());
        let want: Vec<Labels> = series.iter().map(|(labels, ..)| {
            Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain([(METRIC_NAME, "m")]))
        }).collect();
        prop_assert_eq!(seen.series, want);
        for ((_, timestamp_ms, value, start_ms), got) in series.iter().zip(&seen.floats) {
            prop_assert_eq!((*timestamp_ms, value.to_bits(), *start_ms), (got.1, got.2, got.3));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(request: Vec<u8>, refs: Vec<u8>) {
        let mut taking = Taking { seen: Seen::default(), raw: Vec::new() };
        let _ = decode(&request, &hasher(), &mut taking);
        let _ = refuse_refs(&refs, &request);
    }

    #[test]
    fn no_change_of_a_request_makes_it_panic(at in 0usize..120, byte: u8) {
        let mut encoder = Encoder::new();
        let described = metadata(MetricType::Summary, "h");
        encoder.series([(METRIC_NAME, "a_sum"), ("b", "c")], SeriesContent {
            floats: &[(1, 2.0, 3)], histograms: &[(1, histogram(), 2)], metadata: Some(&described), ..SeriesContent::default()
        });
        let mut request = encoder.to_bytes();
        let at = at % request.len();
        request[at] = byte;
        let mut taking = Taking { seen: Seen::default(), raw: Vec::new() };
        if let Ok(table) = decode(&request, &hasher(), &mut taking) {
            table.append_to(&mut request);
            for (_, _, refs) in taking.raw {
                let _ = decode_refs(&request[refs], &request, &mut String::new());
            }
        }
    }
}
