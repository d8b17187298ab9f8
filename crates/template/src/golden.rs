//! Hundreds of templates with what Go makes of them: its output, or its error.
//!
//! The answers in `tests/golden/*.tsv` are those of Go 1.27's `text/template` and `html/template`, written by
//! `tests/golden/oracle.go`; the data below is that program's.

use std::sync::Arc;

use crate::{
    Alertmanager, Extended, Field, Library, Map, Object, Room, Signature, Templates, Time, Value,
    expect_count,
};

#[derive(Debug)]
struct Kv(Vec<(&'static str, &'static str)>);

impl Kv {
    fn names(&self) -> Vec<&'static str> {
        ["alertname", "instance", "job"]
            .into_iter()
            .filter(|name| self.0.iter().any(|(key, _)| key == name))
            .collect()
    }
}

impl Object for Kv {
    fn type_name(&self) -> &'static str {
        "main.KV"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["Names", "Remove", "String"]
    }

    fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        expect_count(method, args, usize::from(method == "Remove"))?;
        match (method, args) {
            ("Names", _) => Ok(Value::strings(self.names())),
            ("Remove", [Value::List(keys)]) => {
                let gone = |name: &str| keys.items().iter().any(|key| key.as_str() == Some(name));
                Ok(Value::object(Self(self.0.iter().copied().filter(|(name, _)| !gone(name)).collect())))
            }
            _ => Ok(Value::from(self.text().unwrap_or_default())),
        }
    }

    fn inner(&self) -> Option<Value> {
        Some(Value::from(Map::strings(self.0.iter().copied())))
    }

    fn text(&self) -> Option<String> {
        Some(format!("KV({})", self.names().join(",")))
    }
}

#[derive(Debug, Clone)]
struct Alert {
    status: &'static str,
    labels: Value,
    starts_at: Time,
    value: f64,
}

impl Object for Alert {
    fn type_name(&self) -> &'static str {
        "main.Alert"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("Status", "status", self.status),
            Field::new("Labels", "labels", self.labels.clone()),
            Field::new("StartsAt", "startsAt", self.starts_at.clone()),
            Field::new("Value", "value", self.value),
        ]
    }
}

#[derive(Debug)]
struct Alerts(Vec<Alert>);

impl Object for Alerts {
    fn type_name(&self) -> &'static str {
        "main.Alerts"
    }

    fn methods(&self) -> &'static [&'static str] {
        &["Firing"]
    }

    fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        expect_count(method, args, 0)?;
        let firing = self.0.iter().filter(|alert| alert.status == "firing").cloned().map(Value::object);
        Ok(Value::list("[]main.Alert", firing.collect()))
    }

    fn inner(&self) -> Option<Value> {
        Some(Value::list("main.Alerts", self.0.iter().cloned().map(Value::object).collect()))
    }
}

#[derive(Debug)]
struct Data(Vec<Field>);

impl Object for Data {
    fn type_name(&self) -> &'static str {
        "*main.Data"
    }

    fn fields(&self) -> Vec<Field> {
        self.0.clone()
    }
}

fn data() -> Value {
    let at = Time::from_ms(1_435_065_584_128);
    let later = Time::from_ms(1_435_065_584_128 + 90 * 60_000);
    let labels = Value::object(Kv(vec![("alertname", "Down"), ("instance", "host-1:9090"), ("job", "node")]));
    let other = Value::object(Kv(vec![("alertname", "Up"), ("job", "db")]));
    let alerts = Alerts(vec![
        Alert { status: "firing", labels: labels.clone(), starts_at: at, value: 1.5 },
        Alert { status: "resolved", labels: other, starts_at: later, value: 0.0 },
    ]);
    let any = Map::any([
        ("x", Value::Int(1)),
        ("s", Value::from("t")),
        ("nil", Value::Nil),
        ("l", Value::list("[]interface {}", vec![Value::Int(1), Value::from("two")])),
    ]);
    Value::Object(Arc::new(Data(vec![
        Field::new("Receiver", "receiver", "team-x"),
        Field::new("Alerts", "alerts", Value::object(alerts)),
        Field::new("Labels", "labels", labels),
        Field::new("Plain", "plain", Map::strings([("b", "2"), ("a", "1")])),
        Field::new("Any", "any", any),
        Field::new("Empty", "empty", Value::strings(Vec::<&str>::new())),
        Field::new("List", "list", Value::strings(["a", "b", "c"])),
        Field::new("Ints", "ints", Value::list("[]int", [3, 1, 2].map(Value::Int).to_vec())),
        Field::new("Int", "int", 42),
        Field::new("Float", "float", 3.25),
        Field::new("Yes", "yes", true),
        Field::new("Text", "text", "Hello, \"wörld\"\n"),
        Field::new("Evil", "evil", "<a href=\"x\">O'Reilly & co+</a>"),
        Field::new("Wait", "wait", Value::Duration(5_430_005_000_000)),
    ])))
}

/// The oracle knows no other functions than these.
struct Known;

impl Library for Known {
    fn signature(&self, name: &str) -> Option<Signature> {
        let known = [
            "toUpper",
            "join",
            "match",
            "trimSpace",
            "stringSlice",
            "safeHtml",
            "safeUrl",
            "urlUnescape",
            "reReplaceAll",
            "date",
            "tz",
            "mustToDate",
            "toJson",
            "list",
            "append",
            "dict",
        ];
        known.contains(&name).then(|| Alertmanager { now_ms: 0 }.signature(name))?
    }

    fn call(&self, name: &str, args: &[Value], room: Room) -> Result<Value, String> {
        Alertmanager { now_ms: 0 }.call(name, args, room)
    }
}

fn answer(text: &str, html: bool) -> String {
    let library = Extended { first: &Known, second: &crate::NoFunctions };
    let mut templates = Templates::default();
    let result = templates.add("t", text, &library).and_then(|()| {
        if html { templates.html("t", &data(), &library) } else { templates.text("t", &data(), &library) }
    });
    result.unwrap_or_else(|error| format!("error: {error}"))
}

fn check_file(golden: &str, html: bool) {
    let mut wrong = String::new();
    let mut count = 0;
    for line in golden.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (text, expected) = line.split_once('\t').expect("a template, a tab, an answer");
        let text = crate::literal::unquote(text).expect("a quoted template");
        let expected = crate::literal::unquote(expected).expect("a quoted answer");
        let answered = answer(&text, html);
        if answered != expected {
            wrong.push_str(&format!("{text:?}\n  Go:   {expected:?}\n  ours: {answered:?}\n"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 30, "only {count} templates");
}

#[test]
fn the_language_is_gos_to_the_letter() {
    check_file(include_str!("../tests/golden/language.tsv"), false);
}

#[test]
fn html_is_escaped_as_go_does() {
    check_file(include_str!("../tests/golden/html.tsv"), true);
}
