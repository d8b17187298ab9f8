//! The examples of `docs/user/templates.md` are run.

use model::Labels;

use crate::{AlertData, AlertTemplate, Alertmanager, Prometheus, Sample, SampleValue, Templates, Value};

const PAGE: &str = include_str!("../../../docs/user/templates.md");
const NOW_MS: i64 = 1_767_323_045_000;

fn alert(text: &str) -> String {
    let labels = Labels::from_pairs([("instance", "host-1.example.com:9100"), ("job", "node")]);
    let query = |query: &str| {
        if query != "up" {
            return Err(format!("no answer to {query}"));
        }
        let sample = |instance, value| Sample {
            labels: Labels::from_pairs([("__name__", "up"), ("instance", instance)]),
            value: SampleValue::Float(value),
        };
        Ok(vec![sample("b", 1.0), sample("a", 0.0)])
    };
    let external_url = "http://kymo.example/kymo";
    let data = AlertData {
        labels: &labels,
        external_labels: &Labels::empty(),
        external_url,
        value: SampleValue::Float(0.25),
    };
    let functions = Prometheus { query: &query, external_url, now_ms: NOW_MS };
    let template = AlertTemplate::parse("__alert_Example", text).expect("a template");
    template.expand(&data, &functions).unwrap_or_else(|error| error.to_string())
}

fn notification(text: &str) -> String {
    let functions = Alertmanager { now_ms: NOW_MS };
    Templates::default().expand_text(text, &Value::Nil, &functions).unwrap_or_else(|error| error.to_string())
}

#[test]
fn every_example_of_the_page_gives_what_it_says() {
    let mut expand: fn(&str) -> String = alert;
    let mut count = 0;
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            expand = if title == "Functions of notifications" { notification } else { alert };
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        let ([_, example, gives], true) = (&cells[..], line.contains("{{")) else { continue };
        let code = |cell: &str| {
            let cell = cell.trim_end_matches(" |");
            cell.strip_prefix('`')
                .and_then(|cell| cell.strip_suffix('`'))
                .map(|cell| cell.replace("\\|", "|"))
        };
        let (example, gives) =
            (code(example).expect("an example in code"), code(gives).expect("a result in code"));
        assert_eq!(expand(&example).replace('\n', "⏎"), gives, "{example}");
        count += 1;
    }
    assert!(count > 50, "only {count} examples");
}

#[test]
fn every_function_is_on_the_page() {
    for name in crate::prometheus::FUNCTIONS.iter().chain(crate::alertmanager::FUNCTIONS) {
        assert!(PAGE.contains(&format!("`{name}`")), "{name} is not in docs/user/templates.md");
    }
}
