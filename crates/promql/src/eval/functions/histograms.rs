//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, of classic and native histograms.
//!
//! A classic histogram is a family of series, one for each upper bound in label `le`; they are brought together
//! once for all steps.

use hashbrown::HashMap;

use model::{Labels, LabelsBuilder};

use crate::annotations::{ForcedMonotonicity, for_metric, quoted};
use crate::ast::Span;
use crate::error::QueryError;
use crate::eval::column::{Cell, Column, Series};
use crate::eval::grid::Grid;
use crate::eval::ledger::Ledger;
use crate::eval::{Evaluator, Scalars, Sink};
use crate::histogram_math::quantiles::{self, NanEffect};
use crate::plan::{Call, Node, text_of};

use super::{Function, numbers};

const BUCKET_LABEL: &str = "le";

/// One histogram: its classic buckets, its native series, or (which is ambiguous) both.
#[derive(Debug)]
struct Family {
    /// Without `le`.
    labels: Labels,
    /// Upper bounds and positions of series.
    buckets: Vec<(f64, usize)>,
    native: Option<usize>,
}

/// What is asked of each histogram.
enum Measure {
    /// Quantiles, each with the label value it gets, if any.
    Quantiles {
        qs: Vec<Scalars>,
        label: Option<String>,
    },
    Fraction {
        lower: Scalars,
        upper: Scalars,
    },
}

impl Evaluator<'_> {
    pub(super) fn stream_histogram_function(
        &mut self,
        call: &Call,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let (input, measure) = self.measure(call, grid)?;
        let series = self.collect(input, grid)?;
        let families = self.families(&series, &input.span);
        let mut out = Results { ledger: self.ledger.clone(), series: Vec::new(), places: HashMap::new() };
        let mut buckets = Vec::new();
        for (number, family) in families.iter().enumerate() {
            self.check()?;
            for step in 0..grid.count {
                buckets.clear();
                let present = family.buckets.iter().filter(|(_, at)| is_float(&series[*at].column, step));
                buckets.extend(
                    present
                        .map(|(bound, at)| Bucket { upper: *bound, count: series[*at].column.values[step] }),
                );
                let native = family.native.and_then(|at| match series[at].column.get(step) {
                    Some(Cell::Histogram(histogram)) => Some(histogram),
                    _ => None,
                });
                if native.is_some() && !buckets.is_empty() {
                    let metric = for_metric(family.labels.metric_name());
                    let text = format!("vector contains a mix of classic and native histograms{metric}");
                    self.annotations.warn(&input.span, text);
                    continue;
                }
                let place = Place { number, family, step, grid, span: &input.span };
                match native {
                    Some(histogram) => self.measure_native(&measure, histogram, &place, &mut out)?,
                    None if !buckets.is_empty() => {
                        self.measure_classic(&measure, &mut buckets, &place, &mut out)?;
                    }
                    None => {}
                }
            }
        }
        for mut series in out.series {
            self.ledger.pass(series.column.sample_count())?;
            sink(&mut series)?;
        }
        Ok(())
    }

    fn measure<'c>(&mut self, call: &'c Call, grid: &Grid) -> Result<(&'c Node, Measure), QueryError> {
        match call.function {
            Function::HistogramFraction => {
                let lower = self.scalars(&call.args[0], grid)?;
                let upper = self.scalars(&call.args[1], grid)?;
                Ok((&call.args[2], Measure::Fraction { lower, upper }))
            }
            Function::HistogramQuantiles => {
                let label = Some(text_of(&call.args[1]).to_string());
                let qs = call.args[2..]
                    .iter()
                    .map(|arg| self.checked_quantile(arg, grid))
                    .collect::<Result<_, _>>()?;
                Ok((&call.args[0], Measure::Quantiles { qs, label }))
            }
            _ => {
                let qs = vec![self.checked_quantile(&call.args[0], grid)?];
                Ok((&call.args[1], Measure::Quantiles { qs, label: None }))
            }
        }
    }

    fn checked_quantile(&mut self, arg: &Node, grid: &Grid) -> Result<Scalars, QueryError> {
        let scalars = self.scalars(arg, grid)?;
        let count = if matches!(scalars, Scalars::Constant(_)) { 1 } else { grid.count };
        for q in (0..count).map(|at| scalars.get(at)).filter(|q| !(0.0..=1.0).contains(q)) {
            self.annotations.warn(&arg.span, numbers::invalid_quantile(q));
        }
        Ok(scalars)
    }

    fn families(&mut self, series: &[Series], span: &Span) -> Vec<Family> {
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        let mut families: Vec<Family> = Vec::new();
        let mut family_of = |labels: Labels| {
            *numbers.entry(labels).or_insert_with_key(|labels| {
                families.push(Family { labels: labels.clone(), buckets: Vec::new(), native: None });
                families.len() - 1
            })
        };
        let mut placed = Vec::new();
        for (at, one) in series.iter().enumerate() {
            if (0..one.column.len()).any(|step| is_float(&one.column, step)) {
                let bound = one.labels.get(BUCKET_LABEL).unwrap_or("");
                match model::number::parse_float(bound.as_bytes()) {
                    Ok(bound) => {
                        let labels = one.labels.without(|name| name == BUCKET_LABEL);
                        placed.push((family_of(labels), Some(bound), at));
                    }
                    Err(_) => {
                        let text = format!(
                            "bucket label \"le\" is missing or has a malformed value of {}{}",
                            quoted(bound),
                            for_metric(one.labels.metric_name())
                        );
                        self.annotations.warn(span, text);
                    }
                }
            }
            if one.column.has_histograms() {
                placed.push((family_of(one.labels.clone()), None, at));
            }
        }
        for (family, bound, at) in placed {
            match bound {
                Some(bound) => families[family].buckets.push((bound, at)),
                None => families[family].native = Some(at),
            }
        }
        families
    }

    fn measure_native(
        &mut self,
        measure: &Measure,
        histogram: &model::FloatHistogram,
        place: &Place<'_>,
        out: &mut Results,
    ) -> Result<(), QueryError> {
        let metric = || for_metric(place.family.labels.metric_name());
        match measure {
            Measure::Fraction { lower, upper } => {
                let (fraction, effect) =
                    quantiles::fraction(lower.get(place.step), upper.get(place.step), histogram);
                if effect != NanEffect::None {
                    let text = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
                    self.annotations.info(place.span, format!("{text}{}", metric()));
                }
                out.set(place, None, fraction)?;
            }
            Measure::Quantiles { qs, label } => {
                for q in qs {
                    let q = q.get(place.step);
                    let (quantile, effect) = quantiles::quantile(q, histogram);
                    let result = match effect {
                        NanEffect::None => None,
                        NanEffect::Result => Some("result is NaN"),
                        NanEffect::Skew => Some("result is skewed higher"),
                    };
                    if let Some(result) = result {
                        let text =
                            format!("input to histogram_quantile has NaN observations, {result}{}", metric());
                        self.annotations.info(place.span, text);
                    }
                    out.set(place, label.as_deref().map(|label| (label, q)), quantile)?;
                }
            }
        }
        Ok(())
    }

    fn measure_classic(
        &mut self,
        measure: &Measure,
        buckets: &mut Vec<Bucket>,
        place: &Place<'_>,
        out: &mut Results,
    ) -> Result<(), QueryError> {
        match measure {
            Measure::Fraction { lower, upper } => {
                out.set(place, None, bucket_fraction(lower.get(place.step), upper.get(place.step), buckets))?;
            }
            Measure::Quantiles { qs, label } => {
                for q in qs {
                    let q = q.get(place.step);
                    let (quantile, forced) = bucket_quantile(q, buckets);
                    if let Some(forced) = forced {
                        let time_ms = place.grid.time_ms(place.step);
                        self.annotations.forced_monotonicity(ForcedMonotonicity {
                            metric: place.family.labels.metric_name().to_owned(),
                            position: place.span.start,
                            first_ms: time_ms,
                            last_ms: time_ms,
                            bucket_min: forced.bucket_min,
                            bucket_max: forced.bucket_max,
                            diff_max: forced.diff_max,
                            count: 1,
                        });
                    }
                    out.set(place, label.as_deref().map(|label| (label, q)), quantile)?;
                }
            }
        }
        Ok(())
    }
}

fn is_float(column: &Column, step: usize) -> bool {
    column.present.get(step) && column.histogram(step).is_none()
}

/// Which histogram at which step.
struct Place<'a> {
    number: usize,
    family: &'a Family,
    step: usize,
    grid: &'a Grid,
    /// The histograms' argument.
    span: &'a Span,
}

/// Results by histogram, and by the value of the quantile label.
struct Results {
    ledger: Ledger,
    series: Vec<Series>,
    places: HashMap<(usize, Option<u64>), usize>,
}

impl Results {
    fn set(&mut self, place: &Place<'_>, label: Option<(&str, f64)>, value: f64) -> Result<(), QueryError> {
        let key = (place.number, label.map(|(_, q)| q.to_bits()));
        let at = match self.places.get(&key) {
            Some(at) => *at,
            None => {
                let charge = Some(self.ledger.take_column(place.grid.count)?);
                let labels = label
                    .map_or_else(|| place.family.labels.clone(), |(name, q)| with_quantile(place, name, q));
                let column = Column::empty(place.grid.count);
                self.series.push(Series { labels, drop_name: true, column, charge });
                self.places.insert(key, self.series.len() - 1);
                self.series.len() - 1
            }
        };
        self.series[at].column.set(place.step, value);
        Ok(())
    }
}

fn with_quantile(place: &Place<'_>, name: &str, q: f64) -> Labels {
    let mut builder: LabelsBuilder = place.family.labels.to_builder();
    builder.set(name, &model::number::format_float_as(q, model::number::FloatFormat::OpenMetrics));
    builder.build()
}

/// A bucket of a classic histogram: how many observations were at most `upper`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    upper: f64,
    count: f64,
}

/// What had to be repaired where counts fell with rising bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Forced {
    bucket_min: f64,
    bucket_max: f64,
    diff_max: f64,
}

/// Sorts buckets and merges those with the same bound. Returns whether the last bound is infinite.
fn order_buckets(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    let complete = buckets.last().is_some_and(|last| last.upper == f64::INFINITY);
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    complete
}

/// Makes counts rise with bounds. Differences that rounding explains are repaired without notice.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Forced> {
    const TOLERANCE: f64 = 1e-12;
    let mut forced: Option<Forced> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        let close = (count - before).abs() / (count.abs() + before.abs()) < TOLERANCE;
        if close {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let forced = forced.get_or_insert(Forced {
                bucket_min: bucket.upper,
                bucket_max: bucket.upper,
                diff_max: 0.0,
            });
            forced.bucket_max = bucket.upper;
            forced.diff_max = forced.diff_max.max(before - count);
        } else {
            before = count;
        }
    }
    forced
}

/// The quantile of a classic histogram, interpolated linearly inside its bucket.
fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if !order_buckets(buckets) {
        return (f64::NAN, None);
    }
    let forced = make_monotonic(buckets);
    if buckets.len() < 2 {
        return (f64::NAN, None);
    }
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if observations == 0.0 || observations.is_nan() {
        return (f64::NAN, None);
    }
    let mut rank = q * observations;
    let found = buckets[..last].partition_point(|bucket| bucket.count < rank);
    // Nothing is known about values beyond the last finite bound.
    if found == last {
        return (buckets[last - 1].upper, forced);
    }
    if found == 0 && buckets[0].upper <= 0.0 {
        return (buckets[0].upper, forced);
    }
    let (mut start, end, mut count) = (0.0, buckets[found].upper, buckets[found].count);
    if found > 0 {
        start = buckets[found - 1].upper;
        count -= buckets[found - 1].count;
        rank -= buckets[found - 1].count;
    }
    (start + (end - start) * (rank / count), forced)
}

/// The share of a classic histogram's observations between two values.
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !order_buckets(buckets) {
        return f64::NAN;
    }
    make_monotonic(buckets);
    let all = buckets[buckets.len() - 1].count;
    if all == 0.0 || all.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank_of = |value: f64| {
        let mut rank = 0.0;
        for (at, bucket) in buckets.iter().enumerate() {
            let start = match at {
                // Observations of the lowest bucket are taken to be positive, if they can be.
                0 if bucket.upper > 0.0 => 0.0,
                0 => f64::NEG_INFINITY,
                _ => buckets[at - 1].upper,
            };
            if start >= value {
                return rank;
            }
            if bucket.upper > value {
                if start == f64::NEG_INFINITY {
                    return bucket.count;
                }
                return rank + (bucket.count - rank) * (value - start) / (bucket.upper - start);
            }
            rank = bucket.count;
        }
        all
    };
    (rank_of(upper).min(all) - rank_of(lower).min(all)) / all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn quantiles_are_interpolated_inside_their_bucket() {
        let check = |q: f64, pairs: &[(f64, f64)], want: f64| {
            let got = bucket_quantile(q, &mut buckets(pairs)).0;
            assert!(
                (got - want).abs() < 1e-12 || got == want || (got.is_nan() && want.is_nan()),
                "{q}: {got}, not {want}"
            );
        };
        let sound = [(0.1, 5.0), (0.2, 7.0), (1.0, 11.0), (f64::INFINITY, 12.0)];
        check(0.0, &sound, 0.0);
        check(0.5, &sound, 0.15);
        check(1.0, &sound, 1.0);
        check(0.5, &[(1.0, 5.0)], f64::NAN);
        check(0.5, &[(f64::INFINITY, 5.0)], f64::NAN);
        check(2.0, &sound, f64::INFINITY);
        check(0.1, &[(-1.0, 5.0), (0.0, 6.0), (f64::INFINITY, 6.0)], -1.0);
    }

    #[test]
    fn falling_counts_are_repaired_and_reported() {
        let mut falling = buckets(&[(0.1, 5.0), (0.2, 4.0), (1.0, 10.0), (f64::INFINITY, 8.0)]);
        let (quantile, forced) = bucket_quantile(0.5, &mut falling);
        assert_eq!(quantile, 0.1);
        assert_eq!(forced, Some(Forced { bucket_min: 0.2, bucket_max: f64::INFINITY, diff_max: 2.0 }));
        let mut rounded = buckets(&[(0.1, 5.000_000_000_000_001), (f64::INFINITY, 5.0)]);
        assert_eq!(bucket_quantile(0.5, &mut rounded).1, None);
    }

    #[test]
    fn fractions_are_the_inverse_of_quantiles() {
        let sound = [(2.0, 1.0), (4.0, 2.0), (6.0, 3.0), (f64::INFINITY, 3.0)];
        assert!((bucket_fraction(0.0, 3.5, &mut buckets(&sound)) - 1.75 / 3.0).abs() < 1e-12);
        assert_eq!(bucket_fraction(0.0, 6.0, &mut buckets(&sound)), 1.0);
        assert_eq!(bucket_fraction(6.0, 6.0, &mut buckets(&sound)), 0.0);
    }
}
