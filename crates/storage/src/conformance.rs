//! The suite that every implementation of [`Appender`] and [`Querier`] passes; it is their specification.
//!
//! An implementor's test calls [`run`] with a function that makes an empty engine. After every write the suite
//! asks its questions twice: at once, and after [`Engine::settle`], which an engine uses to flush, compact or
//! restart, because none of that may change an answer.

mod starts;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    BucketSpan, Exemplar, FloatHistogram, Labels, METRIC_NAME, MatchOp, Matcher, Metadata, MetricType,
    STALE_NAN, TenantId,
};

use crate::{
    Appended, Appender, InvalidLabels, LabelRequest, Querier, QueryContext, RejectReason, SelectHints,
    SelectRequest, SeriesKey, SeriesSamples, WriteBatch,
};

/// An engine under test.
pub struct Engine {
    /// The way in.
    pub appender: Arc<dyn Appender>,
    /// The way out of the same engine.
    pub querier: Arc<dyn Querier>,
    /// Does whatever the engine may do in the background (flush, compaction, restart). May do nothing.
    pub settle: Box<dyn Fn()>,
}

/// Newest timestamp that the suite writes; an engine under test must take this for the present or past, and
/// keep everything since [`OLDEST_MS`].
pub const NEWEST_MS: i64 = 1_760_000_000_000;
/// Oldest timestamp that the suite writes.
pub const OLDEST_MS: i64 = NEWEST_MS - 6 * 3_600_000;

/// Runs every case, each on an engine of its own.
pub fn run(make: &dyn Fn() -> Engine) {
    for (name, case) in CASES {
        println_case(name);
        case(&Bench { engine: make(), context: QueryContext::unlimited() });
    }
}

#[expect(clippy::print_stdout, reason = "the case's name must stand in the output of a failing test")]
fn println_case(name: &str) {
    println!("conformance: {name}");
}

type Case = fn(&Bench);

const CASES: &[(&str, Case)] = &[
    ("what was written can be read, bit for bit", written_is_read),
    ("ranges are inclusive at both ends", ranges_are_inclusive),
    ("samples may come in any order", any_order),
    ("the last write of a timestamp wins and a repeat is a duplicate", last_write_wins),
    ("every kind of matcher selects as Prometheus does", matchers),
    ("series are sorted by labels", sorted),
    ("tenants do not see each other", tenants),
    ("label names and values", label_names_and_values),
    ("histograms come back bit for bit beside floats", histograms),
    ("metadata and exemplars", metadata_and_exemplars),
    ("samples without a metric name are refused, others of the batch are not", partial_rejection),
    ("raw labels mean what they are decoded to, in whichever form", raw_labels),
    ("unsound raw labels are refused, others of the batch are not", unsound_raw_labels),
    ("a set is a snapshot", sets_are_snapshots),
    ("who keeps track of changes tells all of them", changes_are_told),
    ("start timestamps come back with their samples", starts::kept),
    ("start timestamps of histograms come back with their samples", starts::kept_of_histograms),
    ("samples with start timestamps may come in any order", starts::kept_in_any_order),
    ("a start timestamp is part of its sample when the last write wins", starts::last_write_wins),
];

struct Bench {
    engine: Engine,
    context: QueryContext,
}

type Floats = Vec<(i64, u64)>;

impl Bench {
    fn write(&self, tenant: &TenantId, samples: &[(&Labels, i64, f64)]) -> Appended {
        let mut batch = WriteBatch::new();
        for (labels, timestamp_ms, value) in samples {
            let series = batch.add_series(labels.as_ref());
            batch.add_float(series, *timestamp_ms, *value);
        }
        self.engine.appender.append_durably(tenant, &batch).expect("written")
    }

    fn select(
        &self,
        tenant: &TenantId,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> BTreeMap<Labels, Floats> {
        let request = SelectRequest { matchers, start_ms, end_ms, hints: SelectHints::default() };
        let set = self.engine.querier.select(tenant, &request, &self.context).expect("selected");
        let mut samples = SeriesSamples::default();
        let mut found = BTreeMap::new();
        for at in 0..set.len() {
            set.read(at, &mut samples).expect("read");
            assert_eq!(samples.floats.timestamps_ms.len(), samples.floats.values.len());
            assert!(samples.floats.timestamps_ms.is_sorted_by(|a, b| a < b), "timestamps rise strictly");
            let floats: Floats = samples
                .floats
                .timestamps_ms
                .iter()
                .copied()
                .zip(samples.floats.values.iter().map(|v| v.to_bits()))
                .collect();
            if !samples.is_empty() {
                assert!(found.insert(set.labels(at).clone(), floats).is_none(), "each series once");
            }
        }
        self.check_latest(tenant, &request, &found);
        found
    }

    /// Who wants the latest sample only gets the same one as who wants all.
    fn check_latest(&self, tenant: &TenantId, request: &SelectRequest<'_>, all: &BTreeMap<Labels, Floats>) {
        let hints = SelectHints { latest_only: true, ..request.hints };
        let request = SelectRequest { hints, ..*request };
        let set = self.engine.querier.select(tenant, &request, &self.context).expect("selected");
        let mut samples = SeriesSamples::default();
        let mut found = BTreeMap::new();
        for at in 0..set.len() {
            set.read(at, &mut samples).expect("read");
            let newest = |column: &[i64]| column.last().copied();
            let (float_ms, histogram_ms) =
                (newest(&samples.floats.timestamps_ms), newest(&samples.histograms.timestamps_ms));
            if float_ms > histogram_ms {
                let value = samples.floats.values.last().expect("one for each timestamp");
                found.insert(set.labels(at).clone(), (float_ms, value.to_bits()));
            }
        }
        for (labels, floats) in all {
            let Some((timestamp_ms, value)) = floats.last() else { continue };
            // What is missing has a later histogram.
            if let Some(latest) = found.get(labels) {
                assert_eq!(*latest, (Some(*timestamp_ms), *value), "the latest sample of {labels}");
            }
        }
        let with_floats = all.values().filter(|floats| !floats.is_empty()).count();
        assert!(found.len() <= with_floats, "no sample that was not there");
    }

    /// Asks now, and again after the engine settled.
    #[track_caller]
    fn check(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64, want: &[(&Labels, &[(i64, f64)])]) {
        let want: BTreeMap<Labels, Floats> = want
            .iter()
            .map(|(l, s)| ((*l).clone(), s.iter().map(|(t, v)| (*t, v.to_bits())).collect()))
            .collect();
        let tenant = TenantId::anonymous();
        assert_eq!(self.select(&tenant, matchers, start_ms, end_ms), want, "before settling");
        (self.engine.settle)();
        assert_eq!(self.select(&tenant, matchers, start_ms, end_ms), want, "after settling");
    }
}

fn series(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

const T: i64 = NEWEST_MS - 3_600_000;

fn written_is_read(bench: &Bench) {
    let a = series(&[("__name__", "a"), ("odd \"name\"", "ü\n")]);
    let values =
        [0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, STALE_NAN, f64::MIN_POSITIVE, 1e300];
    let mut samples = Vec::new();
    for (i, value) in values.iter().enumerate() {
        samples.push((T + i as i64 * 15_000, *value));
        bench.write(&TenantId::anonymous(), &[(&a, T + i as i64 * 15_000, *value)]);
    }
    bench.check(&[Matcher::equal("__name__", "a")], OLDEST_MS, NEWEST_MS, &[(&a, &samples)]);
}

fn ranges_are_inclusive(bench: &Bench) {
    let a = series(&[("__name__", "a")]);
    bench.write(&TenantId::anonymous(), &[(&a, T, 1.0), (&a, T + 1, 2.0), (&a, T + 2, 3.0)]);
    let name = [Matcher::equal("__name__", "a")];
    bench.check(&name, T, T + 1, &[(&a, &[(T, 1.0), (T + 1, 2.0)])]);
    bench.check(&name, T + 2, NEWEST_MS, &[(&a, &[(T + 2, 3.0)])]);
    bench.check(&name, T + 3, NEWEST_MS, &[]);
    bench.check(&name, T + 1, T, &[]);
}

fn changes_are_told(bench: &Bench) {
    let (a, tenant) = (series(&[("__name__", "a")]), TenantId::anonymous());
    let since = |version: u64| bench.engine.querier.changes(&tenant, version);
    let Some(mut before) = since(0) else { return };
    for timestamp_ms in [T, T + 15_000, T - 60_000, T + 30_000, T] {
        bench.write(&tenant, &[(&a, timestamp_ms, timestamp_ms as f64)]);
        let now = since(before.version).expect("it keeps track");
        assert!(now.version > before.version && now.touched_from_ms <= timestamp_ms, "{now:?}");
        assert!(now.touched_from_ms > timestamp_ms - 60_000, "not more than need be: {now:?}");
        before = now;
    }
    (bench.engine.settle)();
    assert!(since(0).expect("it keeps track").touched_from_ms <= T - 60_000 || before.version == 0);
}

fn any_order(bench: &Bench) {
    let a = series(&[("__name__", "a")]);
    let tenant = TenantId::anonymous();
    let mut want: Vec<(i64, f64)> = (0..200).map(|i| (OLDEST_MS + i * 107_000, i as f64)).collect();
    let mut shuffled = want.clone();
    shuffled.sort_by_key(|(t, _)| (t / 107_000 * 7919) % 200);
    for chunk in shuffled.chunks(37) {
        let batch: Vec<(&Labels, i64, f64)> = chunk.iter().map(|(t, v)| (&a, *t, *v)).collect();
        bench.write(&tenant, &batch);
        (bench.engine.settle)();
    }
    want.retain(|(t, _)| *t <= NEWEST_MS);
    bench.check(&[Matcher::equal("__name__", "a")], OLDEST_MS, NEWEST_MS, &[(&a, &want)]);
}

fn last_write_wins(bench: &Bench) {
    let a = series(&[("__name__", "a")]);
    let tenant = TenantId::anonymous();
    let first = bench.write(&tenant, &[(&a, T, 1.0)]);
    assert_eq!((first.accepted_count, first.duplicate_count, first.created_series_count), (1, 0, 1));
    let again = bench.write(&tenant, &[(&a, T, 1.0)]);
    assert_eq!((again.accepted_count, again.duplicate_count, again.created_series_count), (1, 1, 0));
    (bench.engine.settle)();
    bench.write(&tenant, &[(&a, T, 2.0), (&a, T + 5, 7.0), (&a, T, 3.0)]);
    bench.check(&[Matcher::equal("__name__", "a")], OLDEST_MS, NEWEST_MS, &[(&a, &[(T, 3.0), (T + 5, 7.0)])]);
}

fn matchers(bench: &Bench) {
    let all = [
        series(&[("__name__", "m"), ("env", "prod"), ("i", "1")]),
        series(&[("__name__", "m"), ("env", "dev"), ("i", "2")]),
        series(&[("__name__", "m"), ("i", "3")]),
        series(&[("__name__", "n"), ("env", "prod"), ("i", "4")]),
    ];
    let samples: Vec<(&Labels, i64, f64)> = all.iter().map(|l| (l, T, 1.0)).collect();
    bench.write(&TenantId::anonymous(), &samples);
    let sample: &[(i64, f64)] = &[(T, 1.0)];
    let is = |name, value| Matcher::equal(name, value);
    let op = |op, name, value| Matcher::new(op, name, value).expect("valid");
    let cases: Vec<(Vec<Matcher>, &[usize])> = vec![
        (vec![], &[0, 1, 2, 3]),
        (vec![is("__name__", "m")], &[0, 1, 2]),
        (vec![is("__name__", "m"), is("env", "")], &[2]),
        (vec![is("__name__", "m"), op(MatchOp::NotEqual, "env", "")], &[0, 1]),
        (vec![is("__name__", "m"), op(MatchOp::NotEqual, "env", "prod")], &[1, 2]),
        (vec![op(MatchOp::Regex, "env", "p.*|dev")], &[0, 1, 3]),
        (vec![op(MatchOp::Regex, "env", "prod|")], &[0, 2, 3]),
        (vec![op(MatchOp::Regex, "i", "1|4")], &[0, 3]),
        (vec![op(MatchOp::NotRegex, "env", "p.*")], &[1, 2]),
        (vec![op(MatchOp::NotRegex, "env", ".+"), is("__name__", "m")], &[2]),
        (vec![op(MatchOp::Regex, "absent", ".*"), is("i", "4")], &[3]),
        (vec![is("absent", "")], &[0, 1, 2, 3]),
        (vec![op(MatchOp::Regex, "absent", ".+")], &[]),
        (vec![is("__name__", "m"), is("env", "prod"), is("i", "2")], &[]),
    ];
    for (matchers, want) in cases {
        let want: Vec<(&Labels, &[(i64, f64)])> = want.iter().map(|at| (&all[*at], sample)).collect();
        bench.check(&matchers, OLDEST_MS, NEWEST_MS, &want);
    }
}

fn sorted(bench: &Bench) {
    let tenant = TenantId::anonymous();
    for i in [5, 3, 11, 2, 7] {
        bench.write(&tenant, &[(&series(&[("__name__", "a"), ("i", &format!("{i}"))]), T, 1.0)]);
        (bench.engine.settle)();
    }
    bench.write(&tenant, &[(&series(&[("__name__", "a"), ("a", "0"), ("i", "99")]), T, 1.0)]);
    let request = SelectRequest {
        matchers: &[],
        start_ms: OLDEST_MS,
        end_ms: NEWEST_MS,
        hints: SelectHints::default(),
    };
    let set = bench.engine.querier.select(&tenant, &request, &bench.context).expect("selected");
    let labels: Vec<Labels> = (0..set.len()).map(|at| set.labels(at).clone()).collect();
    assert_eq!(labels.len(), 6);
    assert!(labels.is_sorted_by(|a, b| a < b), "{labels:?}");
}

fn tenants(bench: &Bench) {
    let (a, red, blue) = (series(&[("__name__", "a")]), tenant("red"), tenant("blue"));
    bench.write(&red, &[(&a, T, 1.0)]);
    bench.write(&blue, &[(&a, T, 2.0)]);
    for _ in 0..2 {
        for (tenant, value) in [(&red, 1.0f64), (&blue, 2.0)] {
            let found = bench.select(tenant, &[], OLDEST_MS, NEWEST_MS);
            assert_eq!(found, BTreeMap::from([(a.clone(), vec![(T, value.to_bits())])]));
        }
        assert!(bench.select(&tenant("green"), &[], OLDEST_MS, NEWEST_MS).is_empty());
        (bench.engine.settle)();
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("valid")
}

fn label_names_and_values(bench: &Bench) {
    let tenant = TenantId::anonymous();
    let all = [
        series(&[("__name__", "m"), ("env", "prod"), ("i", "1")]),
        series(&[("__name__", "m"), ("env", "dev")]),
        series(&[("__name__", "n"), ("zone", "x")]),
    ];
    let samples: Vec<(&Labels, i64, f64)> = all.iter().map(|l| (l, T, 1.0)).collect();
    bench.write(&tenant, &samples);
    let m = vec![vec![Matcher::equal("__name__", "m")]];
    let n_or_prod = vec![vec![Matcher::equal("__name__", "n")], vec![Matcher::equal("env", "prod")]];
    for _ in 0..2 {
        let names = |matcher_sets: &[Vec<Matcher>], limit| {
            let request = LabelRequest { matcher_sets, start_ms: OLDEST_MS, end_ms: NEWEST_MS, limit };
            bench.engine.querier.label_names(&tenant, &request, &bench.context).expect("answered")
        };
        let values = |name: &str, matcher_sets: &[Vec<Matcher>], limit| {
            let request = LabelRequest { matcher_sets, start_ms: OLDEST_MS, end_ms: NEWEST_MS, limit };
            bench.engine.querier.label_values(&tenant, name, &request, &bench.context).expect("answered")
        };
        assert_eq!(names(&[], 0), ["__name__", "env", "i", "zone"]);
        assert_eq!(names(&m, 0), ["__name__", "env", "i"]);
        assert_eq!(names(&[], 2), ["__name__", "env"]);
        assert_eq!(values("env", &[], 0), ["dev", "prod"]);
        assert_eq!(values("__name__", &n_or_prod, 0), ["m", "n"]);
        assert_eq!(values("env", &n_or_prod, 0), ["prod"]);
        assert_eq!(values("env", &[], 1), ["dev"]);
        assert!(values("absent", &[], 0).is_empty());
        (bench.engine.settle)();
    }
}

fn histograms(bench: &Bench) {
    let tenant = TenantId::anonymous();
    let a = series(&[("__name__", "h")]);
    let exponential = FloatHistogram {
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 12.5,
        sum: -3.25,
        positive_spans: vec![BucketSpan { offset: -2, length: 2 }, BucketSpan { offset: 3, length: 1 }],
        negative_spans: vec![BucketSpan { offset: 1, length: 1 }],
        positive_buckets: vec![1.0, 4.5, 3.0],
        negative_buckets: vec![2.0],
        ..FloatHistogram::default()
    };
    let custom = FloatHistogram {
        schema: model::histogram::CUSTOM_BUCKETS_SCHEMA,
        count: 3.0,
        sum: 6.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        custom_values: vec![0.5, 2.5],
        ..FloatHistogram::default()
    };
    let stale = FloatHistogram { sum: STALE_NAN, ..FloatHistogram::default() };
    let all = [exponential, custom, stale];
    let mut batch = WriteBatch::new();
    let id = batch.add_series(a.as_ref());
    for (i, histogram) in all.iter().enumerate() {
        batch.add_histogram(id, T + i as i64 * 1_000, histogram.clone());
    }
    batch.add_float(id, T + 10_000, 4.0);
    bench.engine.appender.append_durably(&tenant, &batch).expect("written");
    for _ in 0..2 {
        let request = SelectRequest {
            matchers: &[],
            start_ms: OLDEST_MS,
            end_ms: NEWEST_MS,
            hints: SelectHints::default(),
        };
        let set = bench.engine.querier.select(&tenant, &request, &bench.context).expect("selected");
        let mut samples = SeriesSamples::default();
        set.read(0, &mut samples).expect("read");
        assert_eq!(samples.floats.timestamps_ms, [T + 10_000]);
        assert_eq!(samples.histograms.timestamps_ms, [T, T + 1_000, T + 2_000]);
        for (got, want) in samples.histograms.values.iter().zip(&all) {
            assert!(got.same_bits(want), "{got:?} is not {want:?}");
        }
        (bench.engine.settle)();
    }
}

fn metadata_and_exemplars(bench: &Bench) {
    let tenant = TenantId::anonymous();
    let a = series(&[("__name__", "a_total")]);
    let metadata = Metadata {
        metric_type: MetricType::Counter,
        unit: String::new(),
        help: "Things \"done\".".to_owned(),
    };
    let exemplar = Exemplar { labels: series(&[("trace_id", "abc")]), value: 0.25, timestamp_ms: Some(T) };
    let mut batch = WriteBatch::new();
    let id = batch.add_series(a.as_ref());
    batch.add_float(id, T, 1.0);
    batch.add_exemplar(id, exemplar.clone(), T);
    batch.add_metadata("a_total", metadata.clone());
    bench.engine.appender.append_durably(&tenant, &batch).expect("written");
    bench.engine.appender.append_durably(&tenant, &batch).expect("written again");
    for _ in 0..2 {
        let querier = &bench.engine.querier;
        let want = BTreeMap::from([("a_total".to_owned(), vec![metadata.clone()])]);
        assert_eq!(querier.metadata(&tenant, None).expect("answered"), want);
        assert_eq!(querier.metadata(&tenant, Some("a_total")).expect("answered"), want);
        assert!(querier.metadata(&tenant, Some("b")).expect("answered").is_empty());
        let sets = [vec![Matcher::equal("__name__", "a_total")]];
        let found = querier.exemplars(&tenant, &sets, T, T).expect("answered");
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].labels, found[0].exemplars.as_slice()), (&a, std::slice::from_ref(&exemplar)));
        assert!(querier.exemplars(&tenant, &sets, T + 1, NEWEST_MS).expect("answered").is_empty());
        (bench.engine.settle)();
    }
}

fn partial_rejection(bench: &Bench) {
    let (good, nameless) = (series(&[("__name__", "a")]), series(&[("x", "y")]));
    let appended = bench.write(&TenantId::anonymous(), &[(&nameless, T, 1.0), (&good, T, 2.0)]);
    assert_eq!(appended.accepted_count, 1);
    assert_eq!(appended.rejected.len(), 1);
    assert_eq!((appended.rejected[0].series, appended.rejected[0].reason), (0, RejectReason::InvalidLabels));
    bench.check(&[], OLDEST_MS, NEWEST_MS, &[(&good, &[(T, 2.0)])]);
}

/// A raw format for tests: `name=value,name=value`, in any order.
fn decode_raw(raw: &[u8], packed: &mut String) -> Result<(), InvalidLabels> {
    let text = std::str::from_utf8(raw).map_err(|_| InvalidLabels)?;
    let mut pairs = Vec::new();
    for pair in text.split(',') {
        pairs.push(pair.split_once('=').ok_or(InvalidLabels)?);
    }
    let labels = Labels::from_pairs(pairs);
    labels.get(METRIC_NAME).ok_or(InvalidLabels)?;
    packed.push_str(labels.packed());
    Ok(())
}

/// Writes one sample for each raw form.
fn write_raw(bench: &Bench, forms: &[(&str, i64, f64)]) -> Appended {
    let mut batch = WriteBatch::new();
    let mut bytes = batch.take_raw_buffer();
    for (form, timestamp_ms, value) in forms {
        let start = bytes.len();
        bytes.extend_from_slice(form.as_bytes());
        // FNV-1a: good enough for a few forms that nobody chose to collide.
        let hash = |seed: u64| {
            form.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        };
        let key = u128::from(hash(0xcbf2_9ce4_8422_2325)) << 64 | u128::from(hash(7));
        let series = batch.add_raw_series(SeriesKey::new(key), start..bytes.len());
        batch.add_float(series, *timestamp_ms, *value);
    }
    batch.set_raw(bytes, decode_raw);
    bench.engine.appender.append_durably(&TenantId::anonymous(), &batch).expect("written")
}

fn raw_labels(bench: &Bench) {
    let (a, b) = (series(&[("__name__", "a"), ("x", "1")]), series(&[("__name__", "b")]));
    let mut want = Vec::new();
    for round in 0..6 {
        let t = T + round * 10_000;
        let forms = [("__name__=a,x=1", t, 1.0), ("x=1,__name__=a", t + 1, 2.0), ("__name__=b", t, 3.0)];
        let appended = write_raw(bench, &forms);
        if round == 0 {
            assert_eq!(appended.created_series_count, 2);
        }
        assert_eq!((appended.accepted_count, appended.rejected.len()), (3, 0));
        assert_eq!(write_raw(bench, &forms[..2]).duplicate_count, 2, "known by either form");
        bench.write(&TenantId::anonymous(), &[(&a, t + 2, 4.0)]);
        want.extend([(t, 1.0), (t + 1, 2.0), (t + 2, 4.0)]);
        let of_b: Vec<(i64, f64)> = (0..=round).map(|r| (T + r * 10_000, 3.0)).collect();
        bench.check(&[], OLDEST_MS, NEWEST_MS, &[(&a, &want), (&b, &of_b)]);
    }
}

fn unsound_raw_labels(bench: &Bench) {
    let a = series(&[("__name__", "a")]);
    for round in 0..2 {
        let t = T + round;
        let forms = [("__name__", t, 1.0), ("__name__=a", t, 2.0), ("x=1", t, 3.0)];
        let appended = write_raw(bench, &forms);
        assert_eq!(appended.accepted_count, 1);
        let mut refused: Vec<_> = appended.rejected.iter().map(|r| (r.series, r.reason)).collect();
        refused.sort_unstable_by_key(|(series, _)| *series);
        assert_eq!(refused, [(0, RejectReason::InvalidLabels), (2, RejectReason::InvalidLabels)]);
    }
    bench.check(&[], OLDEST_MS, NEWEST_MS, &[(&a, &[(T, 2.0), (T + 1, 2.0)])]);
}

fn sets_are_snapshots(bench: &Bench) {
    let tenant = TenantId::anonymous();
    let a = series(&[("__name__", "a")]);
    bench.write(&tenant, &[(&a, T, 1.0)]);
    let request = SelectRequest {
        matchers: &[],
        start_ms: OLDEST_MS,
        end_ms: NEWEST_MS,
        hints: SelectHints::default(),
    };
    let set = bench.engine.querier.select(&tenant, &request, &bench.context).expect("selected");
    let late = series(&[("__name__", "b")]);
    bench.write(&tenant, &[(&late, T, 9.0)]);
    (bench.engine.settle)();
    assert_eq!(set.len(), 1);
    let mut samples = SeriesSamples::default();
    set.read(0, &mut samples).expect("read");
    assert_eq!((samples.floats.timestamps_ms[0], samples.floats.values[0]), (T, 1.0));
}
