//! Warnings and infos that a query gathers on its way, in Prometheus' words.
//!
//! Each is kept once, in order of appearance, with the position of the expression it is about. Texts end in
//! `(line:column)`, both from 1, columns in bytes as Prometheus counts them.

use std::fmt::Write;

use hashbrown::HashSet;

use crate::ast::Span;

/// The most texts of each kind a query keeps; a query over many metrics could otherwise yield one for each.
const ANNOTATIONS_MAX: usize = 1_000;

/// How serious it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Level {
    Warning,
    Info,
}

/// How serious, the text, and where in the query.
pub(crate) type Annotation = (Level, String, usize);

/// What a query gathers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Annotations {
    seen: HashSet<Annotation>,
    ordered: Vec<Annotation>,
    monotonicity: Vec<ForcedMonotonicity>,
}

/// Classic histograms whose buckets fell and were repaired, summed up over all steps.
#[derive(Debug, Clone)]
pub(crate) struct ForcedMonotonicity {
    /// The metric's name.
    pub(crate) metric: String,
    /// Where the argument stands.
    pub(crate) position: usize,
    /// Times of the first and last step it happened at.
    pub(crate) first_ms: i64,
    /// See `first_ms`.
    pub(crate) last_ms: i64,
    /// Lowest and highest bound of a repaired bucket.
    pub(crate) bucket_min: f64,
    /// See `bucket_min`.
    pub(crate) bucket_max: f64,
    /// Largest repair.
    pub(crate) diff_max: f64,
    /// How often.
    pub(crate) count: u64,
}

impl Annotations {
    /// All of them, if none sums up several steps.
    pub(crate) fn plain(&self) -> Option<&[Annotation]> {
        self.monotonicity.is_empty().then_some(&self.ordered)
    }

    /// Says again what was said about a kept result.
    pub(crate) fn repeat(&mut self, annotation: &Annotation) {
        self.insert(annotation.clone());
    }

    /// The same about an equal part elsewhere: what stood at `from` stands at `to` there.
    pub(crate) fn moved(&self, from: usize, to: usize) -> Self {
        let place = |position: usize| position.wrapping_sub(from).wrapping_add(to);
        let mut moved = Self::default();
        for (level, text, position) in &self.ordered {
            moved.insert((*level, text.clone(), place(*position)));
        }
        moved.monotonicity = self.monotonicity.clone();
        for repaired in &mut moved.monotonicity {
            repaired.position = place(repaired.position);
        }
        moved
    }

    /// Adds those of another part of the query.
    pub(crate) fn absorb(&mut self, other: Self) {
        other.ordered.into_iter().for_each(|entry| self.insert(entry));
        other.monotonicity.into_iter().for_each(|repaired| self.forced_monotonicity(repaired));
    }

    /// Adds a warning about the expression at `span`.
    pub(crate) fn warn(&mut self, span: &Span, text: impl Into<String>) {
        self.add(Level::Warning, span, text.into());
    }

    /// Adds an info about the expression at `span`.
    pub(crate) fn info(&mut self, span: &Span, text: impl Into<String>) {
        self.add(Level::Info, span, text.into());
    }

    fn add(&mut self, level: Level, span: &Span, text: String) {
        self.insert((level, text, span.start));
    }

    fn insert(&mut self, entry: Annotation) {
        if self.ordered.len() >= 2 * ANNOTATIONS_MAX {
            return;
        }
        if !self.seen.contains(&entry) {
            self.seen.insert(entry.clone());
            self.ordered.push(entry);
        }
    }

    /// Adds a repaired classic histogram; those of one metric and position become one info.
    pub(crate) fn forced_monotonicity(&mut self, new: ForcedMonotonicity) {
        let known =
            self.monotonicity.iter().position(|k| k.metric == new.metric && k.position == new.position);
        match known {
            Some(at) => {
                let known = &mut self.monotonicity[at];
                known.first_ms = known.first_ms.min(new.first_ms);
                known.last_ms = known.last_ms.max(new.last_ms);
                known.bucket_min = known.bucket_min.min(new.bucket_min);
                known.bucket_max = known.bucket_max.max(new.bucket_max);
                known.diff_max = known.diff_max.max(new.diff_max);
                known.count += new.count;
            }
            None if self.monotonicity.len() < ANNOTATIONS_MAX => self.monotonicity.push(new),
            None => {}
        }
    }

    /// Texts of warnings and infos about `query`.
    pub(crate) fn into_texts(self, query: &str) -> (Vec<String>, Vec<String>) {
        let (mut warnings, mut infos) = (Vec::new(), Vec::new());
        for (level, text, position) in self.ordered {
            let (kind, into) = match level {
                Level::Warning => ("warning", &mut warnings),
                Level::Info => ("info", &mut infos),
            };
            into.push(format!("PromQL {kind}: {text} ({})", line_and_column(query, position)));
        }
        for repaired in self.monotonicity {
            infos.push(repaired.text(query));
        }
        (warnings, infos)
    }
}

impl ForcedMonotonicity {
    fn text(&self, query: &str) -> String {
        let mut text = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
            https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
            .to_owned();
        if !self.metric.is_empty() {
            text.push_str(&for_metric(&self.metric));
        }
        let time = |ms: i64| {
            jiff::Timestamp::from_second(ms.div_euclid(1000))
                .map_or_else(|_| ms.to_string(), |t| t.to_string())
        };
        let _ = write!(
            text,
            ", from buckets {} to {}, with a max diff of {}, over {} samples from {} to {} ({})",
            general(self.bucket_min),
            general(self.bucket_max),
            two_digits(self.diff_max),
            self.count,
            time(self.first_ms),
            time(self.last_ms),
            line_and_column(query, self.position)
        );
        text
    }
}

/// ` for metric name "x"`, or nothing if there is no name.
pub(crate) fn for_metric(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let mut text = " for metric name ".to_owned();
    quote_into(&mut text, name);
    text
}

/// A name in quotes.
pub(crate) fn quoted(name: &str) -> String {
    let mut text = String::new();
    quote_into(&mut text, name);
    text
}

fn quote_into(text: &mut String, name: &str) {
    model::labels::write_quoted(text, name).expect("writing to a string cannot fail");
}

/// A number as Go's `%g` prints it.
pub(crate) fn general(value: f64) -> String {
    model::number::format_float_as(value, model::number::FloatFormat::General)
}

/// Go's `%.2g`: two significant digits.
fn two_digits(value: f64) -> String {
    // Rounding to the digits first leaves the shortest text the same as Go's.
    format!("{value:.1e}").parse().map_or_else(|_| general(value), general)
}

/// `line:column` of a byte of the query.
pub(crate) fn line_and_column(query: &str, position: usize) -> String {
    let before = &query.as_bytes()[..position.min(query.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_comes_once_with_its_position() {
        let mut annotations = Annotations::default();
        for _ in 0..2 {
            annotations.warn(&(6..9), "this is odd");
            annotations.info(&(0..1), "this is known");
        }
        let (warnings, infos) = annotations.into_texts("sum(\n a)");
        assert_eq!(warnings, ["PromQL warning: this is odd (2:2)"]);
        assert_eq!(infos, ["PromQL info: this is known (1:1)"]);
    }
}
