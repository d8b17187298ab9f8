//! Results of every kind, byte for byte.

use super::*;
use model::{FloatHistogram, Labels};
use promql::value::Timings;
use std::sync::Arc;

fn render(value: Value, stats: Option<QueryStats>, warnings: &[&str]) -> String {
    let with_stats = stats.is_some();
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let (stats, held) = (stats.unwrap_or_default(), Held::default());
    let result = QueryResult { value, warnings, infos: Vec::new(), stats, held, plan: None };
    let mut source = RenderResult::new(result, with_stats);
    let mut out = Vec::new();
    while source.render(&mut out) {}
    String::from_utf8(out).expect("JSON is text")
}

#[track_caller]
fn check(value: Value, want_data: &str) {
    assert_eq!(render(value, None, &[]), format!("{{\"status\":\"success\",\"data\":{want_data}}}"));
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

#[test]
fn scalars_and_strings_are_pairs() {
    check(
        Value::Scalar { timestamp_ms: 1_500, value: 1e21 },
        r#"{"resultType":"scalar","result":[1.5,"1000000000000000000000"]}"#,
    );
    check(
        Value::String { timestamp_ms: 0, value: "a<b>&\"c\"\n\u{2028}".to_owned() },
        r#"{"resultType":"string","result":[0,"a\u003cb\u003e\u0026\"c\"\n\u2028"]}"#,
    );
}

#[test]
fn vectors_print_floats_and_histograms_and_escape_labels_only_as_json_demands() {
    check(Value::Vector(Vec::new()), r#"{"resultType":"vector","result":[]}"#);
    let float = VectorSample {
        labels: labels(&[("__name__", "up"), ("path", "<a>&\"b\"\t\u{1}")]),
        timestamp_ms: 1_435_781_451_781,
        value: SampleValue::Float(f64::NAN),
    };
    let histogram = VectorSample {
        labels: Labels::empty(),
        timestamp_ms: 1_500,
        value: SampleValue::Histogram(Arc::new(FloatHistogram {
            count: 2.0,
            sum: 1e-7,
            ..FloatHistogram::default()
        })),
    };
    check(
        Value::Vector(vec![float, histogram]),
        "{\"resultType\":\"vector\",\"result\":[\
         {\"metric\":{\"__name__\":\"up\",\"path\":\"<a>&\\\"b\\\"\\t\\u0001\"},\"value\":[1435781451.781,\"NaN\"]},\
         {\"metric\":{},\"histogram\":[1.500,{\"count\":\"2\",\"sum\":\"1e-07\"}]}]}",
    );
}

#[test]
fn a_matrix_is_printed_whole_however_it_is_cut_into_pieces() {
    for count in [0, 1, POINTS - 1, POINTS, POINTS + 1, 3 * POINTS] {
        let floats: Vec<(i64, f64)> = (0..count as i64).map(|i| (i * 1_000, i as f64)).collect();
        let histograms = vec![(7_000, Arc::new(FloatHistogram::default())); 2];
        let one = MatrixSeries { labels: labels(&[("a", "b")]), floats: floats.clone(), histograms };
        let text = render(Value::Matrix(vec![one.clone(), one]), None, &[]);
        let json: serde_json::Value = serde_json::from_str(&text).expect("sound JSON");
        let series = json["data"]["result"].as_array().expect("a list");
        assert_eq!(series.len(), 2);
        let points = series[1]["values"].as_array().map_or(0, Vec::len);
        assert_eq!(points, count);
        assert_eq!(series[1].get("values").is_none(), count == 0, "no points, no field");
        assert_eq!(series[0]["histograms"].as_array().map(Vec::len), Some(2));
    }
    let bare =
        MatrixSeries { labels: labels(&[("a", "b")]), floats: vec![(1_000, -0.0)], histograms: Vec::new() };
    check(
        Value::Matrix(vec![bare]),
        r#"{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1,"-0"]]}]}"#,
    );
}

#[test]
fn stats_and_annotations_follow_the_result() {
    let stats = QueryStats {
        timings: Timings { eval_total_s: 0.25, exec_total_s: 1e-9, ..Timings::default() },
        total_queryable_samples: 7,
        peak_samples: 3,
        total_queryable_samples_per_step: Some(vec![(1_500, 4), (2_000, 3)]),
        memory_peak_bytes: 0,
        kept_steps: 0,
    };
    assert_eq!(
        render(Value::Vector(Vec::new()), Some(stats), &["careful <1>"]),
        "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[],\"stats\":{\"timings\":{\
         \"evalTotalTime\":0.25,\"resultSortTime\":0,\"queryPreparationTime\":0,\"innerEvalTime\":0,\
         \"execQueueTime\":0,\"execTotalTime\":1e-09},\"samples\":{\"totalQueryableSamplesPerStep\":[[1.5,4],[2,3]],\
         \"totalQueryableSamples\":7,\"peakSamples\":3}}},\"warnings\":[\"careful \\u003c1\\u003e\"]}"
    );
    let many: Vec<String> = (0..12).map(|i| format!("w{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let text = render(Value::Vector(Vec::new()), None, &many);
    assert!(text.ends_with("\"w9\",\"2 more warning annotations omitted\"]}"), "{text}");
}
