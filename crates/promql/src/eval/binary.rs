//! Binary operators on cells: floats, native histograms, and their mixtures; and those between vectors and scalars.

use std::sync::Arc;

use model::FloatHistogram;

use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Span, ValueType};
use crate::error::QueryError;
use crate::histogram_math::{self, trim};
use crate::plan::Binary;

use super::column::{Cell, Column};
use super::grid::Grid;
use super::{Evaluator, Scalars, Sink};

/// `left op right` of two floats. Comparisons yield 1 or 0.
pub(crate) fn scalar(op: BinaryOp, left: f64, right: f64) -> f64 {
    if op.is_comparison() {
        f64::from(u8::from(compare(op, left, right)))
    } else {
        arithmetic(op, left, right)
    }
}

pub(super) fn arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        // Comparisons keep the left side; set and trim operators never come here with two floats.
        _ => left,
    }
}

pub(super) fn compare(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eql => left == right,
        BinaryOp::Neq => left != right,
        BinaryOp::Gtr => left > right,
        BinaryOp::Lss => left < right,
        BinaryOp::Gte => left >= right,
        BinaryOp::Lte => left <= right,
        _ => true,
    }
}

/// Whether the result is another metric than the operands, so that the name goes.
pub(super) fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
}

/// What an operator makes of two cells.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A float.
    Float(f64),
    /// A histogram.
    Histogram(Arc<FloatHistogram>),
    /// A comparison that does not hold.
    Filtered,
    /// The operator is not defined for these operands.
    Undefined,
}

/// What the user should know about an operation, gathered over all cells of a query's operator.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Operand types that do not fit, as words, each pair once.
    mismatches: Vec<(&'static str, &'static str)>,
    mixed_schemas: bool,
    reset_conflict: bool,
    reconciled: bool,
}

impl Notes {
    fn mismatch(&mut self, left: &'static str, right: &'static str) -> Outcome {
        if !self.mismatches.contains(&(left, right)) {
            self.mismatches.push((left, right));
        }
        Outcome::Undefined
    }

    /// Turns the notes into texts about the operation at `span`.
    pub(super) fn report(self, op: BinaryOp, span: &Span, annotations: &mut Annotations) {
        let word = op.as_str();
        for (left, right) in self.mismatches {
            annotations.info(
                span,
                format!("incompatible sample types encountered for binary operator \"{word}\": {left} {word} {right}"),
            );
        }
        if self.mixed_schemas {
            annotations
                .warn(span, format!("incompatible bucket layout encountered for binary operator {word}"));
        }
        let operation = if op == BinaryOp::Add { "addition" } else { "subtraction" };
        if self.reset_conflict {
            annotations.warn(span, format!("conflicting counter resets during histogram {operation}"));
        }
        if self.reconciled {
            annotations.info(span, format!("mismatched custom buckets were reconciled during {operation}"));
        }
    }
}

/// `left op right` of two cells. Comparisons yield the left cell if they hold.
pub(super) fn cells(op: BinaryOp, left: &Cell<'_>, right: &Cell<'_>, notes: &mut Notes) -> Outcome {
    match (left, right) {
        (Cell::Float(left), Cell::Float(right)) => {
            if matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
                return notes.mismatch("float", "float");
            }
            if !compare(op, *left, *right) {
                return Outcome::Filtered;
            }
            Outcome::Float(arithmetic(op, *left, *right))
        }
        (Cell::Float(factor), Cell::Histogram(histogram)) => match op {
            BinaryOp::Mul => compacted(&histogram_math::multiply(histogram, *factor)),
            _ => notes.mismatch("float", "histogram"),
        },
        (Cell::Histogram(histogram), Cell::Float(value)) => match op {
            BinaryOp::Mul => compacted(&histogram_math::multiply(histogram, *value)),
            BinaryOp::Div => compacted(&histogram_math::divide(histogram, *value)),
            BinaryOp::TrimUpper => {
                Outcome::Histogram(Arc::new(trim::trim(histogram, *value, trim::Keep::Below)))
            }
            BinaryOp::TrimLower => {
                Outcome::Histogram(Arc::new(trim::trim(histogram, *value, trim::Keep::Above)))
            }
            _ => notes.mismatch("histogram", "float"),
        },
        (Cell::Histogram(left), Cell::Histogram(right)) => histograms(op, left, right, notes),
    }
}

fn histograms(
    op: BinaryOp,
    left: &Arc<FloatHistogram>,
    right: &Arc<FloatHistogram>,
    notes: &mut Notes,
) -> Outcome {
    let combined = match op {
        BinaryOp::Add => histogram_math::add(left, right),
        BinaryOp::Sub => histogram_math::subtract(left, right),
        BinaryOp::Eql | BinaryOp::Neq => {
            let holds = histogram_math::equal(left, right) == (op == BinaryOp::Eql);
            return if holds { Outcome::Histogram(Arc::clone(left)) } else { Outcome::Filtered };
        }
        _ => return notes.mismatch("histogram", "histogram"),
    };
    let Ok(mut combined) = combined else {
        notes.mixed_schemas = true;
        return Outcome::Undefined;
    };
    notes.reset_conflict |= combined.reset_conflict;
    notes.reconciled |= combined.reconciled;
    if op == BinaryOp::Sub {
        combined.histogram.counter_reset_hint = model::CounterResetHint::Gauge;
    }
    Outcome::Histogram(Arc::new(combined.histogram))
}

fn compacted(histogram: &FloatHistogram) -> Outcome {
    Outcome::Histogram(Arc::new(histogram_math::compact(histogram)))
}

/// `-x` of all cells.
pub(crate) fn negate(column: &mut Column) {
    column.values.iter_mut().for_each(|value| *value = -*value);
    if column.has_histograms() {
        for at in 0..column.len() {
            if let Some(histogram) = column.histogram(at) {
                let negated = Arc::new(histogram_math::multiply(histogram, -1.0));
                column.set_histogram(at, negated);
            }
        }
    }
}

impl Evaluator<'_> {
    pub(crate) fn stream_binary(
        &mut self,
        binary: &Binary,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        if binary.op.is_gap_operator() {
            return self.stream_gaps(binary, grid, sink);
        }
        match (binary.lhs.value_type, binary.rhs.value_type) {
            (ValueType::Scalar, _) => {
                let scalars = self.scalars(&binary.lhs, grid)?;
                self.stream_with_scalar(binary, true, &scalars, span, grid, sink)
            }
            (_, ValueType::Scalar) => {
                let scalars = self.scalars(&binary.rhs, grid)?;
                self.stream_with_scalar(binary, false, &scalars, span, grid, sink)
            }
            _ => self.stream_join(binary, span, grid, sink),
        }
    }

    fn stream_with_scalar(
        &mut self,
        binary: &Binary,
        scalar_is_left: bool,
        scalars: &Scalars,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let mut notes = Notes::default();
        let input = if scalar_is_left { &binary.rhs } else { &binary.lhs };
        let drops_name = changes_metric(binary.op) || binary.return_bool;
        self.stream(input, grid, &mut |series| {
            let column = &mut series.column;
            if !column.has_histograms() && changes_metric(binary.op) {
                floats_with_scalar(binary.op, column, scalar_is_left, scalars);
            } else {
                cells_with_scalar(binary, column, scalar_is_left, scalars, &mut notes);
            }
            series.drop_name |= drops_name;
            if column.present.any() { sink(series) } else { Ok(()) }
        })?;
        notes.report(binary.op, span, &mut self.annotations);
        Ok(())
    }
}

/// The hot case: all cells are floats and all of them stay.
fn floats_with_scalar(op: BinaryOp, column: &mut Column, scalar_is_left: bool, scalars: &Scalars) {
    let values = &mut column.values;
    match (scalars, scalar_is_left, op) {
        (Scalars::Constant(scalar), _, BinaryOp::Mul) => values.iter_mut().for_each(|value| *value *= scalar),
        (Scalars::Constant(scalar), _, BinaryOp::Add) => values.iter_mut().for_each(|value| *value += scalar),
        (Scalars::Constant(scalar), false, BinaryOp::Sub) => {
            values.iter_mut().for_each(|value| *value -= scalar);
        }
        (Scalars::Constant(scalar), false, BinaryOp::Div) => {
            values.iter_mut().for_each(|value| *value /= scalar);
        }
        _ => {
            for (at, value) in values.iter_mut().enumerate() {
                let scalar = scalars.get(at);
                let (left, right) = if scalar_is_left { (scalar, *value) } else { (*value, scalar) };
                *value = arithmetic(op, left, right);
            }
        }
    }
}

fn cells_with_scalar(
    binary: &Binary,
    column: &mut Column,
    scalar_is_left: bool,
    scalars: &Scalars,
    notes: &mut Notes,
) {
    for at in 0..column.len() {
        let Some(cell) = column.get(at) else { continue };
        let scalar = Cell::Float(scalars.get(at));
        let outcome = if scalar_is_left {
            cells(binary.op, &scalar, &cell, notes)
        } else {
            cells(binary.op, &cell, &scalar, notes)
        };
        match outcome {
            Outcome::Undefined => column.clear(at),
            Outcome::Filtered if binary.return_bool => column.set(at, 0.0),
            Outcome::Filtered => column.clear(at),
            _ if binary.return_bool => column.set(at, 1.0),
            // A comparison keeps the vector's value, whichever side the vector is on.
            _ if binary.op.is_comparison() => {}
            Outcome::Float(value) => column.set(at, value),
            Outcome::Histogram(histogram) => column.set_histogram(at, histogram),
        }
    }
}
