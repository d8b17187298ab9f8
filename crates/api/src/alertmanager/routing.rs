//! The routing tree as the pages draw it, and the way an alert would take through it. Kymo's own.

use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::Response;
use model::Labels;
use notifier::{Receiver, Route, SilenceMatcher};
use serde_json::{Value, json};

use super::{Fault, notifier};
use crate::body::read_body;
use crate::respond::success;
use crate::state::State;

const BODY_BYTES_MAX: usize = 1 << 20;

/// A node with all below it. Spans are seconds.
fn route_json(route: &Route) -> Value {
    let options = &route.options;
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    json!({
        "id": route.index,
        "matchers": route.matchers.iter().map(SilenceMatcher::of).collect::<Vec<_>>(),
        "receiver": &*options.receiver,
        // `null`: by all labels.
        "groupBy": options.group_by,
        "groupWait": seconds(options.group_wait_ms),
        "groupInterval": seconds(options.group_interval_ms),
        "repeatInterval": seconds(options.repeat_interval_ms),
        "muteTimeIntervals": options.mute_time_intervals,
        "activeTimeIntervals": options.active_time_intervals,
        "continue": route.goes_on,
        "routes": route.routes.iter().map(route_json).collect::<Vec<_>>(),
    })
}

fn receiver_json(receiver: &Receiver) -> Value {
    json!({ "name": receiver.name(), "integrations": receiver.kinds().collect::<Vec<_>>() })
}

/// `GET /api/v1/notifications/routes`: the tree in force, and its receivers.
pub(super) async fn tree(Extract(state): Extract<Arc<State>>) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    let receivers: Vec<Value> = notifier.receivers_configured().iter().map(receiver_json).collect();
    let body = json!({ "route": route_json(&notifier.route()), "receivers": receivers }).to_string();
    Ok(success(|out| out.extend_from_slice(body.as_bytes())))
}

/// `POST /api/v1/notifications/route`: the receivers of an alert with the labels of the body, and the nodes at which it ends.
pub(super) async fn way(Extract(state): Extract<Arc<State>>, request: Request) -> Result<Response, Fault> {
    let notifier = notifier(&state)?;
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let labels: std::collections::BTreeMap<String, String> = serde_json::from_slice(&body)
        .map_err(|error| Fault::Bad(format!("the body is no object of texts: {error}")))?;
    if labels.iter().any(|(name, value)| name.is_empty() || value.len() > model::labels::LEN_MAX) {
        return Err(Fault::Bad("a label has no name, or a value that is too long".to_owned()));
    }
    let route = notifier.route();
    let body = way_json(&route, &Labels::from_pairs(labels)).to_string();
    Ok(success(|out| out.extend_from_slice(body.as_bytes())))
}

/// Receivers and nodes at the same places.
fn way_json(route: &Route, labels: &Labels) -> Value {
    let ends = route.find(labels);
    json!({
        "receivers": ends.iter().map(|end| &*end.options.receiver).collect::<Vec<_>>(),
        "routes": ends.iter().map(|end| end.index).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const CONFIG: &str = "\
route:
  receiver: mail
  group_by: [alertname]
  routes:
  - matchers: ['team=\"db\"', 'severity!~\"info|none\"']
    receiver: pager
    group_by: ['...']
    group_wait: 500ms
    repeat_interval: 1h
    mute_time_intervals: [night]
    continue: true
  - matchers: ['team=~\"d.*\"']
    routes:
    - matchers: ['env=\"test\"']
receivers:
- name: mail
- name: pager
  webhook_configs: [{url: 'http://localhost/'}]
time_intervals: [{name: night, time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]}]
";

    fn config() -> notifier::Config {
        notifier::Config::parse(CONFIG.as_bytes(), Path::new("")).expect("a configuration")
    }

    #[test]
    fn the_tree_says_what_counts_at_each_node() {
        let tree = route_json(&config().route);
        assert_eq!(
            (&tree["id"], &tree["matchers"], &tree["continue"]),
            (&json!(0), &json!([]), &json!(false))
        );
        let pager = &tree["routes"][0];
        let want = json!({
            "id": 1,
            "matchers": [
                {"name": "severity", "value": "info|none", "isRegex": true, "isEqual": false},
                {"name": "team", "value": "db", "isRegex": false, "isEqual": true},
            ],
            "receiver": "pager",
            "groupBy": null,
            "groupWait": 0.5,
            "groupInterval": 300.0,
            "repeatInterval": 3600.0,
            "muteTimeIntervals": ["night"],
            "activeTimeIntervals": [],
            "continue": true,
            "routes": [],
        });
        assert_eq!(pager, &want);
        let inner = &tree["routes"][1]["routes"][0];
        assert_eq!(
            (&inner["id"], &inner["receiver"]),
            (&json!(3), &json!("mail")),
            "what it leaves open is inherited"
        );
        assert_eq!(inner["groupBy"], json!(["alertname"]));
        let receivers: Vec<Value> = config().receivers.iter().map(receiver_json).collect();
        let want =
            json!([{"name": "mail", "integrations": []}, {"name": "pager", "integrations": ["webhook"]}]);
        assert_eq!(Value::from(receivers), want);
    }

    #[test]
    fn the_way_of_an_alert_ends_at_nodes_of_the_tree() {
        let check = |pairs: &[(&str, &str)], receivers: &[&str], routes: &[usize]| {
            let way = way_json(&config().route, &Labels::from_pairs(pairs.iter().copied()));
            assert_eq!(way, json!({ "receivers": receivers, "routes": routes }), "{pairs:?}");
        };
        check(&[], &["mail"], &[0]);
        check(&[("team", "db")], &["pager", "mail"], &[1, 2]);
        check(&[("team", "db"), ("env", "test"), ("severity", "info")], &["mail"], &[3]);
    }
}
