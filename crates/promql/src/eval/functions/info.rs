//! `info()`: series get the labels of the info series (such as `target_info`) of the same instance and job.
//!
//! Which info series that is may change from step to step; a series whose labels change so becomes several.

use hashbrown::HashMap;

use model::{Labels, LabelsBuilder, LabelsRef, METRIC_NAME, MatchOp, Matcher};

use crate::error::QueryError;
use crate::eval::column::{Column, Series};
use crate::eval::grid::{Grid, Shift};
use crate::eval::ledger::Ledger;
use crate::eval::merge::merge_same_labels;
use crate::eval::{Evaluator, Sink, keep};
use crate::plan::{Call, Kind, Node, Select, WindowSource};

const TARGET_INFO: &str = "target_info";

/// Names of info metrics, by convention.
const INFO_METRICS: &str = ".+_info";

/// The labels by which an info series is found.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// Positions of the info series that a series is completed with at a step, one for each info metric at most.
type Choice = Vec<usize>;

/// Info series by metric name and identifying labels.
struct InfoSeries {
    /// Cells hold the timestamp of the sample, in milliseconds.
    series: Vec<Series>,
    /// Names of info metrics, in order of appearance.
    names: Vec<String>,
    groups: HashMap<(usize, String), Vec<usize>>,
    ledger: Ledger,
}

impl Evaluator<'_> {
    pub(super) fn stream_info(
        &mut self,
        call: &Call,
        grid: &Grid,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let given = match call.args.get(1).map(|arg| &arg.kind) {
            Some(Kind::Select(select)) => Some(&select.matchers),
            _ => None,
        };
        let target_info = Matcher::equal(METRIC_NAME, TARGET_INFO);
        let all: Vec<Matcher> = given.map_or_else(|| vec![target_info.clone()], Clone::clone);
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) =
            all.into_iter().partition(|m| m.name() == METRIC_NAME);
        let base = self.collect(&call.args[0], grid)?;
        // Where names are only excluded, those of all info metrics are meant otherwise.
        let says_which = names.iter().any(|matcher| matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex));
        if !names.is_empty() && !says_which {
            names.push(
                Matcher::new(MatchOp::Regex, METRIC_NAME, INFO_METRICS)
                    .map_err(|e| QueryError::Execution(e.to_string()))?,
            );
        }
        let is_info = |series: &Series| {
            !names.is_empty() && names.iter().all(|matcher| matcher.matches(series.labels.metric_name()))
        };
        let shift = first_shift(&call.args[0]).unwrap_or(Shift { at_ms: None, offset_ms: 0 });
        let names_or_default = if names.is_empty() { vec![target_info] } else { names.clone() };
        let infos =
            self.info_series(base.iter().filter(|one| !is_info(one)), names_or_default, &data, shift, grid)?;
        let needs_info = data.iter().any(|matcher| !matcher.matches_empty());
        let mut out = Vec::new();
        for mut one in base {
            self.check()?;
            if is_info(&one) {
                out.push(keep(&mut one, &self.ledger)?);
            } else {
                infos.complete(&one, &data, needs_info, &mut out)?;
            }
        }
        for mut one in merge_same_labels(out)? {
            self.ledger.pass(one.column.sample_count())?;
            sink(&mut one)?;
        }
        Ok(())
    }

    /// The info series that any of `base` can be completed with.
    fn info_series<'s>(
        &mut self,
        base: impl Iterator<Item = &'s Series>,
        names: Vec<Matcher>,
        data: &[Matcher],
        shift: Shift,
        grid: &Grid,
    ) -> Result<InfoSeries, QueryError> {
        let mut values: [Vec<String>; 2] = Default::default();
        for one in base {
            for (name, values) in IDENTIFYING.iter().zip(&mut values) {
                values.extend(one.labels.get(name).map(regex::escape));
            }
        }
        let mut infos = InfoSeries {
            series: Vec::new(),
            names: Vec::new(),
            groups: HashMap::new(),
            ledger: self.ledger.clone(),
        };
        if values.iter().all(Vec::is_empty) {
            return Ok(infos);
        }
        let mut matchers = names;
        matchers.extend_from_slice(data);
        for (name, values) in IDENTIFYING.iter().zip(&mut values) {
            values.sort_unstable();
            values.dedup();
            // Too many values for one expression only mean that more series are looked at.
            if !values.is_empty()
                && let Ok(matcher) = Matcher::new(MatchOp::Regex, name, &values.join("|"))
            {
                matchers.push(matcher);
            }
        }
        let select = Select {
            alternatives: Vec::new(),
            matchers,
            shift,
            hint: "info",
            extended: None,
            counts_only: false,
        };
        let ledger = self.ledger.clone();
        let mut series = Vec::new();
        self.stream_sample_times(&select, grid, &mut |one| {
            series.push(keep(one, &ledger)?);
            Ok(())
        })?;
        for one in series {
            infos.add(one);
        }
        Ok(infos)
    }
}

/// The `@` and `offset` of the first selector of an expression: info series are looked up at the same time.
fn first_shift(node: &Node) -> Option<Shift> {
    match &node.kind {
        Kind::Select(select) => Some(select.shift),
        Kind::Window(window) => match &window.source {
            WindowSource::Stored(select) => Some(select.shift),
            WindowSource::Subquery { node, .. } => first_shift(node).map(|inner| match inner.at_ms {
                Some(_) => inner,
                None => {
                    Shift { at_ms: window.shift.at_ms, offset_ms: window.shift.offset_ms + inner.offset_ms }
                }
            }),
        },
        Kind::Negate(inner) => first_shift(inner),
        Kind::Binary(binary) => first_shift(&binary.lhs).or_else(|| first_shift(&binary.rhs)),
        Kind::Aggregate(aggregate) => first_shift(&aggregate.input),
        Kind::Call(call) => call.args.iter().find_map(first_shift),
        Kind::Number(_) | Kind::Text(_) => None,
    }
}

/// The identifying labels of a series, packed.
fn identity(labels: &Labels) -> String {
    let mut packed = String::new();
    for (name, value) in labels.iter().filter(|(name, _)| IDENTIFYING.contains(name)) {
        model::labels::pack(&mut packed, name, value);
    }
    packed
}

impl InfoSeries {
    fn add(&mut self, series: Series) {
        let name = series.labels.metric_name();
        let number = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        self.groups.entry((number, identity(&series.labels))).or_default().push(self.series.len());
        self.series.push(series);
    }

    /// Adds what a series becomes with the labels of its info series.
    fn complete(
        &self,
        base: &Series,
        data: &[Matcher],
        needs_info: bool,
        out: &mut Vec<Series>,
    ) -> Result<(), QueryError> {
        let identity = identity(&base.labels);
        let candidates: Vec<&Vec<usize>> =
            (0..self.names.len()).filter_map(|number| self.groups.get(&(number, identity.clone()))).collect();
        let mut parts: HashMap<Choice, usize> = HashMap::new();
        let mut choice = Choice::new();
        for step in base.column.present.ones() {
            choice.clear();
            for group in &candidates {
                choice.extend(self.newest(group, step)?);
            }
            if choice.is_empty() && needs_info {
                continue;
            }
            let part = match parts.get(&choice) {
                Some(part) => *part,
                None => {
                    let labels = self.labels(base.labels.as_ref(), &choice, data)?;
                    let charge = Some(self.ledger.take_column(base.column.len())?);
                    let column = Column::empty(base.column.len());
                    out.push(Series { labels, drop_name: base.drop_name, column, charge });
                    parts.insert(choice.clone(), out.len() - 1);
                    out.len() - 1
                }
            };
            out[part].column.copy_cell(step, &base.column, step);
        }
        Ok(())
    }

    /// The series of a group with the latest sample at a step.
    fn newest(&self, group: &[usize], step: usize) -> Result<Option<usize>, QueryError> {
        let mut newest: Option<usize> = None;
        for at in group.iter().copied().filter(|at| self.series[*at].column.present.get(step)) {
            let time = |at: usize| self.series[at].column.values[step];
            match newest {
                Some(known) if time(known) > time(at) => {}
                Some(known) if time(known) == time(at) => {
                    let (existing, new) = (&self.series[known].labels, &self.series[at].labels);
                    return Err(QueryError::Execution(format!(
                        "found duplicate series for info metric: existing {existing} @ {}, new {new} @ {}",
                        time(known),
                        time(at)
                    )));
                }
                _ => newest = Some(at),
            }
        }
        Ok(newest)
    }

    /// Labels of a series with those of its info series that are asked for and that it does not have itself.
    fn labels(&self, base: LabelsRef<'_>, choice: &[usize], data: &[Matcher]) -> Result<Labels, QueryError> {
        let mut added = LabelsBuilder::new();
        for at in choice {
            for (name, value) in &self.series[*at].labels {
                let wanted = data.is_empty() || data.iter().any(|matcher| matcher.name() == name);
                if name == METRIC_NAME || !wanted {
                    continue;
                }
                if added.get(name).is_some_and(|known| known != value) {
                    return Err(QueryError::Execution(format!("conflicting label: {name}")));
                }
                if base.get(name).is_none() {
                    added.set(name, value);
                }
            }
        }
        let mut labels = LabelsBuilder::new();
        labels.reset_to(base);
        for (name, value) in added.iter() {
            labels.set(name, value);
        }
        Ok(labels.build())
    }
}
