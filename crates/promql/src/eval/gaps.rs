//! Kymo's operators about gaps, as MetricsQL has them: `a default b` is `b` where `a` has no sample, `a if b` is `a`
//! where `b` has one, and `a ifnot b` where it has none.
//!
//! Series are paired as by `and`. A right side without labels, such as a number or `sum(x)`, is paired with all.
//! Names stay: the result is the left side, with more or fewer samples.

use crate::ast::{BinaryOp, ValueType};
use crate::error::QueryError;
use crate::plan::{Binary, Node};

use super::column::{Bits, Series};
use super::grid::Grid;
use super::join::{Group, group, union_of};
use super::merge::{merge_same_labels, without_metadata};
use super::{Evaluator, Sink, keep, unlabelled};

impl Evaluator<'_> {
    pub(super) fn stream_gaps(
        &mut self,
        binary: &Binary,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let mut left = self.collect_side(&binary.lhs, grid)?;
        let right = self.collect_side(&binary.rhs, grid)?;
        let matching = binary.matching.clone().unwrap_or_default();
        let joined = if binary.op == BinaryOp::Default && left.is_empty() {
            right
        } else {
            let for_all = right.len() == 1
                && !matching.on
                && matching.labels.is_empty()
                && without_metadata(&right[0].labels).is_empty();
            let (groups, of_left, _) = group(&left, &right, &matching);
            let everything = Group { left: Vec::new(), right: vec![0] };
            for (series, number) in left.iter_mut().zip(of_left) {
                let group = if for_all { &everything } else { &groups[number] };
                apply(binary.op, series, group.right.iter().map(|at| &right[*at]), grid);
            }
            left
        };
        for mut series in merge_same_labels(joined)? {
            if series.column.present.any() {
                self.ledger.pass(series.column.sample_count())?;
                sink(&mut series)?;
            }
        }
        Ok(())
    }

    /// The series of a side; a number is a series without labels.
    fn collect_side(&mut self, node: &Node, grid: &Grid) -> Result<Vec<Series>, QueryError> {
        if node.value_type != ValueType::Scalar {
            return self.collect(node, grid);
        }
        let scalars = self.scalars(node, grid)?;
        let ledger = self.ledger.clone();
        Ok(vec![keep(&mut unlabelled(&scalars, grid), &ledger)?])
    }
}

fn apply<'s>(
    op: BinaryOp,
    series: &mut Series,
    others: impl Iterator<Item = &'s Series> + Clone,
    grid: &Grid,
) {
    match op {
        BinaryOp::Default => {
            for other in others {
                let mut missing = other.column.present.clone();
                missing.subtract(&series.column.present);
                for at in missing.ones() {
                    series.column.copy_cell(at, &other.column, at);
                }
            }
        }
        BinaryOp::If => clear_except(series, &union_of(others, grid.count), true),
        _ => clear_except(series, &union_of(others, grid.count), false),
    }
}

fn clear_except(series: &mut Series, at: &Bits, keep: bool) {
    if keep {
        series.column.present.intersect(at);
    } else {
        series.column.present.subtract(at);
    }
}
