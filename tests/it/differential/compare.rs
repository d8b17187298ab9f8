//! What counts as the same answer.

use std::collections::BTreeMap;

use serde_json::Value;

use super::generator::Asked;

/// Values differ by the order of additions at most.
const RELATIVE: f64 = 1e-11;
/// What cancels out leaves a rest of this size: values reach 2^20 here, and sums of them 2^30.
const ABSOLUTE: f64 = 1e-9;

fn same_number(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= (RELATIVE * a.abs().max(b.abs())).max(ABSOLUTE),
        _ => false,
    }
}

type Samples = Vec<(String, String)>;

fn sample(pair: &Value) -> (String, String) {
    (pair[0].to_string(), pair[1].as_str().unwrap_or("no value").to_owned())
}

/// Series in the order they came in, with their samples.
fn series(result: &Value) -> Vec<(String, Samples)> {
    let Some(list) = result.as_array() else { return Vec::new() };
    if list.first().is_some_and(Value::is_number) {
        return vec![("scalar".to_owned(), vec![sample(result)])];
    }
    list.iter()
        .map(|one| {
            let samples = match one.get("values") {
                Some(values) => values.as_array().into_iter().flatten().map(sample).collect(),
                None => vec![sample(&one["value"])],
            };
            let labels: BTreeMap<&String, &Value> = one["metric"].as_object().into_iter().flatten().collect();
            (format!("{labels:?}"), samples)
        })
        .collect()
}

/// What differs between two answers; `None` if nothing does.
pub(super) fn difference(asked: &Asked, ours: &Value, theirs: &Value) -> Option<String> {
    if ours["status"] != theirs["status"] || ours["errorType"] != theirs["errorType"] {
        return Some(format!("{} instead of {}", outline(ours), outline(theirs)));
    }
    if theirs["status"] != "success" {
        return None;
    }
    if ours["data"]["resultType"] != theirs["data"]["resultType"] {
        return Some(format!("{} instead of {}", ours["data"]["resultType"], theirs["data"]["resultType"]));
    }
    let (mut ours, mut theirs) = (series(&ours["data"]["result"]), series(&theirs["data"]["result"]));
    if !asked.is_ordered() {
        ours.sort();
        theirs.sort();
    }
    let names = |all: &[(String, Samples)]| all.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
    if names(&ours) != names(&theirs) {
        return Some(format!("series {:#?} instead of {:#?}", names(&ours), names(&theirs)));
    }
    for ((labels, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        if ours.len() != theirs.len() {
            return Some(format!(
                "{labels}: {} samples instead of {}: {ours:?} {theirs:?}",
                ours.len(),
                theirs.len()
            ));
        }
        for (a, b) in ours.iter().zip(theirs) {
            if a.0 != b.0 || !same_number(&a.1, &b.1) {
                return Some(format!("{labels}: {a:?} instead of {b:?}"));
            }
        }
    }
    None
}

/// An answer in one line.
fn outline(answer: &Value) -> String {
    let mut text = answer.to_string();
    text.truncate(text.floor_char_boundary(600));
    text
}
