//! Kymo's own functions. Names and meanings are those of MetricsQL where it has them; none of them is a function of
//! Prometheus, so that no query of Prometheus changes its meaning.

use super::{Signature, of};
use crate::ast::ValueType::{Matrix, Scalar, String, Vector};

/// All of Kymo's functions, sorted by name.
pub static KYMO_FUNCTIONS: &[Signature] = &[
    of("count_eq_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("count_ge_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("count_gt_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("count_le_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("count_lt_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("count_ne_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("distinct_over_time", &[Matrix], Vector).kymo(),
    of("increase_exact", &[Matrix], Vector).kymo(),
    of("interpolate", &[Vector], Vector).kymo().all_steps(),
    of("keep_last_value", &[Vector], Vector).kymo().all_steps(),
    of("keep_next_value", &[Vector], Vector).kymo().all_steps(),
    of("label_map", &[Vector, String, String, String], Vector).kymo().variadic(-1),
    of("label_set", &[Vector, String, String], Vector).kymo().variadic(-1),
    of("lag", &[Matrix], Vector).kymo(),
    of("median_over_time", &[Matrix], Vector).kymo(),
    of("mode_over_time", &[Matrix], Vector).kymo(),
    of("range_avg", &[Vector], Vector).kymo().all_steps(),
    of("range_first", &[Vector], Vector).kymo().all_steps(),
    of("range_last", &[Vector], Vector).kymo().all_steps(),
    of("range_linear_regression", &[Vector], Vector).kymo().all_steps(),
    of("range_mad", &[Vector], Vector).kymo().all_steps(),
    of("range_max", &[Vector], Vector).kymo().all_steps(),
    of("range_median", &[Vector], Vector).kymo().all_steps(),
    of("range_min", &[Vector], Vector).kymo().all_steps(),
    of("range_normalize", &[Vector], Vector).kymo().all_steps(),
    of("range_quantile", &[Scalar, Vector], Vector).kymo().all_steps(),
    of("range_stddev", &[Vector], Vector).kymo().all_steps(),
    of("range_stdvar", &[Vector], Vector).kymo().all_steps(),
    of("range_sum", &[Vector], Vector).kymo().all_steps(),
    of("range_trim_outliers", &[Scalar, Vector], Vector).kymo().all_steps(),
    of("range_trim_spikes", &[Scalar, Vector], Vector).kymo().all_steps(),
    of("range_trim_zscore", &[Scalar, Vector], Vector).kymo().all_steps(),
    of("range_zscore", &[Vector], Vector).kymo().all_steps(),
    of("rate_exact", &[Matrix], Vector).kymo(),
    of("running_avg", &[Vector], Vector).kymo().all_steps(),
    of("running_max", &[Vector], Vector).kymo().all_steps(),
    of("running_min", &[Vector], Vector).kymo().all_steps(),
    of("running_sum", &[Vector], Vector).kymo().all_steps(),
    of("share_eq_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("share_ge_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("share_gt_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("share_le_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("share_lt_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("share_ne_over_time", &[Matrix, Scalar], Vector).kymo(),
    of("tlast_change_over_time", &[Matrix], Vector).kymo(),
    of("union", &[Vector, Vector], Vector).kymo().variadic(-1),
    of("zscore_over_time", &[Matrix], Vector).kymo(),
];

/// The name of the argument whose pairs a function takes from a place on; `None` if it takes none.
pub fn pairs_of(name: &str) -> Option<(usize, &'static str)> {
    match name {
        "label_set" => Some((1, "label name and value")),
        "label_map" => Some((2, "old and new value")),
        _ => None,
    }
}
