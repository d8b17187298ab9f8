//! Notifications as templates see them: `.Alerts.Firing`, `.CommonLabels.SortedPairs.Values`, and so on.

use std::sync::Arc;

use template::{Field, Map, Object, Time, Value, expect_count};

use super::{AlertData, Data, FIRING, Pairs};

/// The value that a notification's templates begin with.
pub(super) fn data(data: &Data) -> Value {
    Value::object(DataObject(data.clone()))
}

#[derive(Debug)]
struct DataObject(Data);

impl Object for DataObject {
    fn type_name(&self) -> &'static str {
        "*template.Data"
    }

    fn fields(&self) -> Vec<Field> {
        let data = &self.0;
        vec![
            Field::new("Receiver", "receiver", data.receiver.as_str()),
            Field::new("Status", "status", data.status),
            Field::new("Alerts", "alerts", alerts(data.alerts.iter().cloned().map(Arc::new).collect())),
            Field::new("GroupLabels", "groupLabels", pairs(&data.group_labels)),
            Field::new("CommonLabels", "commonLabels", pairs(&data.common_labels)),
            Field::new("CommonAnnotations", "commonAnnotations", pairs(&data.common_annotations)),
            Field::new("ExternalURL", "externalURL", data.external_url.as_str()),
        ]
    }
}

fn alerts(alerts: Vec<Arc<AlertData>>) -> Value {
    Value::object(Alerts(alerts))
}

#[derive(Debug)]
struct Alerts(Vec<Arc<AlertData>>);

impl Object for Alerts {
    fn type_name(&self) -> &'static str {
        "template.Alerts"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["Firing", "Resolved"]
    }

    fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        expect_count(method, args, 0)?;
        let firing = method == "Firing";
        let chosen = self.0.iter().filter(|alert| (alert.status == FIRING) == firing);
        Ok(Value::list("[]template.Alert", chosen.cloned().map(alert).collect()))
    }

    fn inner(&self) -> Option<Value> {
        Some(Value::list("[]template.Alert", self.0.iter().cloned().map(alert).collect()))
    }
}

fn alert(alert: Arc<AlertData>) -> Value {
    Value::object(AlertObject(alert))
}

#[derive(Debug)]
struct AlertObject(Arc<AlertData>);

impl Object for AlertObject {
    fn type_name(&self) -> &'static str {
        "template.Alert"
    }

    fn fields(&self) -> Vec<Field> {
        let alert = &self.0;
        let time = |at_ms: Option<i64>| at_ms.map_or_else(Time::zero, Time::from_ms);
        vec![
            Field::new("Status", "status", alert.status),
            Field::new("Labels", "labels", pairs(&alert.labels)),
            Field::new("Annotations", "annotations", pairs(&alert.annotations)),
            Field::new("StartsAt", "startsAt", time(alert.starts_at)),
            Field::new("EndsAt", "endsAt", time(alert.ends_at)),
            Field::new("GeneratorURL", "generatorURL", alert.generator_url.as_str()),
            Field::new("Fingerprint", "fingerprint", alert.fingerprint.as_str()),
        ]
    }
}

fn pairs(pairs: &Pairs) -> Value {
    Value::object(Kv(pairs.clone()))
}

/// Go's `template.KV`.
#[derive(Debug)]
struct Kv(Pairs);

impl Kv {
    /// By name, but the alert's own name first.
    fn sorted(&self) -> SortedPairs {
        let is_name = |name: &str| name == "alertname";
        let first = self.0.iter().filter(|(name, _)| is_name(name));
        let rest = self.0.iter().filter(|(name, _)| !is_name(name));
        SortedPairs(first.chain(rest).map(|(name, value)| (name.clone(), value.clone())).collect())
    }
}

impl Object for Kv {
    fn type_name(&self) -> &'static str {
        "template.KV"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["SortedPairs", "Remove", "Names", "Values"]
    }

    fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        if method == "Remove" {
            expect_count(method, args, 1)?;
            let Some(Value::List(names)) = args.first() else {
                return Err("wrong type for value; expected []string".to_owned());
            };
            let gone = |name: &str| names.items().iter().any(|gone| gone.as_str() == Some(name));
            let kept = self.0.iter().filter(|(name, _)| !gone(name));
            return Ok(pairs(&kept.map(|(name, value)| (name.clone(), value.clone())).collect()));
        }
        expect_count(method, args, 0)?;
        match method {
            "Names" => Ok(self.sorted().names()),
            "Values" => Ok(self.sorted().values()),
            _ => Ok(Value::object(self.sorted())),
        }
    }

    fn inner(&self) -> Option<Value> {
        let entries = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Some(Map::strings(entries).into())
    }

    fn text(&self) -> Option<String> {
        self.sorted().text()
    }
}

/// Go's `template.Pairs`.
#[derive(Debug)]
struct SortedPairs(Vec<(String, String)>);

impl SortedPairs {
    fn names(&self) -> Value {
        Value::strings(self.0.iter().map(|(name, _)| name.as_str()))
    }

    fn values(&self) -> Value {
        Value::strings(self.0.iter().map(|(_, value)| value.as_str()))
    }
}

impl Object for SortedPairs {
    fn type_name(&self) -> &'static str {
        "template.Pairs"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["Names", "Values"]
    }

    fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        expect_count(method, args, 0)?;
        Ok(if method == "Names" { self.names() } else { self.values() })
    }

    fn inner(&self) -> Option<Value> {
        let all = self.0.iter().map(|(name, value)| Value::object(Pair(name.clone(), value.clone())));
        Some(Value::list("[]template.Pair", all.collect()))
    }

    fn text(&self) -> Option<String> {
        let all: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(all.join(", "))
    }
}

#[derive(Debug)]
struct Pair(String, String);

impl Object for Pair {
    fn type_name(&self) -> &'static str {
        "template.Pair"
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("Name", "Name", self.0.as_str()), Field::new("Value", "Value", self.1.as_str())]
    }
}
