//! The functions that a template may call besides the language's own, and what they take.
//!
//! Each function says its parameters as Go's signature would, so that a wrong argument is told in the same words.

use crate::text::Text;
use crate::value::Value;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Anything, nil too.
    Any,
    String,
    Int,
    Float,
    /// A list, map or object whose type has this name.
    Named(&'static str),
}

/// Parameters of a function.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    pub params: &'static [Type],
    /// What further arguments are, if the function takes any number.
    pub rest: Option<Type>,
}

impl Signature {
    /// A function with a fixed number of parameters.
    pub const fn of(params: &'static [Type]) -> Self {
        Self { params, rest: None }
    }

    /// A function with any number of arguments behind the fixed ones.
    pub const fn variadic(params: &'static [Type], rest: Type) -> Self {
        Self { params, rest: Some(rest) }
    }

    pub(crate) fn type_at(&self, at: usize) -> Type {
        self.params.get(at).copied().or(self.rest).unwrap_or(Type::Any)
    }
}

impl Type {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Named(name) => name,
        }
    }

    pub(crate) fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any, _)
            | (Self::String, Value::String(_))
            | (Self::Int, Value::Int(_))
            | (Self::Float, Value::Float(_)) => true,
            (Self::Named(name), value) => {
                // One indirection works in Go, either way.
                let is = value.type_name();
                is == name || is.strip_prefix('*') == Some(name)
            }
            _ => false,
        }
    }

    /// Whether `nil` may stand for it.
    pub(crate) fn takes_nil(self) -> bool {
        match self {
            Self::Any => true,
            Self::Named(name) => name.starts_with(['*', '[']) || name.starts_with("map["),
            Self::String | Self::Int | Self::Float => false,
        }
    }
}

/// Functions for templates. See [`Prometheus`](crate::Prometheus) and [`Alertmanager`](crate::Alertmanager).
pub trait Library {
    /// What a function takes. `None` if there is none of that name: a template that uses it is refused.
    fn signature(&self, name: &str) -> Option<Signature>;

    /// Calls a function of the library with arguments of its signature. The message of an error becomes part of the
    /// template's error.
    ///
    /// # Errors
    /// Whatever the function refuses.
    fn call(&self, name: &str, args: &[Value], room: Room) -> Result<Value, String>;
}

/// How much a function may make; its own limit, so that no argument can make it exceed what the template may.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub bytes_max: usize,
}

impl Room {
    pub(crate) fn text(self) -> Text {
        Text::new(self.bytes_max)
    }
}

/// What a function says that made more than it may.
pub(crate) const TOO_LARGE: &str = "the text grows beyond the limit for templates";

/// What a function says that would nest lists and maps more than they may.
pub(crate) const TOO_DEEP: &str = "lists and maps nest too deeply";

impl Text {
    /// The text as a value, if it all fitted.
    pub(crate) fn into_value(self) -> Result<Value, String> {
        if self.is_full() { Err(TOO_LARGE.to_owned()) } else { Ok(self.into_string().into()) }
    }
}

/// Functions of one library, and those of another where the first has none.
#[derive(Clone, Copy)]
pub struct Extended<'a> {
    pub first: &'a dyn Library,
    pub second: &'a dyn Library,
}

impl Library for Extended<'_> {
    fn signature(&self, name: &str) -> Option<Signature> {
        self.first.signature(name).or_else(|| self.second.signature(name))
    }

    fn call(&self, name: &str, args: &[Value], room: Room) -> Result<Value, String> {
        let library = if self.first.signature(name).is_some() { self.first } else { self.second };
        library.call(name, args, room)
    }
}

/// No functions but the language's own.
#[derive(Debug, Clone, Copy)]
pub struct NoFunctions;

impl Library for NoFunctions {
    fn signature(&self, _: &str) -> Option<Signature> {
        None
    }

    fn call(&self, name: &str, _: &[Value], _: Room) -> Result<Value, String> {
        Err(format!("{name:?} is not a defined function"))
    }
}
