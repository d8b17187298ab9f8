//! What is accepted and refused, in tables.

use proptest::prelude::*;

use super::*;
use model::{Labels, STALE_NAN};

/// Every entry as one line of text; the error last.
fn entries(input: &[u8], format: Format) -> (Vec<String>, Option<ParseError>) {
    entries_with(input, format, Options::default())
}

/// As [`entries`]; with start timestamps where they come with the sample.
pub(super) fn entries_with(
    input: &[u8],
    format: Format,
    options: Options,
) -> (Vec<String>, Option<ParseError>) {
    let mut parser = Parser::with_options(input, format, options);
    let mut builder = LabelsBuilder::new();
    let mut seen = Vec::new();
    loop {
        match parser.next_entry() {
            Ok(None) => return (seen, None),
            Err(error) => return (seen, Some(error)),
            Ok(Some(entry)) => {
                let mut line = line(&entry, &mut builder);
                if let (Entry::Series(series), Format::Protobuf) = (&entry, format)
                    && let Some(start_ms) = parser.start_timestamp_ms(series)
                {
                    line += &format!(" since {start_ms}");
                }
                seen.push(line);
            }
        }
    }
}

pub(super) fn line(entry: &Entry<'_>, builder: &mut LabelsBuilder) -> String {
    match entry {
        Entry::Series(series) => {
            let labels = match series.pack_labels(builder) {
                Ok(()) => builder.build().to_string(),
                Err(error) => format!("ERROR {error}"),
            };
            let mut line = format!("{labels} {}", series.value);
            if let Some(timestamp_ms) = series.timestamp_ms {
                line += &format!(" @{timestamp_ms}");
            }
            if let Some(exemplar) = series.exemplar {
                line += &match exemplar.to_exemplar(builder) {
                    Ok(exemplar) => {
                        format!(" # {} {} {:?}", exemplar.labels, exemplar.value, exemplar.timestamp_ms)
                    }
                    Err(error) => format!(" # ERROR {error}"),
                };
            }
            line
        }
        Entry::Type { name, metric_type } => format!("TYPE {name} {metric_type}"),
        Entry::Help { name, text } => format!("HELP {name} {text:?}"),
        Entry::Unit { name, unit } => format!("UNIT {name} {unit}"),
        Entry::Histogram(series) => histogram_line(series, builder),
        Entry::Comment(text) => format!("COMMENT {}", String::from_utf8_lossy(text)),
    }
}

fn histogram_line(series: &HistogramSeries<'_>, builder: &mut LabelsBuilder) -> String {
    let labels = match series.pack_labels(builder) {
        Ok(()) => builder.build().to_string(),
        Err(error) => format!("ERROR {error}"),
    };
    let h = &series.histogram;
    let mut line = format!("{labels} count={} sum={} schema={}", h.count, h.sum, h.schema);
    let spans = |spans: &[model::BucketSpan]| {
        spans.iter().map(|span| format!("{}:{}", span.offset, span.length)).collect::<Vec<_>>().join(",")
    };
    if h.uses_custom_buckets() {
        line += &format!(" bounds={:?}", h.custom_values);
    } else {
        line += &format!(" zero={}@{}", h.zero_count, h.zero_threshold);
        line += &format!(" negative={}{:?}", spans(&h.negative_spans), h.negative_buckets);
    }
    line += &format!(" positive={}{:?}", spans(&h.positive_spans), h.positive_buckets);
    if let Some(timestamp_ms) = series.timestamp_ms {
        line += &format!(" @{timestamp_ms}");
    }
    if let Some(start_ms) = series.start_ms {
        line += &format!(" since {start_ms}");
    }
    for exemplar in &series.exemplars {
        line += &match exemplar.to_exemplar(builder) {
            Ok(exemplar) => format!(" # {} {} {:?}", exemplar.labels, exemplar.value, exemplar.timestamp_ms),
            Err(error) => format!(" # ERROR {error}"),
        };
    }
    line
}

#[track_caller]
fn check(format: Format, input: &str, want: &[&str]) {
    let (seen, error) = entries(input.as_bytes(), format);
    assert_eq!(error, None, "{input:?}");
    assert_eq!(seen, want, "{input:?}");
}

#[track_caller]
fn check_text(input: &str, want: &[&str]) {
    check(Format::PrometheusText, input, want);
}

#[track_caller]
fn check_open(input: &str, want: &[&str]) {
    check(Format::OpenMetricsText, &format!("{input}# EOF\n"), want);
}

#[track_caller]
fn check_refused(format: Format, input: &[u8], line: usize, column: usize, says: &str) {
    let shown = String::from_utf8_lossy(input);
    let error = entries(input, format).1.unwrap_or_else(|| panic!("{shown:?} should be refused"));
    assert!(error.message.contains(says), "{shown:?}: {error}");
    assert_eq!(error.place, Place::Text { line, column }, "{shown:?}: {error}");
}

#[test]
fn prometheus_text_is_read() {
    check_text("", &[]);
    check_text("\n \t\n\n", &[]);
    check_text("a 1", &[r#"{__name__="a"} 1"#]);
    check_text("a{} 1\n", &[r#"{__name__="a"} 1"#]);
    check_text("a:b_c1{x=\"y\",} -1.5e3 123\n", &[r#"{__name__="a:b_c1", x="y"} -1500 @123"#]);
    check_text("  a\t{ x = \"y\" , z=\"\" }\t+Inf\t\n", &[r#"{__name__="a", x="y"} inf"#]);
    check_text("a{x=\"y\"z=\"w\"}1", &[r#"{__name__="a", x="y", z="w"} 1"#]);
    check_text("a nan\nb NaN 5 \n", &[r#"{__name__="a"} NaN"#, r#"{__name__="b"} NaN @5"#]);
    check_text("a{x=\"1\\\\2\\\"3\\n4\\t5\"} 00\n", &[r#"{__name__="a", x="1\\2\"3\n4\\t5"} 0"#]);
    check_text("a{x=\"two\nlines\"} 1\nb 2", &[r#"{__name__="a", x="two\nlines"} 1"#, r#"{__name__="b"} 2"#]);
    check_text("a{x=\"abc\0\"} 1", &["{__name__=\"a\", x=\"abc\\x00\"} 1"]);
    check_text("a{b=\"ü€\"} 1", &["{__name__=\"a\", b=\"ü€\"} 1"]);
}

#[test]
fn quoted_names_are_read() {
    check_text(r#"{"a.b"} 1"#, &[r#"{__name__="a.b"} 1"#]);
    check_text(r#"{"a.b",x="y"} 1"#, &[r#"{__name__="a.b", x="y"} 1"#]);
    check_text(r#"{ "a.b", "x y"= "z", }1"#, &[r#"{__name__="a.b", "x y"="z"} 1"#]);
    check_text(r#"{x="y","a\"b"} 1"#, &[r#"{__name__="a\"b", x="y"} 1"#]);
    check_text("# HELP \"a.b\" text\n", &[r#"HELP a.b "text""#]);
    check_open("{\"a.b\",x=\"y\"} 1\n", &[r#"{__name__="a.b", x="y"} 1"#]);
    check_open(
        "# TYPE \"a.b\" gauge\na{\"x.y\"=\"1\"} 1\n",
        &["TYPE a.b gauge", r#"{__name__="a", "x.y"="1"} 1"#],
    );
}

#[test]
fn metadata_and_comments_are_read() {
    check_text("# HELP a some \\\\ te\\nxt \\\" here \n", &["HELP a \"some \\\\ te\\nxt \\\\\\\" here \""]);
    check_text("# HELP a\n", &["HELP a \"\""]);
    check_text("# HELP a \n# HELP a  b", &["HELP a \"\"", "HELP a \" b\""]);
    check_text("#\tTYPE\t a\tcounter\n", &["TYPE a counter"]);
    check_text(
        "# TYPE a untyped\n#x\n# HELPa b\n# free text\n#",
        &["TYPE a unknown", "COMMENT #x", "COMMENT # HELPa b", "COMMENT # free text", "COMMENT #"],
    );
    check_text("# HELP\n# TYPE", &["COMMENT # HELP", "COMMENT # TYPE"]);
    check_open(
        "# HELP a b \\\"c\\\"\\n\n# TYPE a_s info\n# UNIT a_s s\n",
        &["HELP a \"b \\\"c\\\"\\n\"", "TYPE a_s info", "UNIT a_s s"],
    );
    check_open("# HELP a \n# UNIT a \n", &["HELP a \"\"", "UNIT a "]);
}

#[test]
fn openmetrics_samples_are_read() {
    check_open("", &[]);
    check(Format::OpenMetricsText, "# EOF", &[]);
    check_open("a 1\n", &[r#"{__name__="a"} 1"#]);
    check_open("a{b=\"c\",} 1 1.5\n", &[r#"{__name__="a", b="c"} 1 @1500"#]);
    check_open("a 1 -0.0019\n", &[r#"{__name__="a"} 1 @-1"#]);
    check_open("a 1 1520879607.789\n", &[r#"{__name__="a"} 1 @1520879607789"#]);
    check_open("a{b=\"\0\"} 1\n", &["{__name__=\"a\", b=\"\\x00\"} 1"]);
    check_open("a_total 1 # {} 4\n", &[r#"{__name__="a_total"} 1 # {} 4 None"#]);
    check_open(
        "a_total 1 2 # {t=\"x\\\"y\",\"u.v\"=\"w\",} 0.5 3.25\n",
        &[r#"{__name__="a_total"} 1 @2000 # {t="x\"y", "u.v"="w"} 0.5 Some(3250)"#],
    );
}

#[test]
fn bucket_bounds_become_canonical_floats() {
    check_text(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_bucket{le=\"1e6\"} 1\n",
        &[
            "TYPE h histogram",
            r#"{__name__="h_bucket", le="1.0"} 1"#,
            r#"{__name__="h_bucket", le="+Inf"} 1"#,
            r#"{__name__="h_bucket", le="1e+06"} 1"#,
        ],
    );
    check_text(
        "# TYPE s summary\ns{quantile=\"0.50\",le=\"1\"} 1\n",
        &["TYPE s summary", r#"{__name__="s", le="1", quantile="0.5"} 1"#],
    );
    check_text(
        "# TYPE g gauge\ng{le=\"1\",quantile=\"x\"} 1\n",
        &["TYPE g gauge", r#"{__name__="g", le="1", quantile="x"} 1"#],
    );
    check_text("# TYPE h histogram\nh{le=\"x\"} 1\n", &["TYPE h histogram", r#"{__name__="h", le="x"} 1"#]);
}

#[test]
fn labels_that_contradict_each_other_are_refused_when_packed() {
    check_text("a{b=\"1\",b=\"2\"} 1", &["ERROR label name \"b\" is not unique 1"]);
    check_text("a{__name__=\"b\"} 1", &["ERROR label name \"__name__\" is not unique 1"]);
    check_text("{\"\"} 1", &["ERROR the metric's name is empty 1"]);
    check_text("a{\"\"=\"b\"} 1", &["ERROR a label's name is empty 1"]);
}

#[test]
fn bad_prometheus_text_is_refused_where_it_is_bad() {
    let cases: &[(&[u8], usize, usize, &str)] = &[
        (b"a", 1, 2, "expected a value after the metric, got the end of the text"),
        (b"ok 1\na{b='c'} 1\n", 2, 5, "label value in double quotes, got '''"),
        (b"a{b=\n", 1, 5, "label value in double quotes, got the end of the line"),
        (b"a{\xff=\"foo\"} 1\n", 1, 3, "expected a label name, got the byte 0xff"),
        (b"a{b=\"\xff\"} 1\n", 1, 6, "the label value is not valid UTF-8"),
        (b"{\"a\", \"b = \"c\"}", 1, 13, "expected '=' after the label name, got 'c'"),
        (b"{\"a\",b\\nc=\"d\"} 1", 1, 7, "expected '=' after the label name"),
        (b"a true\n", 1, 3, "the value \"true\" is not a number: invalid syntax"),
        (b"a 1\r\n", 1, 3, "lines must end with \\n"),
        (b"a 1e309\n", 1, 3, "value out of range"),
        (b"something_weird{problem=\"", 1, 25, "the closing quote of the label value is missing"),
        (b"a{b=\"x\\\ny\"} 1", 1, 7, "a backslash at the end of a line"),
        (b"empty_label_name{=\"\"} 0", 1, 18, "expected a label name, got '='"),
        (b"a{b=\"c\",,d=\"e\"} 1", 1, 9, "expected a label name, got ','"),
        (b"a{,} 1", 1, 3, "expected a label name, got ','"),
        (b"a{b} 1", 1, 4, "expected '='"),
        (b"a{1b=\"c\"} 1", 1, 3, "expected a label name"),
        (b"foo 1_2\n", 1, 5, "is not a number"),
        (b"foo 0x1p-3\n", 1, 5, "is not a number"),
        (b"foo 0 1_2\n", 1, 8, "expected the end of the line, got '_'"),
        (b"foo 0 -1\n", 1, 7, "expected a timestamp or the end of the line, got '-'"),
        (b"foo 0 1.5\n", 1, 8, "expected the end of the line, got '.'"),
        (b"foo 0 9223372036854775808\n", 1, 7, "the timestamp is out of range"),
        (b"foo 0 1 2\n", 1, 9, "expected the end of the line"),
        (b"foo 1{\n", 1, 6, "expected a timestamp"),
        (b"foo{a=\"b\"}{ 1\n", 1, 11, "expected a value"),
        (b"{a=\"ok\"} 1", 1, 1, "the metric has no name"),
        (b"{} 1", 1, 1, "the metric has no name"),
        (b"a{\"b\"} 1", 1, 3, "the metric has a second name"),
        (b"{\"a\",\"b\"} 1", 1, 6, "the metric has a second name"),
        (b"# TYPE #\n", 1, 8, "expected a metric name after TYPE, got '#'"),
        (b"# HELP \n", 1, 8, "expected a metric name after HELP, got the end of the line"),
        (b"# TYPE a counter \n", 1, 10, "invalid metric type \"counter \""),
        (b"# TYPE a\n", 1, 9, "invalid metric type \"\""),
        (b"# HELP a \xff\n", 1, 10, "the help text is not valid UTF-8"),
        (b"9 1", 1, 1, "expected a metric name or a comment, got '9'"),
        ("ä 1".as_bytes(), 1, 1, "got 'ä'"),
        (b"\0", 1, 1, "got '\\0'"),
        (b"a{b=\0\"ssss\"} 1\n", 1, 5, "label value in double quotes"),
        (b"a{b=\"\0", 1, 5, "the closing quote"),
        (b"a{b\0=\"hiih\"}\t1", 1, 4, "expected '='"),
        (b"a\0{b=\"ddd\"} 1", 1, 2, "expected a value"),
        (b"a 0 1\0", 1, 6, "expected the end of the line"),
        (b"{\"a\0\"} 1", 1, 4, "a NUL byte in the name"),
    ];
    for (input, line, column, says) in cases {
        check_refused(Format::PrometheusText, input, *line, *column, says);
    }
}

#[test]
fn bad_openmetrics_is_refused_where_it_is_bad() {
    let cases: &[(&[u8], usize, usize, &str)] = &[
        (b"", 1, 1, "does not end with # EOF"),
        (b"\n", 1, 1, "expected a metric name or '# ', got the end of the line"),
        (b"metric", 1, 7, "expected one space and a value after the metric, got the end of the text"),
        (b"metric 1", 1, 9, "does not end with # EOF"),
        (b"metric 1\n", 2, 1, "does not end with # EOF"),
        (b"metric_total 1 # {aa=\"bb\"} 4", 1, 29, "does not end with # EOF"),
        (b"a\n#EOF\n", 1, 2, "expected one space and a value"),
        (b" a 1\n# EOF\n", 1, 1, "got a space"),
        (b"9\n# EOF\n", 1, 1, "got '9'"),
        (b"# TYPE u untyped\n# EOF\n", 1, 10, "invalid metric type \"untyped\""),
        (b"# TYPE c counter \n# EOF\n", 1, 10, "invalid metric type \"counter \""),
        (b"#  TYPE c counter\n# EOF\n", 1, 3, "expected HELP, TYPE, UNIT or EOF"),
        (b"# TYPE \n# EOF\n", 1, 8, "expected a metric name after TYPE"),
        (b"# TYPE m\n# EOF\n", 1, 9, "expected a space and text in TYPE"),
        (b"# UNIT metric suffix\n# EOF\n", 1, 15, "not a suffix"),
        (b"# UNIT metricsuffix suffix\n# EOF\n", 1, 21, "not a suffix"),
        (b"# UNIT m\n# EOF\n", 1, 9, "expected a space and text in UNIT"),
        (b"# HELP m\n# EOF\n", 1, 9, "expected a space and text in HELP"),
        (b"a\t1\n# EOF\n", 1, 2, "got a tab"),
        (b"a 1\t2\n# EOF\n", 1, 3, "is not a number"),
        (b"a 1 2 \n# EOF\n", 1, 6, "expected the end of the line, got a space"),
        (b"a 1 2 #\n# EOF\n", 1, 6, "expected the end of the line"),
        (b"a 1 1z\n# EOF\n", 1, 5, "is not a number"),
        (b" # EOF\n", 1, 1, "got a space"),
        (b"# EOF\na 1", 2, 1, "unexpected text after # EOF"),
        (b"# EOF\n\n", 2, 1, "unexpected text after # EOF"),
        (b"# EOFa 1", 1, 6, "unexpected text after # EOF"),
        (b"#\tTYPE c counter\n", 1, 2, "expected one space after '#'"),
        (b"# TYPE c  counter\n", 1, 10, "invalid metric type \" counter\""),
        (b"a 1 1 1\n# EOF\n", 1, 6, "expected the end of the line"),
        (b"a{,b=\"c\"} 1\n# EOF\n", 1, 3, "expected a label name, got ','"),
        (b"a{b=\"c\"d=\"e\"} 1\n# EOF\n", 1, 8, "expected ',' or '}'"),
        (b"a{b=\"c\",,d=\"e\"} 1\n# EOF\n", 1, 9, "expected a label name"),
        (b"a{b=\"c\", d=\"e\"} 1\n# EOF\n", 1, 9, "expected a label name, got a space"),
        (b"a{b=\"c\nd\"} 1\n# EOF\n", 1, 7, "a line break in the label value"),
        (b"a{\xff=\"foo\"} 1\n# EOF\n", 1, 3, "got the byte 0xff"),
        (b"a {b=\"c\"} 1\n# EOF\n", 1, 3, "is not a number"),
        (b"a_total 1 # {aa=bb}\n# EOF\n", 1, 17, "label value in double quotes"),
        (b"a_total 1 # {aa=\"bb\"}\n# EOF\n", 1, 22, "a value after the exemplar's labels"),
        (b"a_total 1 # {bb}", 1, 16, "expected '='"),
        (b"a_total 1 # {bb, a=\"dd\"}", 1, 16, "expected '='"),
        (b"a_total 1 # {aa=\"bb\",,cc=\"dd\"} 1", 1, 22, "expected an exemplar's label name"),
        (b"a_total 1 # {aa=\"bb\"} 1_2", 1, 23, "is not a number"),
        (b"a_total 1 # {\"m\"} 1", 1, 17, "expected '='"),
        (b"a_total 1 # {b=\"\0ss\"} 1\n", 1, 17, "a NUL byte"),
        (b"{b=\"c\",} 1", 1, 1, "the metric has no name"),
        (b"a 1 NaN", 1, 5, "out of range"),
        (b"a 1 -Inf", 1, 5, "out of range"),
        (b"a 1 1e300", 1, 5, "out of range"),
        (b"h_bucket{le=\"+Inf\"} 1 # {aa=\"bb\"} 4 NaN", 1, 37, "out of range"),
    ];
    for (input, line, column, says) in cases {
        check_refused(Format::OpenMetricsText, input, *line, *column, says);
    }
}

#[test]
fn after_an_error_there_is_nothing() {
    let mut parser = Parser::new(b"a b\nc 1\n", Format::PrometheusText);
    assert!(parser.next_entry().is_err());
    assert_eq!(parser.next_entry(), Ok(None));
}

#[test]
fn raw_text_is_the_exact_bytes_of_the_series() {
    let mut parser = Parser::new(b" a{x=\"y\", } 1\nb\t2\n{\"c\"} 3\n", Format::PrometheusText);
    let mut raws = Vec::new();
    while let Some(entry) = parser.next_entry().expect("sound") {
        if let Entry::Series(series) = entry {
            raws.push(series.id.as_text());
        }
    }
    assert_eq!(raws, ["a{x=\"y\", }", "b", "{\"c\"}"]);
}

#[test]
fn every_nan_is_the_ordinary_one_and_never_a_staleness_marker() {
    for format in [Format::PrometheusText, Format::OpenMetricsText] {
        let mut parser = Parser::new(b"a NaN\n# EOF\n", format);
        let Ok(Some(Entry::Series(series))) = parser.next_entry() else { panic!("a series") };
        assert_eq!(series.value.to_bits(), model::sample::NORMAL_NAN.to_bits());
        assert_ne!(series.value.to_bits(), STALE_NAN.to_bits());
    }
}

fn starts(input: &[u8], format: Format, suppress: bool) -> Vec<(String, Option<i64>)> {
    let mut parser =
        Parser::with_options(input, format, Options { suppress_created: suppress, ..Options::default() });
    let mut found = Vec::new();
    while let Ok(Some(entry)) = parser.next_entry() {
        if let Entry::Series(series) = entry {
            let start = parser.start_timestamp_ms(&series);
            found.push((series.id.as_text().to_owned(), start));
        }
    }
    found
}

#[test]
fn created_lines_become_start_timestamps() {
    let input = "# TYPE c counter\nc_total{a=\"1\"} 1\nc_created{a=\"1\"} 1.5\nc_total{a=\"2\"} 1\nc_total{a=\"3\"} 1\n\
                 c_created{a=\"3\"} 3\n# TYPE h histogram\nh_bucket{le=\"1\",x=\"y\"} 1\nh_bucket{le=\"+Inf\",x=\"y\"} 1\n\
                 h_count{x=\"y\"} 1\nh_sum{x=\"y\"} 1\nh_created{x=\"y\"} 1520872607.123\n# TYPE s summary\n\
                 s{quantile=\"0.5\"} 1\ns_count 2\n# TYPE g gauge\ng_created 5\n# TYPE \"u.v\" counter\n\
                 {\"u.v_total\",a=\"1\"} 1\n{\"u.v_created\",a=\"1\"} 9\n# EOF\n";
    let want = [
        ("c_total{a=\"1\"}", Some(1500)),
        ("c_total{a=\"2\"}", None),
        ("c_total{a=\"3\"}", Some(3000)),
        ("h_bucket{le=\"1\",x=\"y\"}", Some(1_520_872_607_123)),
        ("h_bucket{le=\"+Inf\",x=\"y\"}", Some(1_520_872_607_123)),
        ("h_count{x=\"y\"}", Some(1_520_872_607_123)),
        ("h_sum{x=\"y\"}", Some(1_520_872_607_123)),
        ("s{quantile=\"0.5\"}", None),
        ("s_count", None),
        ("g_created", None),
        ("{\"u.v_total\",a=\"1\"}", Some(9000)),
    ];
    let want: Vec<(String, Option<i64>)> =
        want.iter().map(|(raw, start)| ((*raw).to_owned(), *start)).collect();
    let format = Format::OpenMetricsText;
    assert_eq!(starts(input.as_bytes(), format, true), want);
    let unsuppressed = starts(input.as_bytes(), format, false);
    assert_eq!(unsuppressed.len(), want.len() + 4, "created lines come as series unless suppressed");
}

const CONVERT: Options = Options {
    convert_classic: true,
    native_histograms: false,
    always_classic: false,
    suppress_created: true,
};

#[track_caller]
fn check_converted(format: Format, input: &str, always_classic: bool, want: &[&str]) {
    let input = match format {
        Format::OpenMetricsText => format!("{input}# EOF\n"),
        _ => input.to_owned(),
    };
    let (seen, error) = entries_with(input.as_bytes(), format, Options { always_classic, ..CONVERT });
    assert_eq!(error, None, "{input}");
    assert_eq!(seen, want, "{input}");
}

#[test]
fn classic_histograms_of_text_become_native_ones() {
    let input = "# TYPE h histogram\nh_bucket{ le = \"1\", x=\"y\" } 1\nh_bucket{le=\"+Inf\",x=\"y\"} 3\nh_sum{x=\"y\"} 5\n\
                 h_count{x=\"y\"} 3\nh_bucket{le=\"2\"} 1\nh_count 2 50\nother 1\n";
    let (one, two) = (
        "{__name__=\"h\", x=\"y\"} count=3 sum=5 schema=-53 bounds=[1.0] positive=0:2[1.0, 2.0]",
        "{__name__=\"h\"} count=2 sum=0 schema=-53 bounds=[2.0] positive=0:2[1.0, 1.0] @50",
    );
    let other = "{__name__=\"other\"} 1";
    let text = Format::PrometheusText;
    check_converted(text, input, false, &["TYPE h histogram", one, two, other]);
    check_converted(
        text,
        input,
        true,
        &[
            "TYPE h histogram",
            "{__name__=\"h_bucket\", le=\"1.0\", x=\"y\"} 1",
            "{__name__=\"h_bucket\", le=\"+Inf\", x=\"y\"} 3",
            "{__name__=\"h_sum\", x=\"y\"} 5",
            "{__name__=\"h_count\", x=\"y\"} 3",
            one,
            "{__name__=\"h_bucket\", le=\"2.0\"} 1",
            "{__name__=\"h_count\"} 2 @50",
            two,
            other,
        ],
    );
    // Nothing comes behind the last one.
    check_converted(
        text,
        "# TYPE h histogram\nh_count 3\n",
        false,
        &["TYPE h histogram", "{__name__=\"h\"} count=3 sum=0 schema=-53 bounds=[] positive=0:1[3.0]"],
    );
}

#[test]
fn what_is_no_classic_histogram_stays() {
    let text = Format::PrometheusText;
    let plain = |input: &str, want: &[&str]| check_converted(text, input, false, want);
    plain("h_bucket{le=\"1\"} 1\n", &["{__name__=\"h_bucket\", le=\"1\"} 1"]);
    plain(
        "# TYPE h summary\nh_count 1\nh_sum 2\n",
        &["TYPE h summary", "{__name__=\"h_count\"} 1", "{__name__=\"h_sum\"} 2"],
    );
    plain(
        "# TYPE h histogram\nother_count 1\nh_bucket{le=\"x\"} 1\nh_max 4\n",
        &[
            "TYPE h histogram",
            "{__name__=\"other_count\"} 1",
            "{__name__=\"h_bucket\", le=\"x\"} 1",
            "{__name__=\"h_max\"} 4",
        ],
    );
    plain(
        "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_count 3\nb 1\n",
        &["TYPE h histogram", "{__name__=\"b\"} 1"],
    );
}

#[test]
fn converted_histograms_keep_exemplars_and_starts() {
    let input = "# TYPE \"h.x\" histogram\n{\"h.x_bucket\",le=\"1.0\"} 1 # {id=\"a\"} 0.5 7\n\
                 {\"h.x_bucket\",le=\"+Inf\"} 3 # {id=\"b\"} 2 8\n{\"h.x_count\"} 3\n{\"h.x_sum\"} 4\n{\"h.x_created\"} 6\n";
    check_converted(
        Format::OpenMetricsText,
        input,
        false,
        &[
            "TYPE h.x histogram",
            "{__name__=\"h.x\"} count=3 sum=4 schema=-53 bounds=[1.0] positive=0:2[1.0, 2.0] since 6000 \
             # {id=\"a\"} 0.5 Some(7000) # {id=\"b\"} 2 Some(8000)",
        ],
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        entries(&input, Format::PrometheusText);
        entries(&input, Format::OpenMetricsText);
    }

    #[test]
    fn text_that_looks_right_makes_no_parser_panic(
        input in r#"(# (TYPE|HELP|UNIT|EOF)? ?|[a-z{}",=\\ \n\t#\x000-9.é]{0,3}|a\{b="c"\} |1 ?\n?){0,30}"#,
    ) {
        for format in [Format::PrometheusText, Format::OpenMetricsText] {
            entries(input.as_bytes(), format);
            entries_with(input.as_bytes(), format, CONVERT);
            starts(input.as_bytes(), format, true);
        }
    }

    #[test]
    fn packed_labels_are_those_that_were_written(
        pairs in proptest::collection::btree_map("[a-zé\\.]{1,4}", "(?s).{0,8}", 0..5),
        name in "(?s)[^\\x00]{1,6}",
    ) {
        let mut want = pairs.clone();
        want.insert("__name__".to_owned(), name.clone());
        let escape = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        let mut line = format!("{{\"{}\"", escape(&name));
        for (name, value) in &pairs {
            line += &format!(",\"{}\"=\"{}\"", escape(name), escape(value));
        }
        line += "} 1\n";
        for (format, end) in [(Format::PrometheusText, ""), (Format::OpenMetricsText, "# EOF")] {
            let input = format!("{line}{end}");
            let (seen, error) = entries(input.as_bytes(), format);
            prop_assert_eq!(error, None);
            prop_assert_eq!(&seen[0], &format!("{} 1", Labels::from_pairs(&want)));
        }
    }
}
