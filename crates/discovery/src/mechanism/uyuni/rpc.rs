//! XML-RPC: a call in, a value out.

use std::collections::BTreeMap;

use http_client::header::{CONTENT_TYPE, HeaderValue};
use http_client::{Method, Request};
use serde::Deserialize;

use crate::fetch::{Api, Fault, parse_url};

/// Deeper values are refused: reading them takes stack.
const DEPTH_MAX: usize = 32;

/// What may stand in a call or an answer. Flags are numbers, floats and dates texts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nothing,
    Int(i64),
    Text(String),
    List(Vec<Value>),
    Struct(BTreeMap<String, Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Value {
    /// A member; nothing if it is absent.
    pub(super) fn get(&self, name: &str) -> &Value {
        match self {
            Self::Struct(members) => members.get(name).unwrap_or(&Self::Nothing),
            _ => &Self::Nothing,
        }
    }

    pub(super) fn items(&self) -> &[Value] {
        if let Self::List(items) = self { items } else { &[] }
    }

    pub(super) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    pub(super) fn int(&self) -> i64 {
        if let Self::Int(number) = self { *number } else { 0 }
    }

    fn write(&self, out: &mut String) {
        out.push_str("<value>");
        match self {
            Self::Nothing => out.push_str("<nil/>"),
            Self::Int(number) => out.push_str(&format!("<int>{number}</int>")),
            Self::Text(text) => {
                out.push_str(&format!("<string>{}</string>", quick_xml::escape::escape(text.as_str())));
            }
            Self::List(items) => {
                out.push_str("<array><data>");
                items.iter().for_each(|item| item.write(out));
                out.push_str("</data></array>");
            }
            Self::Struct(members) => {
                out.push_str("<struct>");
                for (name, value) in members {
                    out.push_str(&format!(
                        "<member><name>{}</name>",
                        quick_xml::escape::escape(name.as_str())
                    ));
                    value.write(out);
                    out.push_str("</member>");
                }
                out.push_str("</struct>");
            }
        }
        out.push_str("</value>");
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answered {
    params: Params,
    fault: Option<Holder>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Params {
    param: Vec<Holder>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Holder {
    value: Written,
}

/// A value as it is written: one of these, or a text alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    i4: Option<i64>,
    i8: Option<i64>,
    int: Option<i64>,
    boolean: Option<i64>,
    string: Option<String>,
    double: Option<String>,
    #[serde(rename = "dateTime.iso8601")]
    date: Option<String>,
    array: Option<Box<Array>>,
    #[serde(rename = "struct")]
    members: Option<Box<Members>>,
    #[serde(rename = "$text")]
    bare: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Array {
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    value: Vec<Written>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Members {
    member: Vec<Member>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Member {
    name: String,
    value: Written,
}

impl From<Written> for Value {
    fn from(written: Written) -> Self {
        let number = written.int.or(written.i4).or(written.i8).or(written.boolean);
        if let Some(number) = number {
            return Self::Int(number);
        }
        if let Some(array) = written.array {
            return Self::List(array.data.value.into_iter().map(Self::from).collect());
        }
        if let Some(members) = written.members {
            let members = members.member.into_iter().map(|member| (member.name, member.value.into()));
            return Self::Struct(members.collect());
        }
        written.string.or(written.double).or(written.date).or(written.bare).map_or(Self::Nothing, Self::Text)
    }
}

/// How deep elements are nested.
fn depth(text: &str) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for (at, _) in text.match_indices("value>") {
        if text[..at].ends_with("</") {
            now = now.saturating_sub(1);
        } else if text[..at].ends_with('<') {
            now += 1;
            most = most.max(now);
        }
    }
    most
}

/// Calls a method.
pub(super) async fn call(api: &Api, url: &str, method: &str, arguments: &[Value]) -> Result<Value, Fault> {
    let mut body = format!("<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params>");
    for argument in arguments {
        body.push_str("<param>");
        argument.write(&mut body);
        body.push_str("</param>");
    }
    body.push_str("</params></methodCall>");
    let mut request = Request::new(Method::POST, parse_url(url)?);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    *request.body_mut() = Some(body.into());
    let answer = api.send(request).await?;
    if depth(&String::from_utf8_lossy(&answer.body)) > DEPTH_MAX {
        return Err(answer.syntax(format!("values are nested deeper than {DEPTH_MAX}")));
    }
    let answered: Answered = answer.xml()?;
    if let Some(fault) = answered.fault {
        let fault = Value::from(fault.value);
        return Err(Fault::Other(format!("{method}: {}", fault.get("faultString").text())));
    }
    let first = answered.params.param.into_iter().next();
    first.map(|holder| holder.value.into()).ok_or_else(|| answer.syntax("there is no value".to_owned()))
}
