//! Templates of alerts: Prometheus' functions, what it gives them for data, and its words for what fails.

use std::fmt;
use std::sync::Arc;

use model::Labels;

use crate::error::Error;
use crate::library::{Library, Room, Signature, Type};
use crate::templates::{Limits, Templates};
use crate::value::{Field, Map, Object, Value};
use crate::{escape, format, humanize, network, strings};

const SAMPLE: &str = "*template.sample";
const SAMPLES: &str = "template.queryResult";

/// What every template of an alert begins with, so that `$labels` and `$value` are known.
const PREAMBLE: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
    {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// A value that a template sees for a sample: a float, or a histogram as its text.
#[derive(Debug, Clone)]
pub enum SampleValue {
    Float(f64),
    /// A native histogram, as PromQL writes it.
    Histogram(Arc<str>),
}

/// One element of what a query yields.
#[derive(Debug, Clone)]
pub struct Sample {
    /// With the metric name as `__name__`.
    pub labels: Labels,
    pub value: SampleValue,
}

/// Prometheus' functions. Cheap to make: one for each evaluation of a rule.
#[derive(Clone, Copy)]
pub struct Prometheus<'a> {
    /// Evaluates an expression at the time of the rule's evaluation; a range vector is an error.
    pub query: &'a dyn Fn(&str) -> Result<Vec<Sample>, String>,
    /// Where the server is reached from outside, without a slash at the end.
    pub external_url: &'a str,
    /// The time of the evaluation.
    pub now_ms: i64,
}

impl fmt::Debug for Prometheus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus")
            .field("external_url", &self.external_url)
            .field("now_ms", &self.now_ms)
            .finish()
    }
}

/// All functions but `tmpl`, which no alert can use.
#[cfg(test)]
pub(crate) const FUNCTIONS: &[&str] = &[
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "sortByLabel",
    "args",
    "reReplaceAll",
    "match",
    "title",
    "toUpper",
    "toLower",
    "safeHtml",
    "graphLink",
    "tableLink",
    "stripPort",
    "stripDomain",
    "parseDuration",
    "urlQueryEscape",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "toDuration",
    "now",
    "pathPrefix",
    "externalURL",
];

fn signature(name: &str) -> Option<Signature> {
    const TEXT: Signature = Signature::of(&[Type::String]);
    const ANY: Signature = Signature::of(&[Type::Any]);
    const ONE_SAMPLE: Signature = Signature::of(&[Type::Named(SAMPLE)]);
    Some(match name {
        "query" | "title" | "toUpper" | "toLower" | "safeHtml" | "graphLink" | "tableLink" | "stripPort"
        | "stripDomain" | "parseDuration" | "urlQueryEscape" => TEXT,
        "first" => Signature::of(&[Type::Named(SAMPLES)]),
        "label" => Signature::of(&[Type::String, Type::Named(SAMPLE)]),
        "value" | "strvalue" => ONE_SAMPLE,
        "args" => Signature::variadic(&[], Type::Any),
        "reReplaceAll" => Signature::of(&[Type::String, Type::String, Type::String]),
        "match" => Signature::of(&[Type::String, Type::String]),
        "sortByLabel" => Signature::of(&[Type::String, Type::Named(SAMPLES)]),
        "humanize" | "humanize1024" | "humanizeDuration" | "humanizePercentage" | "humanizeTimestamp"
        | "toTime" | "toDuration" => ANY,
        "now" | "pathPrefix" | "externalURL" => Signature::of(&[]),
        "tmpl" => Signature::of(&[Type::String, Type::Any]),
        _ => return None,
    })
}

impl Library for Prometheus<'_> {
    fn signature(&self, name: &str) -> Option<Signature> {
        signature(name)
    }

    fn call(&self, name: &str, args: &[Value], room: Room) -> Result<Value, String> {
        let text = |at: usize| args.get(at).and_then(Value::as_str).unwrap_or_default();
        let float = || humanize::to_float(&args[0]);
        Ok(match name {
            "query" => {
                let samples = (self.query)(text(0))?;
                Value::list(SAMPLES, samples.into_iter().map(Value::object).collect())
            }
            "first" => match items(&args[0]).first() {
                Some(sample) => sample.clone(),
                None => return Err("first() called on vector with no elements".to_owned()),
            },
            "label" => label(&args[1], text(0))?,
            "strvalue" => label(&args[0], "__value__")?,
            "value" => field(&args[0], "Value")?,
            "args" => {
                let named = args.iter().enumerate().map(|(at, arg)| (format!("arg{at}"), arg.clone()));
                Value::from(Map::any(named))
            }
            "reReplaceAll" => strings::replace_all(text(0), text(1), text(2), room)?,
            "match" => strings::matches(text(0), text(1))?,
            "safeHtml" => Value::Safe(crate::value::Safe::Html, text(0).into()),
            "title" => Value::from(strings::title(text(0), true)),
            "toUpper" => Value::from(text(0).to_uppercase()),
            "toLower" => Value::from(text(0).to_lowercase()),
            "graphLink" => link(text(0), 0, room)?,
            "tableLink" => link(text(0), 1, room)?,
            "sortByLabel" => sorted(text(0), &args[1])?,
            "stripPort" => Value::from(network::strip_port(text(0))),
            "stripDomain" => Value::from(network::strip_domain(text(0))),
            "humanize" => Value::from(humanize::humanize(float()?)),
            "humanize1024" => Value::from(humanize::humanize_1024(float()?)),
            "humanizeDuration" => Value::from(humanize::duration(float()?)),
            "humanizePercentage" => Value::from(humanize::percentage(float()?)),
            "humanizeTimestamp" => Value::from(humanize::timestamp(float()?)?),
            "toTime" => match humanize::to_time(float()?)? {
                Some(time) => Value::Time(time),
                None => return Err("value is NaN or Inf".to_owned()),
            },
            "toDuration" => Value::Duration(to_duration(float()?)?),
            "now" => Value::Float(self.now_ms as f64 / 1000.0),
            "pathPrefix" => Value::from(network::path_of(self.external_url)),
            "externalURL" => Value::from(self.external_url),
            "parseDuration" => {
                let ms = model::time::parse_duration_ms(text(0)).map_err(|error| error.to_string())?;
                Value::Float(ms as f64 / 1000.0)
            }
            "urlQueryEscape" => {
                let mut out = room.text();
                escape::query(&mut out, text(0));
                out.into_value()?
            }
            _ => return Err(format!("{} is not a defined function", format::quote(name))),
        })
    }
}

fn items(samples: &Value) -> &[Value] {
    if let Value::List(list) = samples { list.items() } else { &[] }
}

fn field(sample: &Value, name: &str) -> Result<Value, String> {
    match sample {
        Value::Object(object) => Ok(object.field(name).unwrap_or_default()),
        // What Go says of a nil pointer.
        _ => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
    }
}

fn label(sample: &Value, name: &str) -> Result<Value, String> {
    let labels = field(sample, "Labels")?;
    let Value::Map(labels) = &labels else { return Ok(Value::from("")) };
    Ok(labels.entries().get(name).cloned().unwrap_or_else(|| Value::from("")))
}

fn sorted(name: &str, samples: &Value) -> Result<Value, String> {
    let mut keyed = Vec::new();
    for sample in items(samples) {
        keyed.push((label(sample, name)?.as_str().unwrap_or_default().to_owned(), sample.clone()));
    }
    keyed.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(Value::list(SAMPLES, keyed.into_iter().map(|(_, sample)| sample).collect()))
}

fn link(expression: &str, tab: u8, room: Room) -> Result<Value, String> {
    let mut out = room.text();
    out.push_str("/graph?g0.expr=");
    escape::query(&mut out, expression);
    out.push_str(&format!("&g0.tab={tab}"));
    out.into_value()
}

fn to_duration(seconds: f64) -> Result<i64, String> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let ns = seconds * 1e9;
    if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
        let shown = format::plain(&Value::Float(seconds), 64);
        return Err(format!(
            "{shown} cannot be represented as a nanoseconds duration since it overflows int64"
        ));
    }
    Ok(ns as i64)
}

impl From<&SampleValue> for Value {
    fn from(value: &SampleValue) -> Self {
        match value {
            SampleValue::Float(value) => Self::Float(*value),
            SampleValue::Histogram(text) => Self::object(Histogram(text.clone())),
        }
    }
}

/// A native histogram: templates can only show it.
#[derive(Debug)]
struct Histogram(Arc<str>);

impl Object for Histogram {
    fn type_name(&self) -> &'static str {
        "*histogram.FloatHistogram"
    }

    fn text(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl Object for Sample {
    fn type_name(&self) -> &'static str {
        SAMPLE
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("Labels", "Labels", Map::strings(self.labels.iter())),
            Field::new("Value", "Value", Value::from(&self.value)),
        ]
    }
}

/// What an alert's template sees as dot; also as `$labels`, `$externalLabels`, `$externalURL` and `$value`.
#[derive(Debug, Clone)]
pub struct AlertData<'a> {
    /// Labels of the series that made the alert.
    pub labels: &'a Labels,
    pub external_labels: &'a Labels,
    pub external_url: &'a str,
    pub value: SampleValue,
}

impl AlertData<'_> {
    fn to_value(&self) -> Value {
        Value::object(Alert {
            labels: Value::from(Map::strings(self.labels.iter())),
            external_labels: Value::from(Map::strings(self.external_labels.iter())),
            external_url: Value::from(self.external_url),
            value: Value::from(&self.value),
        })
    }
}

#[derive(Debug)]
struct Alert {
    labels: Value,
    external_labels: Value,
    external_url: Value,
    value: Value,
}

impl Object for Alert {
    fn type_name(&self) -> &'static str {
        "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("Labels", "Labels", self.labels.clone()),
            Field::new("ExternalLabels", "ExternalLabels", self.external_labels.clone()),
            Field::new("ExternalURL", "ExternalURL", self.external_url.clone()),
            Field::new("Value", "Value", self.value.clone()),
        ]
    }
}

/// A label or annotation of an alerting rule, read once and expanded for each alert.
#[derive(Debug, Clone)]
pub struct AlertTemplate {
    name: String,
    /// The text itself if it has no actions; most have none.
    literal: Option<String>,
    templates: Templates,
}

impl AlertTemplate {
    /// Reads a template. `name` is what errors call it; Prometheus names it `__alert_` and the alert's name.
    ///
    /// # Errors
    /// If the text is no template: the rule is refused.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        if !text.contains("{{") {
            let literal = Some(text.to_owned());
            return Ok(Self { name: name.to_owned(), literal, templates: Templates::default() });
        }
        let mut templates = Templates::new(Limits { steps_max: 1_000_000, bytes_max: 1 << 20 });
        templates.add(name, &format!("{PREAMBLE}{text}"), &Names)?;
        Ok(Self { name: name.to_owned(), literal: None, templates })
    }

    /// The text for one alert. Where it fails, Prometheus puts `<error expanding template: …>` with this error instead.
    ///
    /// # Errors
    /// If the template fails with this data.
    pub fn expand(&self, data: &AlertData<'_>, functions: &Prometheus<'_>) -> Result<String, Error> {
        if let Some(literal) = &self.literal {
            return Ok(literal.clone());
        }
        self.templates
            .text(&self.name, &data.to_value(), functions)
            .map_err(|error| error.within(&format!("error executing template {}", self.name)))
    }
}

/// The names of the functions, for reading a template when there is nothing to ask yet.
struct Names;

impl Library for Names {
    fn signature(&self, name: &str) -> Option<Signature> {
        // `tmpl` is known to pages only: an alert has no other templates to call.
        if name == "tmpl" { None } else { signature(name) }
    }

    fn call(&self, name: &str, _: &[Value], _: Room) -> Result<Value, String> {
        Err(format!("{} is not a defined function", format::quote(name)))
    }
}
