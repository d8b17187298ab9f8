//! `sort` and its kin. They order the result of an instant query; a range query is ordered by labels.

use std::cmp::Ordering;

use model::Labels;

use crate::ast::Span;
use crate::error::QueryError;
use crate::eval::column::Series;
use crate::eval::grid::Grid;
use crate::eval::{Evaluator, Sink};
use crate::plan::{Call, text_of};

impl Evaluator<'_> {
    pub(super) fn stream_sorted(
        &mut self,
        call: &Call,
        descending: bool,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        self.warn_if_ineffective(span);
        let mut series = self.collect(&call.args[0], grid)?;
        for one in &mut series {
            one.column.drop_histograms();
        }
        series.retain(|one| one.column.present.any());
        if grid.count == 1 {
            series.sort_by(|a, b| {
                let (a, b) = (a.column.values[0], b.column.values[0]);
                // NaN comes last either way.
                a.is_nan().cmp(&b.is_nan()).then_with(|| {
                    let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
                    if descending { order.reverse() } else { order }
                })
            });
        }
        emit(series, sink)
    }

    pub(super) fn stream_sorted_by_label(
        &mut self,
        call: &Call,
        descending: bool,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        self.warn_if_ineffective(span);
        let names: Vec<_> = call.args[1..].iter().map(text_of).collect();
        let mut series = self.collect(&call.args[0], grid)?;
        if grid.count == 1 {
            series.sort_by(|a, b| {
                let order = by_labels(&a.labels, &b.labels, names.iter().map(AsRef::as_ref));
                if descending { order.reverse() } else { order }
            });
        }
        emit(series, sink)
    }

    fn warn_if_ineffective(&mut self, span: &Span) {
        if self.is_range {
            let text = "sort is ineffective for range queries since results are always ordered by labels";
            self.annotations.warn(span, text);
        }
    }
}

fn emit(series: Vec<Series>, sink: &mut Sink<'_>) -> Result<(), QueryError> {
    for mut one in series {
        sink(&mut one)?;
    }
    Ok(())
}

fn by_labels<'a>(a: &Labels, b: &Labels, names: impl Iterator<Item = &'a str>) -> Ordering {
    for name in names {
        let order = natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or(""));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.cmp(b)
}

/// As people sort: runs of digits by their value, all else by bytes.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    while !a_rest.is_empty() && !b_rest.is_empty() {
        let (a_run, a_is_number) = run(a_rest);
        let (b_run, b_is_number) = run(b_rest);
        let order = if a_is_number && b_is_number {
            let (a_digits, b_digits) = (a_run.trim_start_matches('0'), b_run.trim_start_matches('0'));
            a_digits.len().cmp(&b_digits.len()).then_with(|| a_digits.cmp(b_digits))
        } else {
            a_run.cmp(b_run)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a_rest, b_rest) = (&a_rest[a_run.len()..], &b_rest[b_run.len()..]);
    }
    a_rest.len().cmp(&b_rest.len()).then_with(|| a.cmp(b))
}

/// The digits, or what is no digits, that a text begins with.
fn run(text: &str) -> (&str, bool) {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(text.len());
    (&text[..end], is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_are_compared_by_value() {
        let mut texts = ["4m600", "4m5", "4m1000", "10", "9", "a10b", "a9b", "1.111.3", "1.2.3"];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["1.2.3", "1.111.3", "4m5", "4m600", "4m1000", "9", "10", "a9b", "a10b"]);
    }
}
