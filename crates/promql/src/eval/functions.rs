//! Functions: which there are, and how each is evaluated.
//!
//! Map: [`math`] one float to one float · [`dates`] · [`range`] functions of ranges: [`rates`], [`over_time`], [`extended`], [`columns`] for whole series ·
//! [`starts`] counters that say when they began · [`labels`] `label_replace`, `label_join` · [`sorting`] · [`histograms`] quantiles and fractions of classic and
//! native histograms ·
//! [`info`] · [`kymo`] and [`kymo_over_time`] Kymo's own · [`numbers`] quantiles and regressions.

pub(crate) mod columns;
pub(crate) mod dates;
pub(crate) mod extended;
pub(crate) mod histograms;
pub(crate) mod info;
pub(crate) mod kymo;
pub(crate) mod kymo_over_time;
pub(crate) mod labels;
pub(crate) mod math;
pub(crate) mod numbers;
pub(crate) mod over_time;
pub(crate) mod range;
pub(crate) mod rates;
pub(crate) mod sorting;
pub(crate) mod starts;

use std::sync::Arc;

use model::FloatHistogram;

use crate::ast::Span;
use crate::error::QueryError;
use crate::histogram_math;
use crate::plan::{Call, Kind, Node, QueryTimes, absent_labels};

use super::column::{Bits, Column, Series};
use super::grid::Grid;
use super::{Evaluator, Scalars, Sink, unlabelled};

use dates::DateField;
use kymo::KymoFunction;
use range::RangeFunction;

/// A function, resolved from its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Function {
    /// A float function applied to each sample.
    Map(fn(f64) -> f64),
    Clamp,
    ClampMax,
    ClampMin,
    Round,
    Date(DateField),
    /// A function of the samples in a range.
    Range(RangeFunction),
    Absent,
    AbsentOverTime,
    Scalar,
    Vector,
    Time,
    /// `pi()`, and what is fixed for the query: `start()`, `end()`, `step()`, `range()`.
    Constant(f64),
    MinOf,
    MaxOf,
    Timestamp,
    StartTimestamp,
    Sort {
        descending: bool,
    },
    SortByLabel {
        descending: bool,
    },
    LabelReplace,
    LabelJoin,
    Info,
    /// A number of a native histogram.
    OfHistogram(fn(&FloatHistogram) -> f64),
    HistogramQuantile,
    HistogramQuantiles,
    HistogramFraction,
    /// One of Kymo's own.
    Kymo(KymoFunction),
}

/// The function of a name; `None` if the engine does not have it.
pub(crate) fn resolve(name: &str, times: &QueryTimes) -> Option<Function> {
    if let Some(map) = math::resolve(name) {
        return Some(Function::Map(map));
    }
    if let Some(field) = dates::resolve(name) {
        return Some(Function::Date(field));
    }
    if let Some(function) = range::resolve(name) {
        return Some(Function::Range(function));
    }
    let seconds = |ms: i64| ms as f64 / 1000.0;
    Some(match name {
        "clamp" => Function::Clamp,
        "clamp_max" => Function::ClampMax,
        "clamp_min" => Function::ClampMin,
        "round" => Function::Round,
        "absent" => Function::Absent,
        "absent_over_time" => Function::AbsentOverTime,
        "scalar" => Function::Scalar,
        "vector" => Function::Vector,
        "time" => Function::Time,
        "pi" => Function::Constant(std::f64::consts::PI),
        "start" => Function::Constant(seconds(times.start_ms)),
        "end" => Function::Constant(seconds(times.end_ms)),
        "step" => Function::Constant(seconds(times.step_ms)),
        "range" => Function::Constant(seconds(times.end_ms - times.start_ms)),
        "min_of" => Function::MinOf,
        "max_of" => Function::MaxOf,
        "timestamp" => Function::Timestamp,
        "start_timestamp" => Function::StartTimestamp,
        "sort" => Function::Sort { descending: false },
        "sort_desc" => Function::Sort { descending: true },
        "sort_by_label" => Function::SortByLabel { descending: false },
        "sort_by_label_desc" => Function::SortByLabel { descending: true },
        "label_replace" => Function::LabelReplace,
        "label_join" => Function::LabelJoin,
        "info" => Function::Info,
        "histogram_count" => Function::OfHistogram(|histogram| histogram.count),
        "histogram_sum" => Function::OfHistogram(|histogram| histogram.sum),
        "histogram_avg" => Function::OfHistogram(|histogram| histogram.sum / histogram.count),
        "histogram_stdvar" => Function::OfHistogram(histogram_math::quantiles::variance),
        "histogram_stddev" => {
            Function::OfHistogram(|histogram| histogram_math::quantiles::variance(histogram).sqrt())
        }
        "histogram_quantile" => Function::HistogramQuantile,
        "histogram_quantiles" => Function::HistogramQuantiles,
        "histogram_fraction" => Function::HistogramFraction,
        _ => return kymo::resolve(name).map(Function::Kymo),
    })
}

/// Whether a function of ranges is known to look at each sample once, or at a few of each window, instead of at all of each.
pub(crate) fn is_one_pass(name: &str) -> bool {
    let over_time = ["count", "present", "last", "first", "max", "min", "sum"];
    ["rate", "increase", "delta", "irate", "changes", "resets"].contains(&name)
        || name.strip_suffix("_over_time").is_some_and(|what| over_time.contains(&what))
}

impl Function {
    /// Whether the result is the same at all steps if the arguments are.
    pub(crate) fn depends_only_on_args(&self, args: &[Node]) -> bool {
        match self {
            Self::Time | Self::Timestamp => false,
            Self::Date(_) => !args.is_empty(),
            Self::Range(function) => !function.depends_on_time(),
            Self::Kymo(function) => !function.sees_all_steps(),
            _ => true,
        }
    }
}

impl Evaluator<'_> {
    pub(crate) fn scalar_call(&mut self, call: &Call, grid: &Grid) -> Result<Scalars, QueryError> {
        match call.function {
            Function::Constant(value) => Ok(Scalars::Constant(value)),
            Function::Time => {
                Ok(Scalars::Steps((0..grid.count).map(|at| grid.time_ms(at) as f64 / 1000.0).collect()))
            }
            Function::MinOf | Function::MaxOf => {
                let first = self.scalars(&call.args[0], grid)?;
                let second = self.scalars(&call.args[1], grid)?;
                let choose =
                    if matches!(call.function, Function::MinOf) { math::go_min } else { math::go_max };
                Ok(first.zip(&second, choose))
            }
            Function::Scalar => self.scalar_of_vector(&call.args[0], grid),
            _ => Err(QueryError::Execution(format!("BUG: {}() is no scalar function", call.name))),
        }
    }

    /// The one float at each step; NaN if there is none, or more than one.
    fn scalar_of_vector(&mut self, arg: &Node, grid: &Grid) -> Result<Scalars, QueryError> {
        let mut values = vec![f64::NAN; grid.count];
        let mut seen = Bits::none(grid.count);
        self.stream(arg, grid, &mut |series| {
            series.column.drop_histograms();
            for at in series.column.present.ones() {
                values[at] = if seen.get(at) { f64::NAN } else { series.column.values[at] };
                seen.set(at);
            }
            Ok(())
        })?;
        Ok(Scalars::Steps(values))
    }

    pub(crate) fn stream_call(
        &mut self,
        call: &Call,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        match call.function {
            Function::Map(map) => self.stream_mapped(&call.args[0], grid, sink, |_, value| map(value)),
            Function::Clamp | Function::ClampMax | Function::ClampMin => {
                self.stream_clamped(call, grid, sink)
            }
            Function::Round => {
                let to_nearest = match call.args.get(1) {
                    Some(arg) => self.scalars(arg, grid)?,
                    None => Scalars::Constant(1.0),
                };
                let inverse = to_nearest.map(|to_nearest| 1.0 / to_nearest);
                self.stream_mapped(&call.args[0], grid, sink, |at, value| {
                    (value * inverse.get(at) + 0.5).floor() / inverse.get(at)
                })
            }
            Function::Date(field) => match call.args.first() {
                Some(arg) => self.stream_mapped(arg, grid, sink, |_, value| field.of_seconds(value)),
                None => {
                    let times =
                        (0..grid.count).map(|at| field.of_seconds(grid.time_ms(at).div_euclid(1000) as f64));
                    sink(&mut unlabelled(&Scalars::Steps(times.collect()), grid))
                }
            },
            Function::Range(function) => self.stream_range_function(function, call, grid, sink),
            Function::Absent => {
                let mut seen = Bits::none(grid.count);
                self.stream(&call.args[0], grid, &mut |series| {
                    seen.union(&series.column.present);
                    Ok(())
                })?;
                absent(&call.args[0], seen, false, sink)
            }
            Function::AbsentOverTime => self.stream_absent_over_time(call, grid, sink),
            Function::Vector => {
                let scalars = self.scalars(&call.args[0], grid)?;
                sink(&mut unlabelled(&scalars, grid))
            }
            Function::Timestamp => self.stream_timestamp(&call.args[0], grid, sink),
            Function::StartTimestamp => self.stream_start_timestamps(&call.args[0], grid, sink),
            Function::Sort { descending } => self.stream_sorted(call, descending, span, grid, sink),
            Function::SortByLabel { descending } => {
                self.stream_sorted_by_label(call, descending, span, grid, sink)
            }
            Function::LabelReplace => self.stream_label_replace(call, grid, sink),
            Function::LabelJoin => self.stream_label_join(call, grid, sink),
            Function::Info => self.stream_info(call, grid, sink),
            Function::OfHistogram(number) => self.stream_of_histograms(&call.args[0], number, grid, sink),
            Function::HistogramQuantile | Function::HistogramQuantiles | Function::HistogramFraction => {
                self.stream_histogram_function(call, grid, sink)
            }
            Function::Kymo(function) => self.stream_kymo(function, call, grid, sink),
            Function::Scalar | Function::Time | Function::Constant(_) | Function::MinOf | Function::MaxOf => {
                Err(QueryError::Execution(format!("BUG: {}() is no vector function", call.name)))
            }
        }
    }

    /// Applies a function of step and value to all floats; histograms have no result.
    fn stream_mapped(
        &mut self,
        arg: &Node,
        grid: &Grid,
        sink: &mut Sink<'_>,
        map: impl Fn(usize, f64) -> f64,
    ) -> Result<(), QueryError> {
        self.stream(arg, grid, &mut |series| {
            series.column.drop_histograms();
            for (at, value) in series.column.values.iter_mut().enumerate() {
                *value = map(at, *value);
            }
            series.drop_name = true;
            if series.column.present.any() { sink(series) } else { Ok(()) }
        })
    }

    fn stream_clamped(&mut self, call: &Call, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let first = self.scalars(&call.args[1], grid)?;
        let (min, max) = match call.function {
            Function::ClampMax => (Scalars::Constant(f64::NEG_INFINITY), first),
            Function::ClampMin => (first, Scalars::Constant(f64::INFINITY)),
            _ => (first, self.scalars(&call.args[2], grid)?),
        };
        self.stream(&call.args[0], grid, &mut |series| {
            series.column.drop_histograms();
            for at in 0..grid.count {
                let (min, max) = (min.get(at), max.get(at));
                if max < min {
                    series.column.clear(at);
                } else {
                    series.column.values[at] = math::go_max(min, math::go_min(max, series.column.values[at]));
                }
            }
            series.drop_name = true;
            if series.column.present.any() { sink(series) } else { Ok(()) }
        })
    }

    /// When the samples of a selector were taken; for all other vectors, the time of evaluation.
    fn stream_timestamp(&mut self, arg: &Node, grid: &Grid, sink: &mut Sink<'_>) -> Result<(), QueryError> {
        if let Kind::Select(select) = &arg.kind {
            return self.stream_timestamps(select, grid, sink);
        }
        self.stream(arg, grid, &mut |series| {
            for at in 0..grid.count {
                if series.column.present.get(at) {
                    series.column.set(at, grid.time_ms(at) as f64 / 1000.0);
                }
            }
            series.drop_name = true;
            sink(series)
        })
    }

    fn stream_of_histograms(
        &mut self,
        arg: &Node,
        number: fn(&FloatHistogram) -> f64,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        self.stream(arg, grid, &mut |series| {
            for at in 0..grid.count {
                match series.column.histogram(at).map(Arc::clone) {
                    Some(histogram) if series.column.present.get(at) => {
                        series.column.set(at, number(&histogram));
                    }
                    _ => series.column.clear(at),
                }
            }
            series.drop_name = true;
            if series.column.present.any() { sink(series) } else { Ok(()) }
        })
    }
}

/// One where nothing was seen.
pub(super) fn absent(
    arg: &Node,
    mut seen: Bits,
    drop_name: bool,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let seen_at = seen.clone();
    seen.fill();
    seen.subtract(&seen_at);
    if !seen.any() {
        return Ok(());
    }
    let column = Column::constant(1.0, seen);
    sink(&mut Series { labels: absent_labels(arg), drop_name, column, charge: None })
}
