//! What completion asks: names that fit what was typed, ranked; and what the server can do.

use kymo_tests::http;
use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use serde_json::{Value, json};

fn kymo_with_names() -> Kymo {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let now_ms = push::now_ms();
    let names = [
        "node_cpu_seconds_total",
        "node_load1",
        "node_load15",
        "process_cpu_seconds_total",
        "up",
        "cpu_count",
    ];
    let series: Vec<Series> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let number = at.to_string();
            Series::new(
                &[("__name__", name), ("job", if at < 3 { "node" } else { "other" }), ("number", &number)],
                &[(now_ms, 1.0)],
            )
        })
        .collect();
    assert_eq!(push::send(&kymo.url(), &series).expect("answered").status / 100, 2);
    kymo
}

/// The lines of an answer.
#[track_caller]
fn lines(kymo: &Kymo, what: &str, parameters: &[(&str, &str)]) -> Vec<Value> {
    let response =
        http::get_with(&kymo.url(), &format!("/api/v1/search/{what}"), parameters).expect("answered");
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.content_type, "application/x-ndjson; charset=utf-8");
    response.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[track_caller]
fn check(kymo: &Kymo, what: &str, parameters: &[(&str, &str)], want: &[&str], has_more: bool) {
    let mut lines = lines(kymo, what, parameters);
    let last = lines.pop().expect("a last line");
    assert_eq!(last, json!({"status": "success", "has_more": has_more}), "{what} {parameters:?}");
    let names: Vec<&str> = lines
        .iter()
        .flat_map(|line| line["results"].as_array().expect("results"))
        .map(|result| result["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, want, "{what} {parameters:?}");
}

#[test]
fn names_are_found_by_what_was_typed() {
    let kymo = kymo_with_names();
    let score = ("sort_by", "score");
    check(
        &kymo,
        "metric_names",
        &[("search[]", "cpu"), score],
        &["cpu_count", "node_cpu_seconds_total", "process_cpu_seconds_total"],
        false,
    );
    check(&kymo, "metric_names", &[("search[]", "nl1"), score], &["node_load15", "node_load1"], false);
    check(
        &kymo,
        "metric_names",
        &[("search[]", "NODE_LO"), ("case_sensitive", "0")],
        &["node_load1", "node_load15"],
        false,
    );
    check(&kymo, "metric_names", &[("search[]", "NODE_LO")], &[], false);
    check(&kymo, "metric_names", &[("limit", "2")], &["cpu_count", "node_cpu_seconds_total"], true);
    check(
        &kymo,
        "metric_names",
        &[("search[]", "node_laod1"), ("fuzz_alg", "jarowinkler"), ("fuzz_threshold", "95"), score],
        &["node_load1", "node_load15"],
        false,
    );
    check(
        &kymo,
        "metric_names",
        &[("match[]", "{job=\"node\"}"), ("sort_by", "alpha"), ("sort_dir", "dsc")],
        &["node_load15", "node_load1", "node_cpu_seconds_total"],
        false,
    );
    check(&kymo, "label_names", &[("search[]", "jb")], &["job"], false);
    check(&kymo, "label_names", &[], &["__name__", "job", "number"], false);
    check(&kymo, "label_values", &[("label", "job"), ("search[]", "o")], &["node", "other"], false);
    let batches =
        lines(&kymo, "metric_names", &[("batch_size", "4"), ("include_score", "true"), ("search[]", "o")]);
    let sizes: Vec<usize> =
        batches.iter().filter_map(|line| Some(line["results"].as_array()?.len())).collect();
    assert_eq!(sizes, [4, 1]);
    assert!(batches[0]["results"][0]["score"].as_f64().is_some_and(|score| score > 0.0), "{batches:?}");
    let form = http::post(
        &format!("{}/api/v1/search/metric_names", kymo.url()),
        &[("Content-Type", "application/x-www-form-urlencoded")],
        b"search[]=up",
    );
    assert_eq!(
        form.expect("answered").text(),
        "{\"results\":[{\"name\":\"up\"}]}\n{\"status\":\"success\",\"has_more\":false}\n"
    );
}

#[test]
fn bad_searches_are_refused_in_prometheus_words() {
    let kymo = kymo_with_names();
    for (what, parameters, fault) in [
        ("label_values", &[][..], "missing required parameter \"label\""),
        ("metric_names", &[("limit", "-1")], "invalid limit \"-1\": must be non-negative integer"),
        ("metric_names", &[("batch_size", "x")], "invalid batch_size \"x\": must be non-negative integer"),
        ("metric_names", &[("fuzz_threshold", "101")], "invalid fuzz_threshold \"101\": must be 0-100"),
        (
            "metric_names",
            &[("fuzz_alg", "soundex")],
            "unsupported fuzz_alg \"soundex\": must be one of [subsequence jarowinkler]",
        ),
        ("metric_names", &[("case_sensitive", "maybe")], "invalid case_sensitive \"maybe\": must be boolean"),
        ("metric_names", &[("include_metadata", "2")], "invalid include_metadata \"2\": must be boolean"),
        ("metric_names", &[("sort_dir", "asc")], "sort_dir is only valid when sort_by is set"),
        ("metric_names", &[("sort_by", "score")], "sort_by=score requires search[] to be set"),
        (
            "label_names",
            &[("sort_by", "size")],
            "invalid sort_by \"size\" for label_names: must be \"alpha\" or \"score\"",
        ),
        (
            "label_names",
            &[("sort_by", "alpha"), ("sort_dir", "up")],
            "invalid sort_dir \"up\": must be \"asc\" or \"dsc\"",
        ),
        ("label_names", &[("match[]", "{")], "1:2: parse error: unexpected end of input inside braces"),
        ("label_names", &[("start", "then")], "cannot parse \"then\" to a valid timestamp"),
    ] {
        let response =
            http::get_with(&kymo.url(), &format!("/api/v1/search/{what}"), parameters).expect("answered");
        let answer = response.json();
        assert_eq!(
            (response.status, &answer["errorType"]),
            (400, &json!("bad_data")),
            "{what} {parameters:?}"
        );
        let error = answer["error"].as_str().expect("a text");
        assert!(error.contains(fault), "{what} {parameters:?}: {error}");
    }
}

#[test]
fn clients_learn_what_the_server_can_do() {
    let kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let build = http::api(&kymo.url(), "/api/v1/status/buildinfo", &[]).expect("answered");
    assert_eq!((&build["version"], &build["application"]), (&json!("3.14.0"), &json!("Kymo")), "{build}");
    assert!(build["kymoVersion"].as_str().is_some_and(|version| version.contains('.')), "{build}");
    let features = http::api(&kymo.url(), "/api/v1/features", &[]).expect("answered");
    for (category, name, has) in [
        ("api", "admin", false),
        ("api", "remote_read", true),
        ("api", "search", true),
        ("promql", "subqueries", true),
        ("promql", "delayed_name_removal", false),
        ("promql_functions", "rate", true),
        ("promql_functions", "info", true),
        ("promql_operators", "topk", true),
        ("promql_operators", "</", true),
    ] {
        assert_eq!(features[category][name], json!(has), "{category} {name}");
    }
}
