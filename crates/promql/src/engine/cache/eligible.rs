//! Which expressions may be answered from earlier results: those whose value at a step depends on nothing but the samples up to
//! it.

use crate::ast::{Expr, ExprKind, TimeModifiers};

/// What distinguishes an expression from another one with the same text, and how far back it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    /// All ranges, offsets and steps: they may have been computed from the times of the query.
    pub(super) durations_ms: Vec<i64>,
    /// Samples older than this, counted from a step, do not matter. Rather too long than too short.
    pub(super) reach_ms: i64,
}

/// Functions that say something about the query instead of the samples.
const ABOUT_THE_QUERY: [&str; 4] = ["start", "end", "range", "step"];

/// `None` if the expression must be evaluated anew: it looks at fixed times, ahead of a step, or at all steps at once.
///
/// Its durations must be resolved.
pub(super) fn profile(expr: &Expr, lookback_ms: i64, subquery_step_ms: i64) -> Option<Profile> {
    if expr.sees_all_steps() {
        return None;
    }
    let mut durations_ms = Vec::new();
    let mut is_eligible = true;
    let mut reach_ms = lookback_ms;
    expr.walk(&mut |expr| {
        let mut time = |time: &TimeModifiers| {
            is_eligible &= time.at.is_none() && time.offset_ms >= 0;
            durations_ms.push(time.offset_ms);
        };
        match &expr.kind {
            ExprKind::VectorSelector(selector) => {
                time(&selector.time);
                is_eligible &= selector.extended.is_none();
            }
            ExprKind::MatrixSelector(matrix) => {
                time(&matrix.selector.time);
                is_eligible &= matrix.selector.extended.is_none();
                durations_ms.push(matrix.range_ms);
            }
            ExprKind::Subquery(subquery) => {
                time(&subquery.time);
                let step_ms = subquery.step_ms.unwrap_or(subquery_step_ms);
                durations_ms.extend([subquery.range_ms, step_ms, lookback_ms]);
            }
            ExprKind::Call(call) => is_eligible &= !ABOUT_THE_QUERY.contains(&call.function.name),
            _ => {}
        }
    });
    for duration_ms in &durations_ms {
        reach_ms = reach_ms.saturating_add(*duration_ms);
    }
    is_eligible.then_some(Profile { durations_ms, reach_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Option<Profile> {
        let mut expr = crate::parser::parse(query).expect(query);
        crate::ast::resolve_durations(&mut expr, 15_000, 3_600_000).expect(query);
        profile(&expr, 300_000, 60_000)
    }

    #[test]
    fn what_depends_on_nothing_but_the_samples_before_a_step() {
        for query in
            ["up", "sum by (a) (rate(x[5m] offset 1h)) / 2", "max_over_time(rate(x[1m])[10m:30s])", "time()"]
        {
            assert!(of(query).is_some(), "{query}");
        }
        for query in [
            "up @ 5",
            "up @ start()",
            "rate(x[5m] offset -1m)",
            "max_over_time(x[5m:1m] offset -1m)",
            "start() + up",
            "step()",
            "x smoothed",
            "rate(x[5m] anchored)",
            "up + on () (x @ end())",
            "a default 0",
        ] {
            assert!(of(query).is_none(), "{query}");
        }
    }

    #[test]
    fn the_reach_covers_ranges_offsets_and_subqueries() {
        let reach = |query| of(query).map(|profile| profile.reach_ms);
        assert_eq!(reach("up"), Some(300_000));
        assert_eq!(reach("rate(x[10m] offset 1h)"), Some(300_000 + 4_200_000));
        assert!(reach("max_over_time(x[1h:1m])") >= Some(3_600_000 + 300_000 + 60_000));
    }
}
