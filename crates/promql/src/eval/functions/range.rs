//! Functions of the samples in a range: one kernel each, called for every step of a series in one pass.

use model::FloatHistogram;

use crate::annotations::{Annotations, quoted};
use crate::ast::Span;
use crate::error::QueryError;
use crate::eval::column::{Bits, Series, histogram_samples};
use crate::eval::grid::Grid;
use crate::eval::select::ReadBuffer;
use crate::eval::window::{Reach, View, for_each_view};
use crate::eval::{Evaluator, Scalars, Sink};
use crate::plan::{Call, Kind, Window};

use super::{absent, extended, numbers, over_time, rates, starts};

/// What a kernel makes of a range.
#[derive(Debug)]
pub(crate) enum Out {
    Nothing,
    Float(f64),
    Histogram(Box<FloatHistogram>),
}

/// Computes the result at one step from the samples in its range.
pub(crate) type Kernel = fn(&View<'_>, &mut KernelState) -> Out;

/// What a kernel may use besides the samples, and what it has to say.
#[derive(Debug, Default)]
pub(crate) struct KernelState {
    /// The scalar arguments at this step, in order.
    pub(crate) params: [f64; 2],
    /// Room for values, reused from step to step.
    pub(crate) scratch: Vec<f64>,
    /// Positions in the series of floats lower than the one before; filled for counters only.
    pub(crate) resets: Vec<usize>,
    pub(crate) notes: Notes,
    /// A parameter that no result can be computed with.
    pub(crate) error: Option<String>,
}

/// What the user should know about a series, each at most once.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is one annotation")]
pub(crate) struct Notes {
    pub(crate) mixed: bool,
    pub(crate) ignored_histograms: bool,
    pub(crate) not_a_counter: bool,
    pub(crate) not_a_gauge: bool,
    pub(crate) mixed_schemas: bool,
    pub(crate) reconciled_subtraction: bool,
    pub(crate) reconciled_addition: bool,
    pub(crate) reconciled_aggregation: bool,
    pub(crate) reset_conflict: bool,
    pub(crate) start_overlap: bool,
}

/// A function of ranges.
#[derive(Clone, Copy)]
pub(crate) struct RangeFunction {
    kernel: Kernel,
    kind: Special,
}

/// In what a function differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    None,
    /// `rate`, `increase`: for counters.
    Counter,
    /// `first_over_time`, `last_over_time`: the samples themselves, with their name.
    KeepsName,
    /// `predict_linear`: also depends on the time of evaluation.
    UsesTime,
    /// `quantile_over_time`: its parameter is checked.
    Quantile,
}

impl std::fmt::Debug for RangeFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RangeFunction").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl RangeFunction {
    pub(super) fn depends_on_time(&self) -> bool {
        self.kind == Special::UsesTime
    }
}

/// The function of a name.
pub(super) fn resolve(name: &str) -> Option<RangeFunction> {
    use Special::{Counter, KeepsName, None, Quantile, UsesTime};
    let (kernel, kind): (Kernel, Special) = match name {
        "rate" => (rates::rate, Counter),
        "increase" => (rates::increase, Counter),
        "delta" => (rates::delta, None),
        "irate" => (rates::irate, None),
        "idelta" => (rates::idelta, None),
        "deriv" => (rates::deriv, None),
        "predict_linear" => (rates::predict_linear, UsesTime),
        "double_exponential_smoothing" => (rates::double_exponential_smoothing, None),
        "resets" => (over_time::resets, None),
        "changes" => (over_time::changes, None),
        "sum_over_time" => (over_time::sum, None),
        "avg_over_time" => (over_time::avg, None),
        "count_over_time" => (over_time::count, None),
        "min_over_time" => (over_time::min, None),
        "max_over_time" => (over_time::max, None),
        "stddev_over_time" => (over_time::stddev, None),
        "stdvar_over_time" => (over_time::stdvar, None),
        "mad_over_time" => (over_time::mad, None),
        "quantile_over_time" => (over_time::quantile, Quantile),
        "present_over_time" => (over_time::present, None),
        "first_over_time" => (over_time::first, KeepsName),
        "last_over_time" => (over_time::last, KeepsName),
        "ts_of_first_over_time" => (over_time::ts_of_first, None),
        "ts_of_last_over_time" => (over_time::ts_of_last, None),
        "ts_of_min_over_time" => (over_time::ts_of_min, None),
        "ts_of_max_over_time" => (over_time::ts_of_max, None),
        _ => (super::kymo_over_time::resolve(name)?, None),
    };
    Some(RangeFunction { kernel, kind })
}

impl Evaluator<'_> {
    pub(super) fn stream_range_function(
        &mut self,
        function: RangeFunction,
        call: &Call,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let window = window_of(call)?;
        let kernel = match window.extended {
            None => function.kernel,
            Some(extended) => extended::kernel(call.name, extended)?,
        };
        let reach = Reach::of(window, self.lookback_ms);
        let params = self.params(call, grid)?;
        let ranges = self.ranges(window, grid)?;
        let span = &call.args[0].span;
        let mut buffer = ReadBuffer::default();
        let mut state = KernelState::default();
        let mut series = Series::default();
        for at in 0..ranges.len() {
            self.check_at(at)?;
            ranges.read(at, &mut buffer, &self.ledger)?;
            if buffer.samples.is_empty() {
                continue;
            }
            let with_starts = match window.extended {
                None if self.uses_starts => starts::kernel(call.name, &buffer.samples),
                _ => Option::None,
            };
            let kernel = with_starts.unwrap_or(kernel);
            series.charge = None;
            series.column.reset(grid.count);
            state.notes = Notes::default();
            if function.kind == Special::Counter {
                rates::find_resets(&buffer.samples.floats.values, &mut state.resets);
            }
            let mut samples_max = 0;
            for_each_view(&buffer.samples, grid, window, reach, |view| {
                for (param, scalars) in state.params.iter_mut().zip(&params) {
                    *param = scalars.get(view.step);
                }
                let samples = view.floats.len() as u64
                    + view.histograms.iter().map(|h| histogram_samples(h)).sum::<u64>();
                samples_max = samples.max(samples_max);
                self.stats.add(view.step, samples);
                if function.kind == Special::Quantile && !view.floats.is_empty() {
                    check_quantile(state.params[0], span, &mut self.annotations);
                }
                match kernel(&view, &mut state) {
                    Out::Nothing => {}
                    Out::Float(value) => series.column.set(view.step, value),
                    Out::Histogram(histogram) => series.column.set_histogram(view.step, (*histogram).into()),
                }
                state.error.take().map_or(Ok(()), |text| Err(QueryError::Execution(text)))
            })?;
            self.ledger.pass(samples_max + series.column.sample_count())?;
            let labels = ranges.labels(at);
            let metric = labels.metric_name();
            state.notes.report(metric, span, &mut self.annotations);
            if !series.column.present.any() {
                continue;
            }
            if function.kind == Special::Counter && !series.column.has_histograms() {
                check_counter_name(metric, span, &mut self.annotations);
            }
            series.labels = labels.clone();
            series.drop_name = ranges.drop_name(at) || function.kind != Special::KeepsName;
            sink(&mut series)?;
        }
        Ok(())
    }

    /// The scalar arguments, in order.
    fn params(&mut self, call: &Call, grid: &Grid) -> Result<Vec<Scalars>, QueryError> {
        let scalars = call.args.iter().filter(|arg| !matches!(arg.kind, Kind::Window(_)));
        scalars.map(|arg| self.scalars(arg, grid)).collect()
    }

    pub(super) fn stream_absent_over_time(
        &mut self,
        call: &Call,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let window = window_of(call)?;
        if let Some(extended) = window.extended {
            extended::kernel(call.name, extended)?;
        }
        let ranges = self.ranges(window, grid)?;
        let mut seen = Bits::none(grid.count);
        let mut buffer = ReadBuffer::default();
        for at in 0..ranges.len() {
            self.check_at(at)?;
            ranges.read(at, &mut buffer, &self.ledger)?;
            for_each_view(&buffer.samples, grid, window, Reach::default(), |view| {
                self.stats.add(view.step, (view.floats.len() + view.histograms.len()) as u64);
                seen.set(view.step);
                Ok(())
            })?;
        }
        absent(&call.args[0], seen, true, sink)
    }
}

fn window_of(call: &Call) -> Result<&Window, QueryError> {
    let found = call.args.iter().find_map(|arg| match &arg.kind {
        Kind::Window(window) => Some(window),
        _ => None,
    });
    found.ok_or_else(|| QueryError::Execution(format!("BUG: {}() has no range vector", call.name)))
}

fn check_quantile(q: f64, span: &Span, annotations: &mut Annotations) {
    if !(0.0..=1.0).contains(&q) {
        annotations.warn(span, numbers::invalid_quantile(q));
    }
}

fn check_counter_name(metric: &str, span: &Span, annotations: &mut Annotations) {
    let known = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| metric.ends_with(suffix));
    if !metric.is_empty() && !known {
        let name = quoted(metric);
        annotations.info(
            span,
            format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}"),
        );
    }
}

impl Notes {
    fn report(&self, metric: &str, span: &Span, annotations: &mut Annotations) {
        let warnings = [
            (self.mixed, "encountered a mix of histograms and floats for metric name"),
            (self.not_a_counter, "this native histogram metric is not a counter:"),
            (self.not_a_gauge, "this native histogram metric is not a gauge:"),
            (
                self.start_overlap,
                "sample has start time that overlaps with previous sample timestamp for metric",
            ),
            (
                self.mixed_schemas,
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name",
            ),
        ];
        for (_, text) in warnings.iter().filter(|(noted, _)| *noted) {
            annotations.warn(span, format!("{text} {}", quoted(metric)));
        }
        if self.reset_conflict {
            annotations.warn(span, "conflicting counter resets during histogram aggregation");
        }
        if self.ignored_histograms {
            let name = quoted(metric);
            annotations.info(
                span,
                format!("ignored histograms in a range containing both floats and histograms for metric name {name}"),
            );
        }
        let reconciled = [
            (self.reconciled_subtraction, "subtraction"),
            (self.reconciled_addition, "addition"),
            (self.reconciled_aggregation, "aggregation"),
        ];
        for (_, operation) in reconciled.iter().filter(|(noted, _)| *noted) {
            annotations.info(span, format!("mismatched custom buckets were reconciled during {operation}"));
        }
    }
}
