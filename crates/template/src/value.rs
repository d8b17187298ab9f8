//! What templates compute with: Go's values as far as templates can tell them apart.
//!
//! Strings are UTF-8; where Go would cut a character in two, U+FFFD stands instead. Lists, maps and objects are
//! shared, so that handing them on costs a counter.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::time::Time;

/// How deep lists and maps may nest, so that printing and dropping them needs a bounded stack.
pub(crate) const NESTING_MAX: u32 = 64;

/// A value of the template language.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// No value: Go's nil, and what a missing key yields.
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Arc<str>),
    /// A string that is safe to write unescaped where its kind says so.
    Safe(Safe, Arc<str>),
    Time(Time),
    /// Nanoseconds, Go's `time.Duration`.
    Duration(i64),
    List(Arc<List>),
    Map(Arc<Map>),
    Object(Arc<dyn Object>),
}

/// What a string was declared to be; see `safeHtml` and `safeUrl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safe {
    Html,
    Url,
}

/// Go's slice. All of its elements are of one type, which the list names.
#[derive(Debug)]
pub struct List {
    items: Vec<Value>,
    type_name: &'static str,
    nesting: u32,
}

/// Go's map with string keys, in the order of the keys.
#[derive(Debug)]
pub struct Map {
    entries: BTreeMap<Arc<str>, Value>,
    of_strings: bool,
    nesting: u32,
}

/// A named part of an [`Object`].
#[derive(Debug, Clone)]
pub struct Field {
    /// As templates write it.
    pub name: &'static str,
    /// As `toJson` writes it.
    pub json_name: &'static str,
    pub value: Value,
}

impl Field {
    /// A field.
    pub fn new(name: &'static str, json_name: &'static str, value: impl Into<Value>) -> Self {
        Self { name, json_name, value: value.into() }
    }
}

/// A value with named fields and methods: Go's struct, or a named type of a list or map.
///
/// A list or map with methods (`KV`, `Alerts`) answers [`inner`](Self::inner); it is indexed, counted, printed and
/// ranged over as that.
pub trait Object: fmt::Debug + Send + Sync {
    /// Go's name of the type, as errors say it: `*template.Data`.
    fn type_name(&self) -> &'static str;

    /// The fields, in the order in which they are printed.
    fn fields(&self) -> Vec<Field> {
        Vec::new()
    }

    /// One field; override it where making all of them costs.
    fn field(&self, name: &str) -> Option<Value> {
        self.fields().into_iter().find(|field| field.name == name).map(|field| field.value)
    }

    /// The names of its methods. They go before fields and keys of the same name.
    fn methods(&self) -> &'static [&'static str] {
        &[]
    }

    /// Calls one of its [`methods`](Self::methods), which checks the number and types of its arguments
    /// (see [`expect_count`]).
    ///
    /// # Errors
    /// What the template's error ends with.
    fn call(&self, method: &str, args: &[Value]) -> Result<Value, String> {
        let _ = args;
        Err(format!("{} has no method {method}", self.type_name()))
    }

    /// The list or map that this is under its name.
    fn inner(&self) -> Option<Value> {
        None
    }

    /// What Go's `String` method would say, if the type has one.
    fn text(&self) -> Option<String> {
        None
    }
}

/// Refuses a method call with another number of arguments, in Go's words.
///
/// # Errors
/// The message.
pub fn expect_count(method: &str, args: &[Value], count: usize) -> Result<(), String> {
    if args.len() == count {
        Ok(())
    } else {
        Err(format!("wrong number of args for {method}: want {count} got {}", args.len()))
    }
}

impl List {
    /// A list of `items`, of a type with Go's name `type_name` (`[]string`, `[]interface {}`).
    pub fn new(type_name: &'static str, items: Vec<Value>) -> Self {
        let nesting = items.iter().map(Value::nesting).max().unwrap_or(0).saturating_add(1);
        Self { items, type_name, nesting }
    }

    /// The elements.
    pub fn items(&self) -> &[Value] {
        &self.items
    }

    /// Go's name of its type.
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl Map {
    /// Go's `map[string]string`.
    pub fn strings<K: Into<Arc<str>>, V: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries =
            entries.into_iter().map(|(key, value)| (key.into(), Value::String(value.into()))).collect();
        Self { entries, of_strings: true, nesting: 1 }
    }

    /// Go's `map[string]any`.
    pub fn any<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let nesting = entries.values().map(Value::nesting).max().unwrap_or(0).saturating_add(1);
        Self { entries, of_strings: false, nesting }
    }

    /// The entries, in the order of their keys.
    pub fn entries(&self) -> &BTreeMap<Arc<str>, Value> {
        &self.entries
    }

    /// What a key that is not there yields: the zero value of the map's type.
    pub(crate) fn missing(&self) -> Value {
        if self.of_strings { Value::String(Arc::from("")) } else { Value::Nil }
    }

    pub(crate) fn holds_any(&self) -> bool {
        !self.of_strings
    }
}

impl Value {
    /// A list of strings: Go's `[]string`.
    pub fn strings<S: Into<Arc<str>>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::list("[]string", items.into_iter().map(|item| Self::String(item.into())).collect())
    }

    /// A list with Go's name of its type.
    pub fn list(type_name: &'static str, items: Vec<Self>) -> Self {
        Self::List(Arc::new(List::new(type_name, items)))
    }

    /// An object.
    pub fn object(object: impl Object + 'static) -> Self {
        Self::Object(Arc::new(object))
    }

    /// The text of a string, safe or not.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Safe(_, text) => Some(text),
            _ => None,
        }
    }

    /// Go's name of the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "interface {}",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Safe(Safe::Html, _) => "template.HTML",
            Self::Safe(Safe::Url, _) => "template.URL",
            Self::Time(_) => "time.Time",
            Self::Duration(_) => "time.Duration",
            Self::List(list) => list.type_name,
            Self::Map(map) if map.of_strings => "map[string]string",
            Self::Map(_) => "map[string]interface {}",
            Self::Object(object) => object.type_name(),
        }
    }

    /// Whether `if` and `with` take it: not the zero value of its type.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Duration(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::String(text) | Self::Safe(_, text) => !text.is_empty(),
            Self::Time(_) => true,
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Object(object) => object.inner().is_none_or(|inner| inner.is_true()),
        }
    }

    /// What it is without its name: the list or map of an object that is one.
    pub(crate) fn bare(&self) -> Self {
        match self {
            Self::Object(object) => object.inner().unwrap_or_else(|| self.clone()),
            _ => self.clone(),
        }
    }

    pub(crate) fn nesting(&self) -> u32 {
        match self {
            Self::List(list) => list.nesting,
            Self::Map(map) => map.nesting,
            Self::Object(_) => 1,
            _ => 0,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(Arc::from(text))
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::String(text)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Self::List(Arc::new(list))
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Time(time)
    }
}
