//! Functions of the samples in a range: one kernel each, called for every step of a series in one pass.

use model::FloatHistogram;
use storage::SeriesSamples;

use crate::annotations::{Annotations, quoted};
use crate::ast::Span;
use crate::error::QueryError;
use crate::eval::column::{Bits, Series, histogram_samples};
use crate::eval::grid::Grid;
use crate::eval::parallel;
use crate::eval::select::ReadBuffer;
use crate::eval::stats::SampleStats;
use crate::eval::window::spans::Spans;
use crate::eval::window::{Reach, View, for_each_view};
use crate::eval::{Checker, Evaluator, Scalars, Sink};
use crate::plan::{Call, Kind, Window};

use super::columns::{self, ColumnKernel, ColumnState};
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
    /// Quantiles beyond 0 and 1, each once.
    pub(crate) invalid_quantiles: Vec<f64>,
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
    pub(super) kernel: Kernel,
    kind: Special,
}

/// In what a function differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Special {
    None,
    /// `rate`, `increase` and what they have in common: for counters.
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
        "rate_exact" | "increase_exact" => (super::kymo_over_time::resolve(name)?, Counter),
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
        let is_constant = params.iter().all(|param| matches!(param, Scalars::Constant(_)));
        let columns =
            if window.extended.is_none() && is_constant { columns::resolve(call.name) } else { None };
        let ranges = self.ranges(window, grid)?;
        let span = &call.args[0].span;
        let split = self.split(ranges.len(), grid, ranges.samples_guess(window, grid))?;
        let (check, ledger, per_step) = (self.checker(), self.ledger.clone(), self.stats.is_per_step());
        let uses_starts = (self.uses_starts && window.extended.is_none()) || starts::is_exact(call.name);
        let name = call.name;
        let job = Job { name, uses_starts, function, kernel, columns, window, reach, grid, params: &params };
        parallel::in_order(
            split.helper_count(),
            split.batch_count(),
            |number, batch: &mut RangeBatch| {
                batch.begin(grid, per_step);
                for at in split.series_of(number) {
                    check.check_at(at)?;
                    ranges.read(at, &mut batch.buffer, &ledger)?;
                    if !batch.buffer.samples.is_empty() {
                        job.run(at, batch, &check)?;
                    }
                }
                Ok(())
            },
            |_, batch| {
                self.stats.merge(&mut batch.stats);
                for result in &mut batch.results[..batch.result_count] {
                    let series = &mut result.series;
                    self.ledger.pass(result.samples_max + series.column.sample_count())?;
                    let labels = ranges.labels(result.at);
                    let metric = labels.metric_name();
                    result.notes.report(metric, span, &mut self.annotations);
                    if !series.column.present.any() {
                        continue;
                    }
                    if function.kind == Special::Counter && !series.column.has_histograms() {
                        check_counter_name(metric, span, &mut self.annotations);
                    }
                    series.labels = labels.clone();
                    series.drop_name = ranges.drop_name(result.at) || function.kind != Special::KeepsName;
                    sink(series)?;
                }
                for q in batch.state.invalid_quantiles.drain(..) {
                    self.annotations.warn(span, numbers::invalid_quantile(q));
                }
                Ok(())
            },
        )
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

/// What is done with each series.
struct Job<'a> {
    name: &'static str,
    uses_starts: bool,
    function: RangeFunction,
    kernel: Kernel,
    columns: Option<ColumnKernel>,
    window: &'a Window,
    reach: Reach,
    grid: &'a Grid,
    params: &'a [Scalars],
}

/// Samples that are looked at, windows counted one by one, before a query is asked whether it must stop.
const UNCHECKED_SAMPLES: u64 = 1 << 20;

/// Results of some series, and what is used to compute them.
#[derive(Debug, Default)]
struct RangeBatch {
    buffer: ReadBuffer,
    state: KernelState,
    column_state: ColumnState,
    spans: Spans,
    stats: SampleStats,
    /// Those behind the first `result_count` are there to be used again.
    results: Vec<RangeResult>,
    result_count: usize,
}

#[derive(Debug, Default)]
struct RangeResult {
    at: usize,
    series: Series,
    notes: Notes,
    samples_max: u64,
}

impl RangeBatch {
    fn begin(&mut self, grid: &Grid, per_step: bool) {
        self.stats = SampleStats::new(grid.count, per_step);
        self.result_count = 0;
    }
}

impl Job<'_> {
    /// Computes the result of the series in the batch's buffer.
    fn run(&self, at: usize, batch: &mut RangeBatch, check: &Checker) -> Result<(), QueryError> {
        if batch.result_count == batch.results.len() {
            batch.results.push(RangeResult::default());
        }
        let result = &mut batch.results[batch.result_count];
        result.at = at;
        result.samples_max = 0;
        result.series.charge = None;
        result.series.column.reset(self.grid.count);
        batch.state.notes = Notes::default();
        let samples = &batch.buffer.samples;
        let with_starts = if self.uses_starts { starts::kernel(self.name, samples) } else { None };
        match self.columns.filter(|_| samples.histograms.values.is_empty() && with_starts.is_none()) {
            Some(kernel) => {
                let state = &mut batch.column_state;
                if batch.spans.update(&samples.floats.timestamps_ms, self.grid, self.window) {
                    state.forget_timestamps();
                    self.set_bounds(state);
                }
                kernel(state, &batch.spans, &samples.floats.values, &mut result.series.column);
                if self.function.kind == Special::Quantile && batch.spans.len_max() > 0 {
                    batch.state.params[0] = batch.column_state.param;
                    batch.state.note_quantile();
                }
                result.samples_max = batch.spans.len_max();
                batch.stats.add_spans(&batch.spans);
                if batch.spans.sample_count() >= UNCHECKED_SAMPLES {
                    check.check_at(0)?;
                }
            }
            None => {
                let kernel = with_starts.unwrap_or(self.kernel);
                self.run_views(kernel, samples, &mut batch.state, &mut batch.stats, result, check)?;
            }
        }
        result.notes = batch.state.notes;
        batch.result_count += 1;
        Ok(())
    }

    fn set_bounds(&self, state: &mut ColumnState) {
        if state.bounds_ms.is_empty() {
            state.range_s = self.window.range_ms as f64 / 1000.0;
            state.param = self.params.first().map_or(f64::NAN, |param| param.get(0));
            state.bounds_ms.extend((0..self.grid.count).map(|step| {
                let end_ms = self.window.shift.apply(self.grid.time_ms(step));
                (end_ms.saturating_sub(self.window.range_ms), end_ms)
            }));
        }
    }

    /// One window after the other.
    fn run_views(
        &self,
        kernel: Kernel,
        samples: &SeriesSamples,
        state: &mut KernelState,
        stats: &mut SampleStats,
        result: &mut RangeResult,
        check: &Checker,
    ) -> Result<(), QueryError> {
        let mut unchecked = 0;
        if self.function.kind == Special::Counter {
            rates::find_resets(&samples.floats.values, &mut state.resets);
        }
        let column = &mut result.series.column;
        for_each_view(samples, self.grid, self.window, self.reach, |view| {
            for (param, scalars) in state.params.iter_mut().zip(self.params) {
                *param = scalars.get(view.step);
            }
            let samples =
                view.floats.len() as u64 + view.histograms.iter().map(|h| histogram_samples(h)).sum::<u64>();
            result.samples_max = samples.max(result.samples_max);
            stats.add(view.step, samples);
            unchecked += samples;
            if unchecked >= UNCHECKED_SAMPLES {
                unchecked = 0;
                check.check_at(0)?;
            }
            if self.function.kind == Special::Quantile && !view.floats.is_empty() {
                state.note_quantile();
            }
            match kernel(&view, state) {
                Out::Nothing => {}
                Out::Float(value) => column.set(view.step, value),
                Out::Histogram(histogram) => column.set_histogram(view.step, (*histogram).into()),
            }
            state.error.take().map_or(Ok(()), |text| Err(QueryError::Execution(text)))
        })
    }
}

impl KernelState {
    /// Remembers a quantile that is none.
    fn note_quantile(&mut self) {
        let q = self.params[0];
        if !(0.0..=1.0).contains(&q)
            && !self.invalid_quantiles.iter().any(|known| known.to_bits() == q.to_bits())
        {
            self.invalid_quantiles.push(q);
        }
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
