//! The table of functions: names, argument and result types. The parser checks calls against it; the engine
//! implements them.

use crate::ast::ValueType;

/// What a function takes and yields.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments; the last may be optional or repeated, see `variadic`.
    pub args: &'static [ValueType],
    /// 0: exactly `args`. n > 0: up to n of the last arguments may be left out or, as Prometheus counts,
    /// added. -1: the last may be repeated any number of times, or left out.
    pub variadic: i32,
    /// What it yields.
    pub returns: ValueType,
    /// Whether Prometheus calls it experimental.
    pub experimental: bool,
}
