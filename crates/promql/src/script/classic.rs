//! Classic histograms as native ones with custom buckets.

use std::collections::BTreeMap;

use model::{BucketSpan, FloatHistogram, Labels, METRIC_NAME, histogram::CUSTOM_BUCKETS_SCHEMA};

use super::points::{Point, SeriesPoints};

/// A classic histogram at one time.
#[derive(Debug, Default)]
struct Classic {
    /// Upper bounds and how many observations were at most that.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
}

/// The native histograms that the classic ones among `series` amount to.
pub(super) fn to_native(series: &[SeriesPoints]) -> Vec<SeriesPoints> {
    let mut families: BTreeMap<Labels, BTreeMap<usize, Classic>> = BTreeMap::new();
    for one in series {
        let name = one.labels.metric_name();
        let Some((base, part)) =
            name.rsplit_once('_').filter(|(_, part)| matches!(*part, "bucket" | "count" | "sum"))
        else {
            continue;
        };
        let bound = one.labels.get("le").and_then(|bound| model::number::parse_float(bound.as_bytes()).ok());
        let mut builder = one.labels.to_builder();
        builder.set(METRIC_NAME, base).remove("le");
        let family = families.entry(builder.build()).or_default();
        for (at, point) in one.points.iter().enumerate() {
            let Point::Float(value) = point else { continue };
            let classic = family.entry(at).or_default();
            match (part, bound) {
                ("bucket", Some(bound)) => classic.buckets.push((bound, *value)),
                ("count", _) => classic.count = Some(*value),
                ("sum", _) => classic.sum = Some(*value),
                _ => {}
            }
        }
    }
    let mut native = Vec::new();
    for (labels, family) in families {
        let Some(last) = family.keys().next_back() else { continue };
        let mut points = vec![Point::None; last + 1];
        let mut any = false;
        for (at, classic) in family {
            if let Some(histogram) = classic.into_native() {
                points[at] = Point::Histogram(Box::new(histogram));
                any = true;
            }
        }
        if any {
            native.push(SeriesPoints { labels, points, start_timestamps: false });
        }
    }
    native
}

impl Classic {
    fn into_native(mut self) -> Option<FloatHistogram> {
        if self.buckets.is_empty() {
            return None;
        }
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.buckets.dedup_by(|next, kept| next.0 == kept.0);
        let highest = self.buckets.last().filter(|bucket| bucket.0 == f64::INFINITY).map(|bucket| bucket.1);
        let count = self.count.or(highest).or(self.buckets.last().map(|bucket| bucket.1))?;
        let custom_values: Vec<f64> =
            self.buckets.iter().map(|bucket| bucket.0).filter(|bound| bound.is_finite()).collect();
        let mut cumulative: Vec<f64> =
            self.buckets.iter().filter(|bucket| bucket.0.is_finite()).map(|bucket| bucket.1).collect();
        cumulative.push(count);
        let mut before = 0.0;
        let mut counts = Vec::with_capacity(cumulative.len());
        for total in cumulative {
            if total < before {
                return None;
            }
            counts.push(total - before);
            before = total;
        }
        let histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum.unwrap_or(0.0),
            positive_spans: vec![BucketSpan { offset: 0, length: u32::try_from(counts.len()).ok()? }],
            positive_buckets: counts,
            custom_values,
            ..FloatHistogram::default()
        };
        Some(crate::histogram_math::compact(&histogram))
    }
}
