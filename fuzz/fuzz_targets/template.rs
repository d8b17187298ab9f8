//! Templates: any text is refused, or expanded within its bounds, as text and as HTML; and never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Labels;
use template::{
    AlertData, AlertTemplate, Alertmanager, Limits, List, Map, Prometheus, Sample, SampleValue, Templates,
    Time, Value,
};

fuzz_target!(|text: &str| {
    if text.len() > 4096 {
        return;
    }
    let limits = Limits { steps_max: 10_000, bytes_max: 100_000 };
    let labels = Map::strings([("alertname", "Down"), ("instance", "<h>:1")]);
    let alerts =
        List::new("[]interface {}", vec![Value::from(labels), Value::Time(Time::from_ms(1_435_065_584_128))]);
    let data = Value::from(Map::any([("Alerts", Value::from(alerts)), ("Status", Value::from("firing"))]));
    let functions = Alertmanager { now_ms: 1_767_323_045_000 };
    let templates = Templates::new(limits);
    for result in
        [templates.expand_text(text, &data, &functions), templates.expand_html(text, &data, &functions)]
    {
        match result {
            Ok(out) => assert!(out.len() <= limits.bytes_max),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let labels = Labels::from_pairs([("instance", "h:1"), ("job", "node")]);
    let query = |_: &str| Ok(vec![Sample { labels: labels.clone(), value: SampleValue::Float(0.5) }]);
    let external_url = "http://kymo/x";
    let data =
        AlertData { labels: &labels, external_labels: &labels, external_url, value: SampleValue::Float(1e9) };
    if let Ok(template) = AlertTemplate::parse("t", text) {
        let _refused_or_not = template.expand(&data, &Prometheus { query: &query, external_url, now_ms: 0 });
    }
});
