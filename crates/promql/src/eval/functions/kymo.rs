//! Kymo's functions of vectors: those that look at all steps of a series at once, and those that set labels.
//!
//! Names and meanings are MetricsQL's. Where it fills gaps with what it has (`running_sum`), so do we; where it
//! only looks at samples (`range_avg`), gaps stay gaps.

mod ranges;

use model::METRIC_NAME;

use hashbrown::HashMap;

use crate::error::QueryError;
use crate::eval::column::{Bits, Column, Series};
use crate::eval::grid::Grid;
use crate::eval::merge::{merge_same_labels, without_metadata};
use crate::eval::{Evaluator, Sink};
use crate::plan::{Call, Node, text_of};

use super::labels::{check_label_name, emit, relabel};

/// One of Kymo's functions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KymoFunction {
    /// Changes the samples of a series, given the parameter if it has one.
    Series {
        change: SeriesFunction,
        keeps_name: bool,
    },
    LabelSet,
    LabelMap,
    Union,
}

/// Works on a series in place. The last argument is room for values.
pub(super) type SeriesFunction = fn(&mut Column, f64, &mut Vec<f64>);

impl KymoFunction {
    /// Whether its result at a step depends on the other steps.
    pub(super) fn sees_all_steps(&self) -> bool {
        matches!(self, Self::Series { .. })
    }
}

pub(super) fn resolve(name: &str) -> Option<KymoFunction> {
    Some(match name {
        "keep_last_value" => KymoFunction::Series { change: keep_last_value, keeps_name: true },
        "keep_next_value" => KymoFunction::Series { change: keep_next_value, keeps_name: true },
        "interpolate" => KymoFunction::Series { change: interpolate, keeps_name: true },
        "label_set" => KymoFunction::LabelSet,
        "label_map" => KymoFunction::LabelMap,
        "union" => KymoFunction::Union,
        _ => {
            let (change, keeps_name) = ranges::resolve(name)?;
            KymoFunction::Series { change, keeps_name }
        }
    })
}

impl Evaluator<'_> {
    pub(super) fn stream_kymo(
        &mut self,
        function: KymoFunction,
        call: &Call,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        match function {
            KymoFunction::Series { change, keeps_name } => {
                let (param, input) = self.param_and_input(call, grid)?;
                let mut scratch = Vec::new();
                self.stream(input, grid, &mut |series| {
                    change(&mut series.column, param, &mut scratch);
                    series.drop_name |= !keeps_name;
                    if series.column.present.any() { sink(series) } else { Ok(()) }
                })
            }
            KymoFunction::LabelSet => self.stream_label_set(call, grid, sink),
            KymoFunction::LabelMap => self.stream_label_map(call, grid, sink),
            KymoFunction::Union => self.stream_union(call, grid, sink),
        }
    }

    /// The number in front of the vector, if the function takes one: that of the first step.
    fn param_and_input<'c>(&mut self, call: &'c Call, grid: &Grid) -> Result<(f64, &'c Node), QueryError> {
        match call.args.as_slice() {
            [input] => Ok((f64::NAN, input)),
            [param, input, ..] => Ok((self.scalars(param, grid)?.get(0), input)),
            [] => Err(QueryError::Execution(format!("BUG: {}() has no arguments", call.name))),
        }
    }

    fn stream_label_set(&mut self, call: &Call, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let texts: Vec<_> = call.args[1..].iter().map(text_of).collect();
        for name in texts.iter().step_by(2) {
            check_label_name(name, "destination", "label_set")?;
        }
        let mut series = self.collect(&call.args[0], grid)?;
        let mut builder = model::LabelsBuilder::new();
        for one in &mut series {
            for pair in texts.chunks_exact(2) {
                relabel(one, &pair[0], &pair[1], &mut builder)?;
            }
        }
        emit(series, sink)
    }

    fn stream_label_map(&mut self, call: &Call, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let label = text_of(&call.args[1]);
        check_label_name(&label, "source", "label_map")?;
        let texts: Vec<_> = call.args[2..].iter().map(text_of).collect();
        let map: HashMap<&str, &str> =
            texts.chunks_exact(2).map(|pair| (pair[0].as_ref(), pair[1].as_ref())).collect();
        let mut series = self.collect(&call.args[0], grid)?;
        let mut builder = model::LabelsBuilder::new();
        for one in &mut series {
            if one.drop_name && &*label == METRIC_NAME {
                continue;
            }
            if let Some(new) = map.get(one.labels.get(&label).unwrap_or("")) {
                relabel(one, &label, new, &mut builder)?;
            }
        }
        emit(series, sink)
    }

    /// The series of all arguments; of those with equal labels, the first one that has a sample at a step.
    fn stream_union(&mut self, call: &Call, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let mut all: Vec<Series> = Vec::new();
        let mut seen: HashMap<model::Labels, Bits> = HashMap::new();
        for arg in &call.args {
            for mut series in self.collect(arg, grid)? {
                let labels =
                    if series.drop_name { without_metadata(&series.labels) } else { series.labels.clone() };
                let present = seen.entry(labels).or_insert_with(|| Bits::none(grid.count));
                series.column.present.subtract(present);
                present.union(&series.column.present);
                if series.column.present.any() {
                    all.push(series);
                }
            }
        }
        for mut series in merge_same_labels(all)? {
            sink(&mut series)?;
        }
        Ok(())
    }
}

fn keep_last_value(column: &mut Column, _: f64, _: &mut Vec<f64>) {
    let mut last = None;
    for at in 0..column.len() {
        if column.present.get(at) {
            last = Some(at);
        } else if let Some(last) = last {
            copy_within(column, last, at);
        }
    }
}

fn keep_next_value(column: &mut Column, _: f64, _: &mut Vec<f64>) {
    let mut next = None;
    for at in (0..column.len()).rev() {
        if column.present.get(at) {
            next = Some(at);
        } else if let Some(next) = next {
            copy_within(column, next, at);
        }
    }
}

fn copy_within(column: &mut Column, from: usize, to: usize) {
    match column.histogram(from).cloned() {
        Some(histogram) => column.set_histogram(to, histogram),
        None => column.set(to, column.values[from]),
    }
}

/// Fills gaps between two floats with the line between them; what is before the first and after the last stays empty.
fn interpolate(column: &mut Column, _: f64, _: &mut Vec<f64>) {
    let mut last: Option<usize> = None;
    for at in 0..column.len() {
        if !column.present.get(at) {
            continue;
        }
        if let Some(last) = last.filter(|last| at - last > 1)
            && column.histogram(at).is_none()
            && column.histogram(last).is_none()
        {
            let (from, to) = (column.values[last], column.values[at]);
            for between in last + 1..at {
                let share = (between - last) as f64 / (at - last) as f64;
                column.set(between, from + (to - from) * share);
            }
        }
        last = Some(at);
    }
}
