//! The engine against a reference that is slow and plain: it evaluates one step at a time, looks at every sample of every
//! series, and shares no code with the engine. Random queries over random data.
//!
//! Map: `query` queries, random and as text · `evaluate` what they mean.

mod evaluate;
mod query;

use std::collections::BTreeMap;

use model::{Labels, STALE_NAN};
use promql::{QueryError, QueryResult, Settings, Value};
use proptest::prelude::*;
use stdx::memory::Budget;

use crate::data::{Asked, storage_of};

use evaluate::{Evaluation, Vector};
use query::Choices;

/// Series with their samples: milliseconds and values.
pub(crate) type Rows = Vec<(Labels, Vec<(i64, f64)>)>;

/// Values whose sums are exact, and some that are none.
fn rows(choices: &mut Choices) -> Rows {
    let mut rows = Rows::new();
    for name in ["a", "b"] {
        for x in ["0", "1", "2"] {
            for y in ["0", "1"] {
                if choices.one_in(3) {
                    continue;
                }
                let (odd, counts) = (choices.one_in(4), choices.one_in(2));
                let (mut time_ms, mut count, mut samples) = (0, 0i64, Vec::new());
                for _ in 0..choices.below(60) {
                    time_ms += 1_000 * choices.between(1, 25);
                    count = if choices.one_in(12) { 0 } else { count + choices.between(0, 40) };
                    let value = match choices.below(10) {
                        0 if odd => f64::NAN,
                        1 if odd => f64::INFINITY,
                        2 => STALE_NAN,
                        _ if counts => count as f64,
                        _ => choices.between(-400, 400) as f64 / 8.0,
                    };
                    samples.push((time_ms, value));
                }
                rows.push((Labels::from_pairs([("__name__", name), ("x", x), ("y", y)]), samples));
            }
        }
    }
    rows
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || a == b
        || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn at_step(result: &QueryResult, time_ms: i64) -> Vector {
    let Value::Matrix(series) = &result.value else { panic!("a range query gives a matrix") };
    let found = series.iter().filter_map(|one| {
        let (_, value) = one.floats.iter().find(|(t, _)| *t == time_ms)?;
        Some((one.labels.clone(), *value))
    });
    found.collect()
}

fn difference(got: &Vector, want: &Vector) -> Option<String> {
    let labels = |vector: &Vector| vector.keys().map(ToString::to_string).collect::<Vec<_>>();
    if labels(got) != labels(want) {
        return Some(format!("series {:?} instead of {:?}", labels(got), labels(want)));
    }
    let different = got.iter().find(|(labels, value)| !same(**value, want[*labels]));
    different.map(|(labels, value)| format!("{labels}: {value} instead of {}", want[labels]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_gives_what_the_reference_gives(seed: u64) {
        let mut choices = Choices::new(seed);
        let rows = rows(&mut choices);
        let query = query::random(&mut choices, 3);
        let text = query.to_string();
        let start_ms = 1_000 * choices.between(-50, 700);
        let step_ms = 1_000 * choices.between(1, 80);
        let steps = choices.between(1, 6);
        let end_ms = start_ms + (steps - 1) * step_ms;
        let asked = Asked::new(storage_of(&rows), Settings::default(), Budget::unlimited());
        let got = asked.range(&text, start_ms, end_ms, step_ms);
        let evaluation = Evaluation { rows: &rows, lookback_ms: 300_000 };
        let want: Result<BTreeMap<i64, Vector>, String> =
            (0..steps).map(|at| start_ms + at * step_ms).map(|t| Ok((t, evaluation.vector(&query, t)?))).collect();
        match (got, want) {
            (Ok(got), Ok(want)) => {
                for (time_ms, want) in want {
                    if let Some(difference) = difference(&at_step(&got, time_ms), &want) {
                        prop_assert!(false, "seed {}: {} at {}: {}", seed, text, time_ms, difference);
                    }
                }
            }
            // Series that clash are an error for both; nothing else is.
            (Err(QueryError::Execution(_)), Err(_)) => {}
            // Those that an aggregation folds away, or that no series on the other side of an operator meets, never meet one another in
            // the engine (docs/internals/differential.md).
            (Ok(_), Err(_)) if query.may_fold_clashes() => {}
            (got, want) => prop_assert!(false, "seed {}: {}: {:?} instead of {:?}", seed, text, got.map(|_| "an answer"), want),
        }
    }
}
