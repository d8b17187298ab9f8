//! Requests there and back, and requests that are wrong.

use model::histogram::InvalidHistogram;
use model::{BucketSpan, CounterResetHint, Labels, MetricType, STALE_NAN};
use proptest::prelude::*;

use super::encode::{Encoder, SeriesContent};
use super::*;
use crate::protobuf::{Writer, zigzag_encode};

#[derive(Debug, Default)]
struct Seen {
    series: Vec<Labels>,
    floats: Vec<(usize, i64, u64)>,
    histograms: Vec<(usize, i64, FloatHistogram)>,
    exemplars: Vec<(usize, Exemplar)>,
    metadata: Vec<(String, Metadata)>,
    rejected: Vec<RejectedSeries>,
}

impl Visitor for Seen {
    fn series(&mut self, labels: LabelsRef<'_>) {
        assert!(LabelsRef::from_packed(labels.packed()).is_some(), "packed form is sound");
        self.series.push(labels.to_labels());
    }
    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.floats.push((self.series.len(), timestamp_ms, value.to_bits()));
    }
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        self.histograms.push((self.series.len(), timestamp_ms, histogram));
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        self.exemplars.push((self.series.len(), exemplar));
    }
    fn metadata(&mut self, metric: &str, metadata: Metadata) {
        self.metadata.push((metric.to_owned(), metadata));
    }
    fn reject(&mut self, rejected: RejectedSeries) {
        self.rejected.push(rejected);
    }
}

/// Takes raw series as a batch and storage do together, and counts them.
struct SeenRaw<'a> {
    request: &'a [u8],
    seen: Seen,
    raw_count: usize,
    hashes: std::collections::HashMap<u128, Vec<u8>>,
}

impl Visitor for SeenRaw<'_> {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.seen.series(labels);
    }
    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.seen.float(timestamp_ms, value);
    }
    fn histogram(&mut self, timestamp_ms: i64, histogram: FloatHistogram) {
        self.seen.histogram(timestamp_ms, histogram);
    }
    fn exemplar(&mut self, exemplar: Exemplar) {
        self.seen.exemplar(exemplar);
    }
    fn metadata(&mut self, metric: &str, metadata: Metadata) {
        self.seen.metadata(metric, metadata);
    }
    fn reject(&mut self, rejected: RejectedSeries) {
        self.seen.reject(rejected);
    }
}

impl RawVisitor for SeenRaw<'_> {
    fn raw_series(&mut self, hash: u128, labels: std::ops::Range<usize>) {
        let raw = &self.request[labels];
        let known = self.hashes.entry(hash).or_insert_with(|| raw.to_vec());
        assert_eq!(known, raw);
        let mut packed = String::new();
        pack_raw_labels(raw, &mut packed).expect("sound labels");
        self.seen.series(LabelsRef::from_packed_trusted(&packed));
        self.raw_count += 1;
    }
}

/// Takes raw series without a look at their labels.
#[derive(Default)]
struct Raw {
    seen: Seen,
    count: usize,
}

impl Visitor for Raw {
    fn series(&mut self, labels: LabelsRef<'_>) {
        self.seen.series(labels);
    }
    fn float(&mut self, timestamp_ms: i64, value: f64) {
        self.seen.float(timestamp_ms, value);
    }
    fn histogram(&mut self, _: i64, _: FloatHistogram) {}
    fn exemplar(&mut self, _: Exemplar) {}
    fn metadata(&mut self, _: &str, _: Metadata) {}
    fn reject(&mut self, rejected: RejectedSeries) {
        self.seen.reject(rejected);
    }
}

impl RawVisitor for Raw {
    fn raw_series(&mut self, _: u128, _: std::ops::Range<usize>) {
        self.count += 1;
        self.seen.series.push(Labels::empty());
    }
}

fn hasher() -> LabelHasher {
    let mut word = 0x9e37_79b9_7f4a_7c15u64;
    LabelHasher::new(|| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        word
    })
}

fn seen_raw(request: &[u8]) -> (Seen, usize) {
    let mut visitor =
        SeenRaw { request, seen: Seen::default(), raw_count: 0, hashes: std::collections::HashMap::new() };
    decode_raw(request, &hasher(), &mut visitor).expect("decoded");
    (visitor.seen, visitor.raw_count)
}

#[test]
fn series_of_floats_come_raw_and_all_others_decoded() {
    let mut encoder = Encoder::new();
    let labels = Labels::from_pairs([("__name__", "a".repeat(300)), ("b", "c".repeat(127))]);
    let floats = &[(1_760_000_000_000, 1.5), (1_760_000_000_001, 0.0), (0, 2.0), (-1, 0.0)][..];
    encoder.series(labels.as_ref(), SeriesContent { floats, ..SeriesContent::default() });
    encoder.series(labels.as_ref(), SeriesContent::default());
    let histograms = &[(3, histogram())][..];
    encoder.series(labels.as_ref(), SeriesContent { floats, histograms, ..SeriesContent::default() });
    let (got, raw_count) = seen_raw(encoder.as_bytes());
    let want = seen(&encoder);
    assert_eq!(raw_count, 1);
    assert_eq!((got.series, got.floats), (want.series, want.floats));
    assert_eq!(got.histograms, want.histograms);
}

#[test]
fn unsound_raw_labels_are_named() {
    let check = |pairs: &[(&str, &str)], want: Option<&str>| {
        let mut raw = Writer::new();
        for (name, value) in pairs {
            let mut label = Writer::new();
            label.string(1, name);
            label.string(2, value);
            raw.bytes(1, label.as_bytes());
        }
        let refused = refuse_raw(raw.as_bytes());
        assert_eq!(refused.as_deref(), want);
    };
    check(&[("__name__", "a"), ("x", "y")], None);
    check(&[("x", "y")], Some("time series {x=\"y\"}: the metric name is missing"));
    let twice = "time series {__name__=\"a\", __name__=\"b\"}: label name \"__name__\" is not unique";
    check(&[("__name__", "a"), ("__name__", "b")], Some(twice));
    let malformed = refuse_raw(&[0x0a, 0x02, 0x0a, 0x05]).expect("refused");
    assert_eq!(malformed, "time series {}: a label is malformed: the message is cut off");
}

#[track_caller]
fn seen(encoder: &Encoder) -> Seen {
    let mut request = Vec::new();
    decompress(&encoder.compress(), DECOMPRESSED_BYTES_MAX, &mut request).expect("decompressed");
    assert_eq!(request, encoder.as_bytes());
    let mut seen = Seen::default();
    decode(&request, &mut seen).expect("decoded");
    seen
}

fn histogram() -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: CounterResetHint::NotReset,
        schema: -1,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 9.0,
        sum: -1.5,
        positive_spans: vec![BucketSpan { offset: -3, length: 2 }, BucketSpan { offset: 4, length: 1 }],
        positive_buckets: vec![1.0, 2.0, 1.5],
        negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
        negative_buckets: vec![2.5],
        custom_values: vec![],
    }
}

#[test]
fn a_request_comes_back_as_it_was_made() {
    let a = Labels::from_pairs([("__name__", "a"), ("odd \"name\"", "ü\n")]);
    let b = Labels::from_pairs([("A", "1"), ("__name__", "b")]);
    let exemplar =
        Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), value: 0.5, timestamp_ms: Some(7) };
    let custom = FloatHistogram {
        schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
        count: 3.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        custom_values: vec![0.1, 2.0],
        ..FloatHistogram::default()
    };
    let metadata =
        Metadata { metric_type: MetricType::StateSet, unit: "s".to_owned(), help: "Text.".to_owned() };
    let mut encoder = Encoder::new();
    encoder
        .series(
            a.as_ref(),
            SeriesContent {
                floats: &[(-1, STALE_NAN), (1_760_000_000_000, -0.0)],
                ..SeriesContent::default()
            },
        )
        .metadata("a", &metadata)
        .series(
            b.as_ref(),
            SeriesContent {
                floats: &[],
                histograms: &[(5, histogram()), (6, custom.clone())],
                exemplars: std::slice::from_ref(&exemplar),
            },
        );
    let seen = seen(&encoder);
    assert_eq!(seen.series, [a, b]);
    assert_eq!(seen.floats, [(1, -1, STALE_NAN.to_bits()), (1, 1_760_000_000_000, (-0.0f64).to_bits())]);
    assert_eq!(seen.histograms, [(2, 5, histogram()), (2, 6, custom)]);
    assert_eq!(seen.exemplars, [(2, exemplar)]);
    assert_eq!(seen.metadata, [("a".to_owned(), metadata)]);
    assert_eq!(seen.rejected, []);
}

#[test]
fn integer_histograms_become_absolute_counts() {
    let mut message = Writer::new();
    message.varint_always(1, 10);
    message.double(3, 4.5);
    message.varint(4, zigzag_encode(3));
    message.varint_always(6, 1);
    let mut span = Writer::new();
    span.varint(2, 3);
    message.bytes(11, span.as_bytes());
    message.bytes(12, &[zigzag_encode(2) as u8, zigzag_encode(3) as u8, zigzag_encode(-3) as u8]);
    message.int64(15, 1_000);
    let (timestamp_ms, histogram) = super::histogram::decode(message.as_bytes()).expect("decoded");
    assert_eq!((timestamp_ms, histogram.count, histogram.zero_count), (1_000, 10.0, 1.0));
    assert_eq!(histogram.positive_buckets, [2.0, 5.0, 2.0]);
    assert_eq!(histogram.validate(), Ok(()));
}

#[track_caller]
fn check_rejected(pairs: &[(&str, &str)], want: &RejectedReason) {
    let good = Labels::from_pairs([("__name__", "good")]);
    let mut encoder = Encoder::new();
    encoder
        .series_of_pairs(
            pairs.iter().copied(),
            SeriesContent { floats: &[(1, 1.0), (2, 2.0)], ..SeriesContent::default() },
        )
        .series(good.as_ref(), SeriesContent { floats: &[(1, 1.0)], ..SeriesContent::default() });
    let seen = seen(&encoder);
    assert_eq!(seen.series, [good], "the others go on");
    let [rejected] = seen.rejected.as_slice() else { panic!("one is rejected: {:?}", seen.rejected) };
    assert_eq!((rejected.number, rejected.sample_count, &rejected.reason), (1, 2, want));
    assert!(rejected.to_string().starts_with("time series number 1 {"), "{rejected}");
}

#[test]
fn series_with_wrong_labels_are_left_out_one_by_one() {
    check_rejected(&[("a", "b")], &RejectedReason::NoMetricName);
    check_rejected(&[("__name__", "")], &RejectedReason::NoMetricName);
    check_rejected(&[], &RejectedReason::NoMetricName);
    check_rejected(&[("__name__", "x"), ("", "b")], &RejectedReason::EmptyLabelName);
    check_rejected(
        &[("b", "1"), ("__name__", "x"), ("b", "2")],
        &RejectedReason::DuplicateLabel("b".to_owned()),
    );
}

#[test]
fn unsorted_labels_are_sorted_and_empty_values_left_out() {
    let mut encoder = Encoder::new();
    encoder.series_of_pairs([("z", "1"), ("b", ""), ("__name__", "x")], SeriesContent::default());
    assert_eq!(seen(&encoder).series, [Labels::from_pairs([("__name__", "x"), ("z", "1")])]);
}

#[test]
fn text_that_is_not_utf8_rejects_its_series() {
    let mut label = Writer::new();
    label.bytes(1, b"__name__");
    label.bytes(2, b"\xff");
    let mut series = Writer::new();
    series.bytes(1, label.as_bytes());
    let mut request = Writer::new();
    request.bytes(1, series.as_bytes());
    let mut seen = Seen::default();
    decode(request.as_bytes(), &mut seen).expect("the request is sound");
    assert_eq!(seen.rejected[0].reason, RejectedReason::NotUtf8);
}

#[test]
fn a_wrong_histogram_is_left_out_and_its_series_stays() {
    let labels = Labels::from_pairs([("__name__", "h")]);
    let wrong = FloatHistogram { schema: 9, ..histogram() };
    let mut encoder = Encoder::new();
    let content = SeriesContent { histograms: &[(1, wrong), (2, histogram())], ..SeriesContent::default() };
    encoder.series(labels.as_ref(), content);
    let seen = seen(&encoder);
    assert_eq!(seen.histograms, [(1, 2, histogram())]);
    assert_eq!(seen.rejected[0].reason, RejectedReason::Histogram(InvalidHistogram::Schema(9)));
    assert_eq!(seen.rejected[0].sample_count, 1);
}

#[test]
fn a_request_that_is_no_protobuf_says_where() {
    let mut request = Writer::new();
    request.bytes(1, &[]);
    request.bytes(1, &[0x12, 0x7f]);
    let error = decode(request.as_bytes(), &mut Seen::default()).expect_err("cut off");
    assert_eq!(error.to_string(), "time series number 2: the message is cut off");
    let error = decode(&[0x0a, 0x05], &mut Seen::default()).expect_err("cut off");
    assert_eq!(error.to_string(), "request: the message is cut off");
    let error = decode(&[0x1a, 0x01, 0x0f], &mut Seen::default()).expect_err("wrong");
    assert_eq!(error.to_string(), "metadata number 1: wire type 7 is not supported");
}

#[test]
fn bodies_that_claim_to_be_large_are_refused_before_memory_is_taken() {
    let mut into = Vec::new();
    let claims_4_gib = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    assert!(matches!(
        decompress(&claims_4_gib, DECOMPRESSED_BYTES_MAX, &mut into),
        Err(RemoteWriteError::TooLarge { len_bytes: 0xffff_ffff, .. })
    ));
    let claims_16_mib = [0x80, 0x80, 0x80, 0x08, 0x00];
    let error = decompress(&claims_16_mib, DECOMPRESSED_BYTES_MAX, &mut into).expect_err("a lie");
    assert!(matches!(error, RemoteWriteError::Snappy(_)), "{error}");
    assert_eq!(into.capacity(), 0);
    let framed = b"\xff\x06\x00\x00sNaPpY";
    assert!(matches!(
        decompress(framed, DECOMPRESSED_BYTES_MAX, &mut into),
        Err(RemoteWriteError::Snappy(_))
    ));
    assert!(matches!(decompress(b"", DECOMPRESSED_BYTES_MAX, &mut into), Err(RemoteWriteError::Snappy(_))));
    let bomb = snap::raw::Encoder::new().compress_vec(&vec![0; 1 << 20]).expect("compressed");
    assert!(matches!(decompress(&bomb, 1 << 19, &mut into), Err(RemoteWriteError::TooLarge { .. })));
    decompress(&bomb, 1 << 20, &mut into).expect("just fits, at the best ratio there is");
    assert_eq!(into.len(), 1 << 20);
}

proptest! {
    #[test]
    fn floats_and_labels_survive(
        series in proptest::collection::vec(
            (
                proptest::collection::btree_map("[a-zé]{1,5}", ".{1,5}|x{115,130}", 0..5),
                proptest::collection::vec((any::<i64>(), any::<u64>()), 0..5),
            ),
            0..5,
        ),
    ) {
        let mut encoder = Encoder::new();
        let mut labels = Vec::new();
        let mut floats = Vec::new();
        for (pairs, samples) in &series {
            let mut pairs = pairs.clone();
            pairs.insert("__name__".to_owned(), "m".to_owned());
            labels.push(Labels::from_pairs(&pairs));
            let samples: Vec<(i64, f64)> = samples.iter().map(|(t, bits)| (*t, f64::from_bits(*bits))).collect();
            floats.extend(samples.iter().map(|(t, v)| (labels.len(), *t, v.to_bits())));
            let content = SeriesContent { floats: &samples, ..SeriesContent::default() };
            encoder.series_of_pairs(pairs.iter().rev().map(|(n, v)| (n.as_str(), v.as_str())), content);
        }
        let seen = seen(&encoder);
        let (raw, _) = seen_raw(encoder.as_bytes());
        prop_assert_eq!((&raw.series, &raw.floats), (&seen.series, &seen.floats));
        prop_assert_eq!(seen.series, labels);
        prop_assert_eq!(seen.floats, floats);
    }

    #[test]
    fn odd_messages_are_told_from_usual_ones(message in proptest::collection::vec(
        prop_oneof![Just(0x0au8), Just(0x12), Just(0x09), Just(0x10), Just(0x80), Just(0), Just(1), Just(2)],
        0..24,
    )) {
        let mut request = Writer::new();
        request.bytes(1, &message);
        let mut raw = Raw::default();
        let outcome = decode_raw(request.as_bytes(), &hasher(), &mut raw);
        let mut plain = Seen::default();
        // A label that is malformed fails its series only, if it comes raw.
        if decode(request.as_bytes(), &mut plain).is_ok() {
            prop_assert!(outcome.is_ok());
            if raw.count == 0 || plain.rejected.is_empty() {
                prop_assert_eq!(raw.seen.floats, plain.floats);
            }
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(request: Vec<u8>) {
        decode(&request, &mut Seen::default()).ok();
        refuse_raw(&request);
        decompress(&request, 1 << 16, &mut Vec::new()).ok();
    }
}
