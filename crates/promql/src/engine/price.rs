//! What a query will cost, before it runs: told to those who ask, and used to refuse what cannot fit.

use model::TenantId;
use storage::Querier;

use super::{Cost, Engine, PlanNode, QueryOptions, When, plan_of};
use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::eval::grid::Grid;
use crate::plan::Node;

/// A query is refused before it runs if its estimate is so many times beyond a limit. Estimates may be wrong; what is refused
/// in error could have been answered.
const MARGIN: u64 = 2;
/// Budgets beyond this limit nothing.
const UNLIMITED_BYTES: u64 = 1 << 60;

impl Engine {
    /// What `query` will cost, and its plan with what each selector will find. Nothing is evaluated.
    ///
    /// # Errors
    /// Says what is wrong with the query.
    pub fn explain(
        &self,
        querier: &dyn Querier,
        tenant: &TenantId,
        query: &str,
        when: When,
        options: &QueryOptions,
    ) -> Result<(Cost, PlanNode), QueryError> {
        let settings = self.settings();
        let listed = self.list(&settings, tenant, query, when, options)?;
        let grid = when.grid()?;
        let (_, plan) = plan_of(&self.parsed, query, when, &settings)?;
        let evaluator = self.evaluator(querier, &listed, &settings, when, options)?;
        Ok((evaluator.cost(&plan, &grid)?, evaluator.explain(&plan, query, &grid, None)?))
    }
}

/// Refuses what cannot fit.
///
/// # Errors
/// Names the limit.
pub(super) fn check(
    evaluator: &Evaluator<'_>,
    plan: &Node,
    grid: &Grid,
    memory_bytes_max: u64,
) -> Result<(), QueryError> {
    let series_max = evaluator.series_max;
    if memory_bytes_max >= UNLIMITED_BYTES && series_max == u64::MAX {
        return Ok(());
    }
    let cost = evaluator.cost(plan, grid)?;
    if cost.memory_bytes / MARGIN > memory_bytes_max {
        let what = "by an estimate, the query would hold too many bytes of memory";
        return Err(QueryError::limit(what, "max_memory", memory_bytes_max, cost.memory_bytes));
    }
    if cost.series_count / MARGIN > series_max {
        let what = "by an estimate, the query selects too many series";
        return Err(QueryError::limit(what, "max_series", series_max, cost.series_count));
    }
    Ok(())
}
