//! From columns to the shapes the API prints.

use std::sync::Arc;

use model::Labels;
use storage::SeriesSamples;

use crate::ast::ValueType;
use crate::error::QueryError;
use crate::eval::column::{Cell, Column, Series};
use crate::eval::grid::Grid;
use crate::eval::ledger::{Charge, Ledger};
use crate::eval::merge::finish;
use crate::eval::select::ReadBuffer;
use crate::eval::{Evaluator, Scalars};
use crate::plan::{Kind, Node};
use crate::value::{MatrixSeries, SampleValue, Value, VectorSample};

/// The result of a query, before it is given its shape.
#[derive(Debug)]
pub(super) enum Evaluated {
    Scalar(Scalars),
    Text(String),
    Vector(Vec<Series>),
    /// With the memory of each.
    Matrix(Vec<(MatrixSeries, Charge)>),
}

impl Evaluator<'_> {
    pub(super) fn evaluate(&mut self, node: &Node, grid: &Grid) -> Result<Evaluated, QueryError> {
        match (&node.kind, node.value_type) {
            (Kind::Text(text), _) => Ok(Evaluated::Text(text.clone())),
            (_, ValueType::Scalar) => Ok(Evaluated::Scalar(self.scalars(node, grid)?)),
            (Kind::Window(_), _) => Ok(Evaluated::Matrix(self.matrix(node, grid)?)),
            _ => Ok(Evaluated::Vector(finish(self.collect(node, grid)?)?)),
        }
    }

    /// A range vector as it is, at the one time of an instant query.
    fn matrix(&mut self, node: &Node, grid: &Grid) -> Result<Vec<(MatrixSeries, Charge)>, QueryError> {
        let Kind::Window(window) = &node.kind else { return Ok(Vec::new()) };
        if window.extended.is_some() {
            let text = "a range with the anchored or smoothed modifier cannot be shown as it is yet: give it to a function";
            return Err(QueryError::Execution(text.to_owned()));
        }
        let ranges = self.ranges(window, grid)?;
        let mut buffer = ReadBuffer::default();
        let mut series = Vec::new();
        for at in 0..ranges.len() {
            self.check()?;
            ranges.read(at, &mut buffer, &self.ledger)?;
            let samples = &buffer.samples;
            if samples.is_empty() {
                continue;
            }
            self.stats.add(0, samples.len() as u64);
            let mut labels = ranges.labels(at).clone();
            if ranges.drop_name(at) {
                labels = crate::eval::merge::without_metadata(&labels);
            }
            let charge = self.ledger.take(samples.len() as u64, matrix_bytes(&labels, samples))?;
            let floats = samples
                .floats
                .timestamps_ms
                .iter()
                .copied()
                .zip(samples.floats.values.iter().copied())
                .collect();
            let histograms = &samples.histograms;
            let histograms = histograms
                .timestamps_ms
                .iter()
                .copied()
                .zip(histograms.values.iter().map(Arc::clone))
                .collect();
            series.push((MatrixSeries { labels, floats, histograms }, charge));
        }
        Ok(series)
    }
}

impl Evaluated {
    /// Gives the result its shape, and its memory. Matrices are sorted by labels; vectors keep the order of evaluation.
    pub(super) fn into_value(
        self,
        grid: &Grid,
        is_range: bool,
        ledger: &Ledger,
    ) -> Result<(Value, Charge), QueryError> {
        let timestamp_ms = grid.start_ms;
        let mut held = ledger.take(0, 0)?;
        let mut matrix = match self {
            Self::Text(value) => {
                held.grow(value.len() as u64)?;
                return Ok((Value::String { timestamp_ms, value }, held));
            }
            Self::Scalar(scalars) if !is_range => {
                return Ok((Value::Scalar { timestamp_ms, value: scalars.get(0) }, held));
            }
            Self::Scalar(scalars) => {
                held.grow(grid.count as u64 * POINT_BYTES + size_of::<MatrixSeries>() as u64)?;
                let floats = (0..grid.count).map(|at| (grid.time_ms(at), scalars.get(at))).collect();
                vec![MatrixSeries { labels: Labels::empty(), floats, histograms: Vec::new() }]
            }
            Self::Vector(series) if !is_range => {
                held.grow((series.len() * size_of::<VectorSample>()) as u64)?;
                let mut samples = Vec::with_capacity(series.len());
                for one in series {
                    held.grow(kept_bytes(&one))?;
                    samples.extend(vector_sample(one, timestamp_ms));
                }
                return Ok((Value::Vector(samples), held));
            }
            Self::Vector(series) => {
                held.grow((series.len() * size_of::<MatrixSeries>()) as u64)?;
                let mut matrix = Vec::with_capacity(series.len());
                for one in series {
                    held.grow(kept_bytes(&one) + one.column.present.count_ones() as u64 * POINT_BYTES)?;
                    matrix.push(matrix_series(one.labels, &one.column, grid));
                }
                matrix
            }
            Self::Matrix(series) => {
                held.grow((series.len() * size_of::<MatrixSeries>()) as u64)?;
                let mut matrix = Vec::with_capacity(series.len());
                for (one, charge) in series {
                    held.absorb(charge);
                    matrix.push(one);
                }
                matrix
            }
        };
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        if matrix.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
            return Err(crate::eval::merge::same_labelset());
        }
        Ok((Value::Matrix(matrix), held))
    }
}

/// A timestamp and a value.
const POINT_BYTES: u64 = 16;

/// What a result takes over from a series: its labels, and histograms, which are not copied.
fn kept_bytes(series: &Series) -> u64 {
    (series.labels.packed().len() + Series::ALLOCATION_BYTES * 2) as u64 + series.column.histogram_bytes()
}

fn matrix_bytes(labels: &Labels, samples: &SeriesSamples) -> u64 {
    let histograms: usize = samples.histograms.values.iter().map(|h| h.size_bytes()).sum();
    let labels = labels.packed().len() + Series::ALLOCATION_BYTES * 2;
    (labels + histograms + size_of::<(MatrixSeries, Charge)>() * 2) as u64
        + samples.len() as u64 * POINT_BYTES
}

fn vector_sample(series: Series, timestamp_ms: i64) -> Option<VectorSample> {
    let value = match series.column.get(0)? {
        Cell::Float(value) => SampleValue::Float(value),
        Cell::Histogram(histogram) => SampleValue::Histogram(Arc::clone(histogram)),
    };
    Some(VectorSample { labels: series.labels, timestamp_ms, value })
}

fn matrix_series(labels: Labels, column: &Column, grid: &Grid) -> MatrixSeries {
    let mut series = MatrixSeries { labels, floats: Vec::new(), histograms: Vec::new() };
    if !column.has_histograms() {
        series.floats.reserve_exact(column.present.count_ones());
    }
    for at in column.present.ones() {
        match column.get(at) {
            Some(Cell::Float(value)) => series.floats.push((grid.time_ms(at), value)),
            Some(Cell::Histogram(histogram)) => {
                series.histograms.push((grid.time_ms(at), Arc::clone(histogram)));
            }
            None => {}
        }
    }
    series
}
