//! Messages written by hand, and what they come to.

use model::{Labels, LabelsBuilder};
use proptest::prelude::*;

use super::super::tests::{entries_with, line};
use super::super::{Format, Options, Parser};
use super::*;
use crate::protobuf::{Writer, zigzag_encode};

fn message(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    fill(&mut writer);
    writer.as_bytes().to_vec()
}

fn label(name: &str, value: &str) -> Vec<u8> {
    message(|pair| {
        pair.string(1, name);
        pair.string(2, value);
    })
}

fn family(name: &str, kind: u64, unit: &str, metrics: &[Vec<u8>]) -> Vec<u8> {
    let body = message(|family| {
        family.string(1, name);
        family.string(2, "Help.");
        family.varint(3, kind);
        metrics.iter().for_each(|metric| family.bytes(4, metric));
        family.string(5, unit);
    });
    let mut delimited = Writer::new();
    delimited.bytes(1, &body);
    // The tag of the field is one byte; what stands behind it is a length and the message.
    delimited.as_bytes()[1..].to_vec()
}

fn metric(labels: &[(&str, &str)], field: u32, value: &[u8], timestamp_ms: i64) -> Vec<u8> {
    message(|metric| {
        labels.iter().for_each(|(name, value)| metric.bytes(1, &label(name, value)));
        metric.bytes(field, value);
        metric.int64(6, timestamp_ms);
    })
}

fn time(seconds: i64, nanos: u64) -> Vec<u8> {
    message(|time| {
        time.int64(1, seconds);
        time.varint(2, nanos);
    })
}

fn exemplar(id: &str, value: f64, at: Option<i64>) -> Vec<u8> {
    message(|exemplar| {
        exemplar.bytes(1, &label("id", id));
        exemplar.double(2, value);
        if let Some(seconds) = at {
            exemplar.bytes(3, &time(seconds, 500_000_000));
        }
    })
}

fn bucket(bound: f64, count: u64, exemplar: Option<Vec<u8>>) -> Vec<u8> {
    message(|bucket| {
        bucket.varint(1, count);
        bucket.double(2, bound);
        if let Some(exemplar) = exemplar {
            bucket.bytes(3, &exemplar);
        }
    })
}

fn span(offset: i64, length: u64) -> Vec<u8> {
    message(|span| {
        span.varint(1, zigzag_encode(offset));
        span.varint(2, length);
    })
}

const NATIVE: Options = Options {
    native_histograms: true,
    convert_classic: false,
    always_classic: false,
    suppress_created: false,
};

#[track_caller]
fn check(input: &[u8], options: Options, want: &[&str]) {
    let (seen, error) = entries_with(input, Format::Protobuf, options);
    assert_eq!(error, None);
    assert_eq!(seen, want);
}

#[track_caller]
fn check_refused(input: &[u8], want: &str) {
    let (seen, error) = entries_with(input, Format::Protobuf, NATIVE);
    let error = error.unwrap_or_else(|| panic!("should be refused: {seen:?}")).to_string();
    assert!(error.contains(want), "{error}");
}

#[test]
fn simple_metrics_are_read() {
    let counter = message(|counter| {
        counter.double(1, 1.5);
        counter.bytes(2, &exemplar("x", 0.5, Some(7)));
        counter.bytes(3, &time(3, 250_000_000));
    });
    let mut input = family("a_total", 0, "", &[metric(&[("x", "é\"")], 3, &counter, 0)]);
    input.extend(family(
        "t_seconds",
        1,
        "seconds",
        &[metric(&[], 2, &message(|g| g.double(1, f64::NAN)), 9)],
    ));
    input.extend(family("empty", 1, "", &[]));
    input.extend(family("u", 3, "", &[metric(&[], 5, &[], 0)]));
    check(
        &input,
        NATIVE,
        &[
            "HELP a_total \"Help.\"",
            "TYPE a_total counter",
            "{__name__=\"a_total\", x=\"é\\\"\"} 1.5 # {id=\"x\"} 0.5 Some(7500) since 3250",
            "HELP t_seconds \"Help.\"",
            "TYPE t_seconds gauge",
            "UNIT t_seconds seconds",
            "{__name__=\"t_seconds\"} NaN @9",
            "HELP u \"Help.\"",
            "TYPE u unknown",
            "{__name__=\"u\"} 0",
        ],
    );
}

#[test]
fn summaries_are_read() {
    let quantile = |q: f64, value: f64| {
        message(|quantile| {
            quantile.double(1, q);
            quantile.double(2, value);
        })
    };
    let summary = message(|summary| {
        summary.varint(1, 4);
        summary.double(2, 8.5);
        summary.bytes(3, &quantile(0.5, 2.0));
        summary.bytes(3, &quantile(1.0, 3.0));
    });
    check(
        &family("s", 2, "", &[metric(&[("x", "y")], 4, &summary, 0)]),
        NATIVE,
        &[
            "HELP s \"Help.\"",
            "TYPE s summary",
            "{__name__=\"s_count\", x=\"y\"} 4",
            "{__name__=\"s_sum\", x=\"y\"} 8.5",
            "{__name__=\"s\", quantile=\"0.5\", x=\"y\"} 2",
            "{__name__=\"s\", quantile=\"1.0\", x=\"y\"} 3",
        ],
    );
}

/// Two classic buckets, and a native histogram with three.
fn both(is_native: bool) -> Vec<u8> {
    message(|histogram| {
        histogram.varint(1, 7);
        histogram.double(2, 12.5);
        histogram.bytes(3, &bucket(0.5, 2, Some(exemplar("b", 0.25, Some(1)))));
        histogram.bytes(3, &bucket(1.0, 6, Some(exemplar("timeless", 0.75, None))));
        histogram.bytes(15, &time(5, 0));
        if is_native {
            histogram.varint(5, zigzag_encode(3));
            histogram.double(6, 0.001);
            histogram.varint(7, 1);
            histogram.bytes(9, &span(1, 1));
            histogram.varint(10, zigzag_encode(2));
            histogram.bytes(12, &span(0, 2));
            histogram.varint(13, zigzag_encode(3));
            histogram.varint(13, zigzag_encode(-2));
        }
    })
}

const CLASSIC: [&str; 5] = [
    "{__name__=\"h_count\"} 7 since 5000",
    "{__name__=\"h_sum\"} 12.5 since 5000",
    "{__name__=\"h_bucket\", le=\"0.5\"} 2 # {id=\"b\"} 0.25 Some(1500) since 5000",
    "{__name__=\"h_bucket\", le=\"1.0\"} 6 # {id=\"timeless\"} 0.75 None since 5000",
    "{__name__=\"h_bucket\", le=\"+Inf\"} 7 since 5000",
];
const NATIVE_LINE: &str = "{__name__=\"h\"} count=7 sum=12.5 schema=3 zero=1@0.001 negative=1:1[2.0] \
     positive=0:2[3.0, 1.0] since 5000 # {id=\"b\"} 0.25 Some(1500)";
const CONVERTED_LINE: &str = "{__name__=\"h\"} count=7 sum=12.5 schema=-53 bounds=[0.5, 1.0] \
     positive=0:3[2.0, 4.0, 1.0] since 5000 # {id=\"b\"} 0.25 Some(1500)";

#[test]
fn histograms_come_as_wanted() {
    let head = ["HELP h \"Help.\"", "TYPE h histogram"];
    let native = family("h", 4, "", &[metric(&[], 7, &both(true), 0)]);
    let classic = family("h", 4, "", &[metric(&[], 7, &both(false), 0)]);
    let with = |lines: &[&'static str]| [&head[..], lines].concat();
    let convert = Options { convert_classic: true, ..NATIVE };
    check(&native, Options::default(), &with(&CLASSIC));
    check(&native, NATIVE, &with(&[NATIVE_LINE]));
    check(&native, convert, &with(&[NATIVE_LINE]));
    check(&native, Options { native_histograms: false, ..convert }, &with(&[CONVERTED_LINE]));
    check(
        &native,
        Options { always_classic: true, ..NATIVE },
        &with(&[&[NATIVE_LINE], &CLASSIC[..]].concat()),
    );
    check(&classic, NATIVE, &with(&CLASSIC));
    check(&classic, convert, &with(&[CONVERTED_LINE]));
    check(
        &classic,
        Options { always_classic: true, ..convert },
        &with(&[&[CONVERTED_LINE], &CLASSIC[..]].concat()),
    );
    let gauge = family("h", 5, "", &[metric(&[], 7, &both(false), 0)]);
    check(&gauge, convert, &[&[head[0], "TYPE h gaugehistogram"], &CLASSIC[..]].concat());
}

#[test]
fn native_histograms_have_exemplars_and_float_counts_of_their_own() {
    let histogram = message(|histogram| {
        histogram.double(4, 2.5);
        histogram.double(2, 1.0);
        histogram.varint(5, zigzag_encode(-1));
        histogram.double(8, 0.5);
        histogram.bytes(12, &span(-3, 1));
        histogram.doubles(14, &[2.0]);
        histogram.bytes(16, &exemplar("n", 4.0, Some(2)));
        histogram.bytes(16, &exemplar("timeless", 4.0, None));
        histogram.bytes(3, &bucket(1.0, 1, Some(exemplar("of a bucket", 1.0, Some(1)))));
    });
    check(
        &family("h", 5, "", &[metric(&[("x", "y")], 7, &histogram, 5)]),
        NATIVE,
        &[
            "HELP h \"Help.\"",
            "TYPE h gaugehistogram",
            "{__name__=\"h\", x=\"y\"} count=2.5 sum=1 schema=-1 zero=0.5@0 negative=[] positive=-3:1[2.0] @5 \
             # {id=\"n\"} 4 Some(2500)",
        ],
    );
    let empty = message(|histogram| histogram.bytes(12, &span(0, 0)));
    check(
        &family("h", 4, "", &[metric(&[], 7, &empty, 0)]),
        NATIVE,
        &[
            "HELP h \"Help.\"",
            "TYPE h histogram",
            "{__name__=\"h\"} count=0 sum=0 schema=0 zero=0@0 negative=[] positive=[]",
        ],
    );
}

#[test]
fn what_cannot_be_converted_is_counted() {
    let broken = message(|histogram| {
        histogram.varint(1, 9);
        histogram.bytes(3, &bucket(f64::INFINITY, 7, None));
    });
    let input = family("h", 4, "", &[metric(&[], 7, &broken, 0)]);
    let options = Options { convert_classic: true, ..NATIVE };
    let mut parser = Parser::with_options(&input, Format::Protobuf, options);
    let mut builder = LabelsBuilder::new();
    let mut seen = Vec::new();
    while let Some(entry) = parser.next_entry().expect("sound") {
        seen.push(line(&entry, &mut builder));
    }
    assert_eq!((seen.len(), parser.unconvertible_count()), (2, 1), "{seen:?}");
}

#[test]
fn faults_are_named() {
    let gauge = metric(&[], 2, &message(|g| g.double(1, 1.0)), 0);
    let sound = family("good", 1, "", std::slice::from_ref(&gauge));
    check_refused(&sound[..sound.len() - 1], "metric family number 1: the message is cut off");
    let one = std::slice::from_ref(&gauge);
    check_refused(&family("", 1, "", one), "metric family number 1: the family has no name");
    check_refused(&family("a", 9, "", one), "unknown metric type 9 of metric \"a\"");
    check_refused(&family("a", 1, "seconds", one), "unit \"seconds\" is not a suffix of metric \"a\"");
    let wrong = metric(&[], 2, &message(|g| g.varint(1, 5)), 0);
    let second = [sound.clone(), family("second", 1, "", &[wrong])].concat();
    check_refused(&second, "metric family number 2 (second): field 1 has the wrong wire type");
    check_refused(b"a 1\n", "the message is cut off");
}

#[test]
fn series_of_the_same_labels_are_told_apart_and_known_again() {
    let mut keys = std::collections::BTreeSet::new();
    let input = [
        family("h", 4, "", &[metric(&[("x", "y")], 7, &both(false), 0)]),
        family("g", 1, "", &[metric(&[("x", "y")], 2, &[], 0), metric(&[("x", "")], 2, &[], 0)]),
    ]
    .concat();
    for _ in 0..2 {
        let mut parser = Parser::new(&input, Format::Protobuf);
        while let Some(entry) = parser.next_entry().expect("sound") {
            if let Entry::Series(series) = entry {
                keys.insert((series.id.bytes().to_vec(), series.id.tag()));
                assert!(series.id.label_count_max() >= 2);
                assert_eq!(
                    series.id.has_empty("x"),
                    !String::from_utf8_lossy(series.id.bytes()).contains('y')
                );
            }
        }
    }
    assert_eq!(keys.len(), 7);
}

#[test]
fn labels_that_are_none_are_named_when_they_are_asked_for() {
    let twice = metric(&[("x", "1"), ("x", "2")], 2, &[], 0);
    let odd = message(|metric| metric.bytes(1, &message(|pair| pair.bytes(1, b"\xff"))));
    let bucket = message(|h| h.bytes(3, &bucket(1.0, 1, None)));
    let le = metric(&[("le", "1")], 7, &bucket, 0);
    let input = [family("g", 1, "", &[twice, odd]), family("h", 4, "", &[le])].concat();
    let (seen, error) = entries_with(&input, Format::Protobuf, Options::default());
    assert_eq!(error, None);
    assert_eq!(seen[2], "ERROR label name \"x\" is not unique 0");
    assert_eq!(seen[3], "ERROR a label's name or value is not valid UTF-8 0");
    assert_eq!(seen[8], "ERROR label name \"le\" is not unique 1");
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(mut input: Vec<u8>, at: prop::sample::Index, flip: u8, flags: u8) {
        let options = Options {
            native_histograms: flags & 1 > 0,
            convert_classic: flags & 2 > 0,
            always_classic: flags & 4 > 0,
            suppress_created: false,
        };
        entries_with(&input, Format::Protobuf, options);
        input = family("h", 4, "", &[metric(&[("x", "y")], 7, &both(true), 0), metric(&[], 7, &both(false), 1)]);
        let at = at.index(input.len());
        input[at] ^= flip;
        entries_with(&input, Format::Protobuf, options);
    }

    #[test]
    fn labels_are_those_that_were_written(
        labels in proptest::collection::btree_map("[a-zé]{1,4}", "(?s).{1,8}", 0..5),
        value: f64,
    ) {
        let pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let gauge = message(|gauge| gauge.double(1, value));
        let input = family("my.metric", 1, "", &[metric(&pairs, 2, &gauge, 0)]);
        let mut parser = Parser::new(&input, Format::Protobuf);
        let (_help, _type) = (parser.next_entry(), parser.next_entry());
        let Ok(Some(Entry::Series(series))) = parser.next_entry() else { panic!("a series") };
        let mut builder = LabelsBuilder::new();
        series.pack_labels(&mut builder).expect("sound");
        let mut want = labels.clone();
        want.insert("__name__".to_owned(), "my.metric".to_owned());
        prop_assert_eq!(builder.build(), Labels::from_pairs(&want));
        prop_assert!(series.value == value || value.is_nan() && series.value.is_nan());
    }
}
