//! Operators between two vectors: series are paired by the hash of the labels they match on, once for all steps.
//!
//! In most queries each match group has one series on either side at all steps, and the operator runs over two
//! columns. A group may hold several series that take turns in time; only where two of the "one" side are
//! there at the same step is the pairing ambiguous, and the query fails.

use hashbrown::HashMap;

use model::{Labels, LabelsBuilder};

use crate::ast::{BinaryOp, Cardinality, Span, VectorMatching};
use crate::error::QueryError;
use crate::plan::Binary;

use super::binary::{Notes, Outcome, cells, changes_metric};
use super::column::{Bits, Column, Series};
use super::grid::Grid;
use super::ledger::Ledger;
use super::merge::{is_metadata_label, merge_same_labels};
use super::{Evaluator, Sink};

/// The series of both sides that match each other.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) left: Vec<usize>,
    pub(super) right: Vec<usize>,
}

impl Evaluator<'_> {
    pub(super) fn stream_join(
        &mut self,
        binary: &Binary,
        span: &Span,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let matching = binary.matching.clone().unwrap_or_default();
        let left = self.collect(&binary.lhs, grid)?;
        let right = self.collect(&binary.rhs, grid)?;
        let joined = if binary.op.is_set_operator() {
            set_operation(binary.op, left, right, &matching, grid)
        } else {
            let mut notes = Notes::default();
            let joined =
                Join::new(binary, &matching, grid, self.ledger.clone(), left, right).run(&mut notes)?;
            notes.report(binary.op, span, &mut self.annotations);
            joined
        };
        for mut series in merge_same_labels(joined)? {
            if series.column.present.any() {
                self.ledger.pass(series.column.sample_count())?;
                sink(&mut series)?;
            }
        }
        Ok(())
    }
}

/// The labels two series are matched on.
struct Signature<'a> {
    names: Vec<&'a str>,
    on: bool,
}

impl<'a> Signature<'a> {
    fn of(matching: &'a VectorMatching) -> Self {
        let mut names: Vec<&str> = matching.labels.iter().map(String::as_str).collect();
        names.sort_unstable();
        Self { names, on: matching.on }
    }

    fn keeps(&self, name: &str) -> bool {
        let named = self.names.binary_search(&name).is_ok();
        if self.on { named } else { !named && name != model::METRIC_NAME }
    }

    fn labels(&self, labels: &Labels) -> Labels {
        labels.without(|name| !self.keeps(name))
    }

    fn write(&self, labels: &Labels, into: &mut String) {
        into.clear();
        for (name, value) in labels {
            if self.keeps(name) {
                model::labels::pack(into, name, value);
            }
        }
    }
}

/// Groups the series of both sides; also says which group each belongs to.
pub(super) fn group(
    left: &[Series],
    right: &[Series],
    matching: &VectorMatching,
) -> (Vec<Group>, Vec<usize>, Vec<usize>) {
    let signature = Signature::of(matching);
    let mut numbers: HashMap<String, usize> = HashMap::with_capacity(left.len().max(right.len()));
    let mut groups: Vec<Group> = Vec::new();
    let mut text = String::new();
    let mut number_all = |side: &[Series], is_left: bool| {
        let mut of_series = Vec::with_capacity(side.len());
        for (at, series) in side.iter().enumerate() {
            signature.write(&series.labels, &mut text);
            let number = match numbers.get(text.as_str()) {
                Some(number) => *number,
                None => {
                    numbers.insert(text.clone(), groups.len());
                    groups.push(Group::default());
                    groups.len() - 1
                }
            };
            let group = &mut groups[number];
            if is_left {
                group.left.push(at);
            } else {
                group.right.push(at);
            }
            of_series.push(number);
        }
        of_series
    };
    let of_left = number_all(left, true);
    let of_right = number_all(right, false);
    (groups, of_left, of_right)
}

/// At which steps any of some series has a sample.
pub(super) fn union_of<'a>(series: impl IntoIterator<Item = &'a Series>, steps: usize) -> Bits {
    let mut union = Bits::none(steps);
    for one in series {
        union.union(&one.column.present);
    }
    union
}

fn restrict(column: &mut Column, to: &Bits) {
    column.present.intersect(to);
}

fn set_operation(
    op: BinaryOp,
    mut left: Vec<Series>,
    mut right: Vec<Series>,
    matching: &VectorMatching,
    grid: &Grid,
) -> Vec<Series> {
    let (groups, of_left, of_right) = group(&left, &right, matching);
    let presence = |side: &[Series], members: fn(&Group) -> &Vec<usize>| -> Vec<Bits> {
        groups.iter().map(|group| union_of(members(group).iter().map(|at| &side[*at]), grid.count)).collect()
    };
    match op {
        BinaryOp::Or => {
            let on_left = presence(&left, |group| &group.left);
            for (series, group) in right.iter_mut().zip(&of_right) {
                series.column.present.subtract(&on_left[*group]);
            }
            left.append(&mut right);
        }
        BinaryOp::Unless => {
            let on_right = presence(&right, |group| &group.right);
            for (series, group) in left.iter_mut().zip(&of_left) {
                series.column.present.subtract(&on_right[*group]);
            }
        }
        _ => {
            let on_right = presence(&right, |group| &group.right);
            for (series, group) in left.iter_mut().zip(&of_left) {
                restrict(&mut series.column, &on_right[*group]);
            }
        }
    }
    left
}

/// An operation between two vectors that is no set operation.
///
/// "Many" and "one" name the sides here; for `group_right` the right side is the many.
struct Join<'a> {
    binary: &'a Binary,
    matching: &'a VectorMatching,
    grid: &'a Grid,
    ledger: Ledger,
    many: Vec<Series>,
    one: Vec<Series>,
    /// Whether the many side stands on the right.
    swapped: bool,
    signature: Signature<'a>,
    builder: LabelsBuilder,
    out: Vec<Series>,
}

impl<'a> Join<'a> {
    fn new(
        binary: &'a Binary,
        matching: &'a VectorMatching,
        grid: &'a Grid,
        ledger: Ledger,
        left: Vec<Series>,
        right: Vec<Series>,
    ) -> Self {
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        let signature = Signature::of(matching);
        Self {
            binary,
            matching,
            grid,
            ledger,
            many,
            one,
            swapped,
            signature,
            builder: LabelsBuilder::new(),
            out: Vec::new(),
        }
    }

    /// The value for a missing sample of the one side, and of the many side. As in Prometheus, `fill_right` is
    /// for the one side and `fill_left` for the many, even where `group_right` turns them round.
    fn fills(&self) -> (Option<f64>, Option<f64>) {
        (self.matching.fill.right, self.matching.fill.left)
    }

    fn run(mut self, notes: &mut Notes) -> Result<Vec<Series>, QueryError> {
        let (groups, of_many, _) = group(&self.many, &self.one, self.matching);
        // A step where one whole side is empty has no result, and so no ambiguity, unless something fills it.
        let fills = self.fills();
        let many_any =
            (fills.0.is_none() && fills.1.is_none()).then(|| union_of(&self.many, self.grid.count));
        for group in &groups {
            self.check_one_side(group, many_any.as_ref())?;
        }
        let mut matched: Vec<Matched> = groups.iter().map(|_| Matched::default()).collect();
        for (at, number) in of_many.into_iter().enumerate() {
            self.pair_all(at, &groups[number], &mut matched[number], notes)?;
        }
        if let (_, Some(fill)) = fills {
            for (group, matched) in groups.iter().zip(&mut matched) {
                self.fill_many(group, fill, matched, notes)?;
            }
        }
        Ok(self.out)
    }

    fn check_one_side(&self, group: &Group, many_any: Option<&Bits>) -> Result<(), QueryError> {
        let mut seen: Vec<&Series> = Vec::new();
        for at in &group.right {
            let series = &self.one[*at];
            for other in &seen {
                let mut both = series.column.present.clone();
                both.intersect(&other.column.present);
                if let Some(many_any) = many_any {
                    both.intersect(many_any);
                }
                if both.any() {
                    return Err(self.duplicate(series, other));
                }
            }
            seen.push(series);
        }
        Ok(())
    }

    fn duplicate(&self, a: &Series, b: &Series) -> QueryError {
        let side = if self.swapped { "left" } else { "right" };
        let (first, second) = if a.labels <= b.labels { (a, b) } else { (b, a) };
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];\
             many-to-many matching not allowed: matching labels must be unique on one side",
            self.signature.labels(&a.labels),
            first.labels,
            second.labels
        ))
    }

    /// Pairs one series of the many side with those of the one side.
    fn pair_all(
        &mut self,
        at: usize,
        group: &Group,
        matched: &mut Matched,
        notes: &mut Notes,
    ) -> Result<(), QueryError> {
        let many = std::mem::take(&mut self.many[at]);
        for one_at in &group.right {
            let one = std::mem::take(&mut self.one[*one_at]);
            let result = self.pair(&many, &one, matched, notes);
            self.one[*one_at] = one;
            result?;
        }
        if let (Some(fill), _) = self.fills() {
            let mut missing = many.column.present.clone();
            missing.subtract(&union_of(group.right.iter().map(|at| &self.one[*at]), self.grid.count));
            if missing.any() {
                let labels = self.signature.labels(&many.labels);
                let one = Series { labels, column: Column::constant(fill, missing), ..Series::default() };
                self.pair(&many, &one, matched, notes)?;
            }
        }
        self.many[at] = many;
        Ok(())
    }

    /// Gives each sample of the one side that found no partner one with the value `fill`.
    fn fill_many(
        &mut self,
        group: &Group,
        fill: f64,
        matched: &mut Matched,
        notes: &mut Notes,
    ) -> Result<(), QueryError> {
        for one_at in &group.right {
            let one = std::mem::take(&mut self.one[*one_at]);
            let mut missing = one.column.present.clone();
            missing.subtract(&union_of(group.left.iter().map(|at| &self.many[*at]), self.grid.count));
            let labels = self.signature.labels(&one.labels);
            let many = Series { labels, column: Column::constant(fill, missing), ..Series::default() };
            let result =
                if many.column.present.any() { self.pair(&many, &one, matched, notes) } else { Ok(()) };
            self.one[*one_at] = one;
            result?;
        }
        Ok(())
    }

    /// Applies the operator where both series have a sample.
    fn pair(
        &mut self,
        many: &Series,
        one: &Series,
        matched: &mut Matched,
        notes: &mut Notes,
    ) -> Result<(), QueryError> {
        let mut both = many.column.present.clone();
        both.intersect(&one.column.present);
        if !both.any() {
            return Ok(());
        }
        let charge = Some(self.ledger.take_column(self.grid.count)?);
        let (left, right) = if self.swapped { (one, many) } else { (many, one) };
        let mut column = Column::empty(self.grid.count);
        let plain =
            !left.column.has_histograms() && !right.column.has_histograms() && changes_metric(self.binary.op);
        if plain {
            float_columns(self.binary.op, &left.column, &right.column, &mut column);
            column.present = both.clone();
        } else {
            for at in both.clone().ones() {
                self.apply(at, left, right, &mut column, &mut both, notes);
            }
        }
        let labels = self.result_labels(&many.labels, &one.labels);
        self.claim(&labels, both, matched)?;
        let drop_name = if self.binary.return_bool { true } else { many.drop_name };
        self.out.push(Series { labels, drop_name, column, charge });
        Ok(())
    }

    fn apply(
        &self,
        at: usize,
        left: &Series,
        right: &Series,
        column: &mut Column,
        both: &mut Bits,
        notes: &mut Notes,
    ) {
        let (Some(left), Some(right)) = (left.column.get(at), right.column.get(at)) else { return };
        match cells(self.binary.op, &left, &right, notes) {
            // An undefined operation is as if there had been no pair.
            Outcome::Undefined => both.clear(at),
            Outcome::Filtered if self.binary.return_bool => column.set(at, 0.0),
            Outcome::Filtered => {}
            _ if self.binary.return_bool => column.set(at, 1.0),
            Outcome::Float(value) => column.set(at, value),
            Outcome::Histogram(histogram) => column.set_histogram(at, histogram),
        }
    }

    /// Notes the steps at which a pair was made, and fails if another pair of the group was there before.
    fn claim(&self, labels: &Labels, both: Bits, matched: &mut Matched) -> Result<(), QueryError> {
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let key = if one_to_one { Labels::empty() } else { labels.clone() };
        let taken = matched.0.entry(key).or_insert_with(|| Bits::none(self.grid.count));
        if taken.first_common(&both).is_some() {
            let text = if one_to_one {
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            } else {
                "multiple matches for labels: grouping labels must ensure unique matches"
            };
            return Err(QueryError::Execution(text.to_owned()));
        }
        taken.union(&both);
        Ok(())
    }

    fn result_labels(&mut self, many: &Labels, one: &Labels) -> Labels {
        let builder = &mut self.builder;
        builder.reset_to(many.as_ref());
        if changes_metric(self.binary.op) {
            builder.retain(|name, _| !is_metadata_label(name));
        }
        if self.matching.cardinality == Cardinality::OneToOne {
            let names = &self.signature.names;
            let on = self.matching.on;
            builder.retain(|name, _| names.binary_search(&name).is_ok() == on);
        }
        for name in &self.matching.include {
            builder.set(name, one.get(name).unwrap_or(""));
        }
        builder.build()
    }
}

/// At which steps a group has made a pair; for many-to-one, by the labels of the result.
#[derive(Debug, Default)]
struct Matched(HashMap<Labels, Bits>);

/// The hot case: all cells are floats. Cells without a partner are computed too, and not used.
fn float_columns(op: BinaryOp, left: &Column, right: &Column, out: &mut Column) {
    let cells = out.values.iter_mut().zip(left.values.iter().zip(&right.values));
    match op {
        BinaryOp::Add => cells.for_each(|(out, (left, right))| *out = left + right),
        BinaryOp::Sub => cells.for_each(|(out, (left, right))| *out = left - right),
        BinaryOp::Mul => cells.for_each(|(out, (left, right))| *out = left * right),
        BinaryOp::Div => cells.for_each(|(out, (left, right))| *out = left / right),
        _ => cells.for_each(|(out, (left, right))| *out = super::binary::arithmetic(op, *left, *right)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_keep_the_labels_matched_on() {
        let labels = Labels::from_pairs([("__name__", "m"), ("a", "1"), ("b", "2")]);
        let check = |on: bool, names: &[&str], want: &[(&str, &str)]| {
            let matching = VectorMatching {
                on,
                labels: names.iter().map(|n| (*n).to_owned()).collect(),
                ..VectorMatching::default()
            };
            assert_eq!(Signature::of(&matching).labels(&labels), Labels::from_pairs(want.iter().copied()));
        };
        check(true, &["a", "x"], &[("a", "1")]);
        check(true, &[], &[]);
        check(false, &[], &[("a", "1"), ("b", "2")]);
        check(false, &["b"], &[("a", "1")]);
    }
}
