//! The table of functions: names, argument and result types. The parser checks calls against it; the engine
//! implements them.
//!
//! Map: [`FUNCTIONS`] those of Prometheus · [`kymo`] those that Kymo adds.

pub mod kymo;

use crate::ast::ValueType;
use crate::ast::ValueType::{Matrix, Scalar, String, Vector};

/// What a function takes and yields.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments; the last may be optional or repeated, see `variadic`.
    pub args: &'static [ValueType],
    /// 0: exactly `args`. n > 0: the last of `args` may be left out, and up to n arguments of its type be given.
    /// -1: the last may be left out, or repeated any number of times.
    pub variadic: i32,
    /// What it yields.
    pub returns: ValueType,
    /// Whether Prometheus calls it experimental.
    pub experimental: bool,
    /// Whether it is Kymo's own, unknown to Prometheus.
    pub kymo: bool,
    /// Whether its result at a step depends on the other steps of the query.
    pub sees_all_steps: bool,
}

/// The signature of a function; `None` if there is none of that name. Names are in lower case only.
pub fn lookup(name: &str) -> Option<&'static Signature> {
    let find = |table: &'static [Signature]| {
        table.binary_search_by(|signature| signature.name.cmp(name)).ok().and_then(|at| table.get(at))
    };
    find(FUNCTIONS).or_else(|| find(kymo::KYMO_FUNCTIONS))
}

/// All functions, those of Prometheus first.
pub fn all() -> impl Iterator<Item = &'static Signature> {
    FUNCTIONS.iter().chain(kymo::KYMO_FUNCTIONS)
}

const fn of(name: &'static str, args: &'static [ValueType], returns: ValueType) -> Signature {
    Signature { name, args, variadic: 0, returns, experimental: false, kymo: false, sees_all_steps: false }
}

impl Signature {
    const fn variadic(mut self, variadic: i32) -> Self {
        self.variadic = variadic;
        self
    }

    const fn experimental(mut self) -> Self {
        self.experimental = true;
        self
    }

    const fn kymo(mut self) -> Self {
        self.kymo = true;
        self
    }

    const fn all_steps(mut self) -> Self {
        self.sees_all_steps = true;
        self
    }
}

/// All functions of Prometheus, sorted by name.
pub static FUNCTIONS: &[Signature] = &[
    of("abs", &[Vector], Vector),
    of("absent", &[Vector], Vector),
    of("absent_over_time", &[Matrix], Vector),
    of("acos", &[Vector], Vector),
    of("acosh", &[Vector], Vector),
    of("asin", &[Vector], Vector),
    of("asinh", &[Vector], Vector),
    of("atan", &[Vector], Vector),
    of("atanh", &[Vector], Vector),
    of("avg_over_time", &[Matrix], Vector),
    of("ceil", &[Vector], Vector),
    of("changes", &[Matrix], Vector),
    of("clamp", &[Vector, Scalar, Scalar], Vector),
    of("clamp_max", &[Vector, Scalar], Vector),
    of("clamp_min", &[Vector, Scalar], Vector),
    of("cos", &[Vector], Vector),
    of("cosh", &[Vector], Vector),
    of("count_over_time", &[Matrix], Vector),
    of("day_of_month", &[Vector], Vector).variadic(1),
    of("day_of_week", &[Vector], Vector).variadic(1),
    of("day_of_year", &[Vector], Vector).variadic(1),
    of("days_in_month", &[Vector], Vector).variadic(1),
    of("deg", &[Vector], Vector),
    of("delta", &[Matrix], Vector),
    of("deriv", &[Matrix], Vector),
    of("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Vector).experimental(),
    of("end", &[], Scalar).experimental(),
    of("exp", &[Vector], Vector),
    of("first_over_time", &[Matrix], Vector),
    of("floor", &[Vector], Vector),
    of("histogram_avg", &[Vector], Vector),
    of("histogram_count", &[Vector], Vector),
    of("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    of("histogram_quantile", &[Scalar, Vector], Vector),
    of("histogram_quantiles", &[Vector, String, Scalar, Scalar], Vector).variadic(9).experimental(),
    of("histogram_stddev", &[Vector], Vector),
    of("histogram_stdvar", &[Vector], Vector),
    of("histogram_sum", &[Vector], Vector),
    of("hour", &[Vector], Vector).variadic(1),
    of("idelta", &[Matrix], Vector),
    of("increase", &[Matrix], Vector),
    of("info", &[Vector, Vector], Vector).variadic(1).experimental(),
    of("irate", &[Matrix], Vector),
    of("label_join", &[Vector, String, String, String], Vector).variadic(-1),
    of("label_replace", &[Vector, String, String, String, String], Vector),
    of("last_over_time", &[Matrix], Vector),
    of("ln", &[Vector], Vector),
    of("log10", &[Vector], Vector),
    of("log2", &[Vector], Vector),
    of("mad_over_time", &[Matrix], Vector).experimental(),
    of("max_of", &[Scalar, Scalar], Scalar).experimental(),
    of("max_over_time", &[Matrix], Vector),
    of("min_of", &[Scalar, Scalar], Scalar).experimental(),
    of("min_over_time", &[Matrix], Vector),
    of("minute", &[Vector], Vector).variadic(1),
    of("month", &[Vector], Vector).variadic(1),
    of("pi", &[], Scalar),
    of("predict_linear", &[Matrix, Scalar], Vector),
    of("present_over_time", &[Matrix], Vector),
    of("quantile_over_time", &[Scalar, Matrix], Vector),
    of("rad", &[Vector], Vector),
    of("range", &[], Scalar).experimental(),
    of("rate", &[Matrix], Vector),
    of("resets", &[Matrix], Vector),
    of("round", &[Vector, Scalar], Vector).variadic(1),
    of("scalar", &[Vector], Scalar),
    of("sgn", &[Vector], Vector),
    of("sin", &[Vector], Vector),
    of("sinh", &[Vector], Vector),
    of("sort", &[Vector], Vector),
    of("sort_by_label", &[Vector, String], Vector).variadic(-1).experimental(),
    of("sort_by_label_desc", &[Vector, String], Vector).variadic(-1).experimental(),
    of("sort_desc", &[Vector], Vector),
    of("sqrt", &[Vector], Vector),
    of("start", &[], Scalar).experimental(),
    of("start_timestamp", &[Vector], Vector).experimental(),
    of("stddev_over_time", &[Matrix], Vector),
    of("stdvar_over_time", &[Matrix], Vector),
    of("step", &[], Scalar).experimental(),
    of("sum_over_time", &[Matrix], Vector),
    of("tan", &[Vector], Vector),
    of("tanh", &[Vector], Vector),
    of("time", &[], Scalar),
    of("timestamp", &[Vector], Vector),
    of("ts_of_first_over_time", &[Matrix], Vector).experimental(),
    of("ts_of_last_over_time", &[Matrix], Vector).experimental(),
    of("ts_of_max_over_time", &[Matrix], Vector).experimental(),
    of("ts_of_min_over_time", &[Matrix], Vector).experimental(),
    of("vector", &[Scalar], Vector),
    of("year", &[Vector], Vector).variadic(1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_function_is_found() {
        for table in [FUNCTIONS, kymo::KYMO_FUNCTIONS] {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
        }
        for signature in all() {
            assert_eq!(lookup(signature.name), Some(signature));
        }
        assert_eq!(lookup("Rate"), None);
    }

    #[test]
    fn what_may_be_left_out_has_a_type() {
        for signature in all() {
            assert!(signature.variadic == 0 || !signature.args.is_empty(), "{}", signature.name);
        }
    }
}
