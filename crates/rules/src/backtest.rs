//! Backtests: what rules would have done over what is stored.
//!
//! Rules that do not depend on one another are evaluated as range queries, a piece of time at once, and the life of each alert is read
//! from its column of samples ([`life`](self)): 30 days of a rule take seconds. What recording rules yield stands in front of what is
//! stored (`overlay`), so that other rules read it. Groups whose rules depend on each other in ways that columns cannot tell (a rule that
//! reads what it or a later one writes, `ALERTS`, templates that query, limits) are evaluated step by step by the code that the server runs.
//!
//! Map: here what is asked and what comes out · `plan` which way each group goes · `columns` rules as range queries · `life` one alert ·
//! `steps` groups step by step · `overlay` what rules write · [`stats`] and [`compare`] what is made of it · [`reports`] what a notifier
//! would have heard. Nothing is written, and nobody is told. Queries are of the class that waits behind all others.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Labels, TenantId};
use promql::ast::{BinaryOp, Expr, ExprKind};
use promql::{AskedBy, Class, Engine, Origin, QueryError, QueryOptions};
use stdx::cancel::Cancel;
use stdx::clock::Clock;
use stdx::memory::{Budget, Reservation};
use storage::Querier;

use crate::env::Timing;
use crate::file::{Fault, RuleFile, RuleKind};
use crate::group::{Defaults, Group};
use crate::rule::Rule;

pub(crate) mod columns;
pub mod compare;
mod life;
mod overlay;
mod plan;
pub mod reports;
pub mod stats;
mod steps;

use overlay::Overlay;

/// More evaluations of a group are not made.
pub const STEPS_MAX: i64 = 1_000_000;
/// More alerts are not kept.
const EPISODES_MAX: usize = 200_000;
/// An episode, with its labels, roughly.
const EPISODE_BYTES: u64 = 512;

/// What is to be tried.
#[derive(Debug, Clone)]
pub struct Request {
    /// Rule files that were checked, by name.
    pub files: Vec<(String, Arc<RuleFile>)>,
    /// The first evaluation is the first multiple of the interval that is not before this.
    pub from_ms: i64,
    /// The last evaluation is not after this.
    pub to_ms: i64,
    /// Instead of the intervals of groups.
    pub step_ms: Option<i64>,
    /// What groups inherit.
    pub defaults: Defaults,
}

/// What is needed for it.
pub struct Deps<'a> {
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// Answers what is stored.
    pub querier: Arc<dyn Querier>,
    /// Whose it is.
    pub tenant: TenantId,
    /// For alerts, and for what recording rules yield.
    pub budget: Arc<Budget>,
    /// Measures time that nobody depends on.
    pub clock: Arc<dyn Clock>,
    /// How alerts are repeated.
    pub timing: Timing,
    /// Stops it.
    pub cancel: Cancel,
    /// Hears now and then which part is done, from 0 to 1.
    pub progress: &'a dyn Fn(f64),
}

/// It could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The end is not behind the start, the step is none, or there are too many steps.
    #[error("{0}")]
    Request(String),
    /// A rule that was not checked.
    #[error("{file}: {fault}")]
    Rule {
        /// Its file.
        file: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There is no more memory, or there are more alerts than anybody would read.
    #[error("{0}")]
    Limit(String),
    /// A query was stopped, or there was no room for it.
    #[error(transparent)]
    Query(QueryError),
    /// What was yielded could not be kept.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

/// One alert from its beginning to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Whose it is: a place in [`Outcome::rules`].
    pub rule: usize,
    /// What names it.
    pub labels: Labels,
    /// Since when it was there.
    pub pending_at_ms: i64,
    /// Since when it fired.
    pub fired_at_ms: Option<i64>,
    /// When it was resolved, or forgotten if it never fired; `None`: it was there at the end.
    pub ended_at_ms: Option<i64>,
    /// The lowest value.
    pub lowest: f64,
    /// The highest value.
    pub highest: f64,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// Its file.
    pub file: String,
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: RuleKind,
    /// Time between evaluations.
    pub interval_ms: i64,
    /// How long an alert must be there before it fires.
    pub for_ms: i64,
    /// Whether it watches for low values.
    pub is_below: bool,
    /// How often it was evaluated.
    pub evaluation_count: u64,
    /// How often that failed.
    pub failure_count: u64,
    /// Why, last.
    pub last_error: String,
    /// Samples that it yielded.
    pub sample_count: u64,
}

/// What would have been.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// All rules, in the order of files and groups.
    pub rules: Vec<Tried>,
    /// All alerts, pending ones included, in order of time.
    pub episodes: Vec<Episode>,
}

impl Episode {
    /// The value that was farthest beyond what the rule watches for.
    pub fn peak(&self, of: &Tried) -> f64 {
        if of.is_below { self.lowest } else { self.highest }
    }
}

/// Tries rules.
///
/// # Errors
/// If the request makes no sense, there is no room, or it was stopped. A rule that fails is no error: its outcome says so.
pub fn run(request: &Request, deps: &Deps<'_>) -> Result<Outcome, Error> {
    let groups = groups(request)?;
    let mut tried = Vec::new();
    for group in groups.iter() {
        tried.extend(group.rules().iter().map(|rule| Tried::new(group, rule)));
    }
    let written: BTreeSet<String> = plan::written(&groups);
    let first_ms = request.from_ms - groups.iter().map(Group::query_offset_ms).max().unwrap_or(0).max(0);
    let overlay = Overlay::new(Arc::clone(&deps.querier), written, first_ms, &deps.budget);
    let total = groups.iter().map(|group| group.rules().len() as u64 * step_count(request, group)).sum();
    let mut run = Run {
        request,
        deps,
        overlay: Arc::new(overlay),
        tried,
        episodes: Vec::new(),
        memory: deps.budget.reserve_none(),
        total,
        done: Cell::new(0),
    };
    let mut firsts = Vec::with_capacity(groups.len());
    let mut first = 0;
    for group in groups.iter() {
        firsts.push(first);
        first += group.rules().len();
    }
    for unit in plan::units(&groups) {
        match unit {
            plan::Unit::Columns { group, read } => {
                columns::run(&mut run, &groups[group], firsts[group], &read)?;
            }
            plan::Unit::Steps(members) => {
                let members: Vec<(&Group, usize)> =
                    members.into_iter().map(|group| (&groups[group], firsts[group])).collect();
                steps::run(&mut run, &members)?;
            }
        }
    }
    let mut episodes = run.episodes;
    episodes.sort_by(|a, b| {
        (a.pending_at_ms, a.rule).cmp(&(b.pending_at_ms, b.rule)).then_with(|| a.labels.cmp(&b.labels))
    });
    Ok(Outcome { rules: run.tried, episodes })
}

pub(crate) fn groups(request: &Request) -> Result<Vec<Group>, Error> {
    if request.to_ms <= request.from_ms {
        return Err(Error::Request("the end must be later than the start".to_owned()));
    }
    if request.step_ms.is_some_and(|step_ms| step_ms <= 0) {
        return Err(Error::Request("the step must be longer than nothing".to_owned()));
    }
    let mut groups = Vec::new();
    for (file, content) in &request.files {
        for spec in &content.groups {
            let mut spec = spec.clone();
            spec.interval_ms = request.step_ms.or(spec.interval_ms);
            let group = Group::new(file, &spec, &request.defaults, false);
            groups.push(group.map_err(|fault| Error::Rule { file: file.clone(), fault })?);
        }
    }
    for group in &groups {
        let steps = (request.to_ms - request.from_ms) / group.interval_ms().max(1);
        if steps > STEPS_MAX {
            return Err(Error::Request(format!(
                "group {:?} would be evaluated {steps} times, more than {STEPS_MAX}; ask for less time or a longer step",
                group.name()
            )));
        }
    }
    Ok(groups)
}

/// The evaluations of a group: the first, how many, how far apart.
pub(crate) fn times(request: &Request, group: &Group) -> (i64, i64, i64) {
    let interval_ms = group.interval_ms().max(1);
    let first_ms = -(-request.from_ms).div_euclid(interval_ms) * interval_ms;
    let count = if first_ms > request.to_ms { 0 } else { (request.to_ms - first_ms) / interval_ms + 1 };
    (first_ms, count, interval_ms)
}

fn step_count(request: &Request, group: &Group) -> u64 {
    times(request, group).1.unsigned_abs()
}

/// A backtest that is under way.
struct Run<'a> {
    request: &'a Request,
    deps: &'a Deps<'a>,
    overlay: Arc<Overlay>,
    tried: Vec<Tried>,
    episodes: Vec<Episode>,
    memory: Reservation,
    /// Evaluations of all rules.
    total: u64,
    done: Cell<u64>,
}

impl Run<'_> {
    fn options(&self, group: &Group) -> QueryOptions {
        let asked_by = AskedBy::RuleGroup { file: group.file().to_owned(), name: group.name().to_owned() };
        QueryOptions {
            class: Class::Batch,
            no_cache: true,
            origin: Origin { asked_by, source: "backtest of rules".to_owned(), ..Origin::default() },
            cancel: self.deps.cancel.clone(),
            ..QueryOptions::default()
        }
    }

    /// So many evaluations of a rule are done.
    fn add_done(&self, count: u64) {
        self.done.set(self.done.get() + count);
        (self.deps.progress)(self.done.get() as f64 / self.total.max(1) as f64);
    }

    /// Keeps what has ended, within bounds.
    fn keep(&mut self, episodes: &mut Vec<Episode>) -> Result<(), Error> {
        let exceeded =
            |error: stdx::memory::MemoryExceeded| Error::Limit(storage::Error::from(error).to_string());
        self.memory.grow(episodes.len() as u64 * EPISODE_BYTES).map_err(exceeded)?;
        self.episodes.append(episodes);
        if self.episodes.len() > EPISODES_MAX {
            let text = format!(
                "the rules yield more than {EPISODES_MAX} alerts; ask for less time, or for rules that yield fewer"
            );
            return Err(Error::Limit(text));
        }
        Ok(())
    }
}

impl Tried {
    fn new(group: &Group, rule: &Rule) -> Self {
        Self {
            file: group.file().to_owned(),
            group: group.name().to_owned(),
            name: rule.name().to_owned(),
            kind: rule.kind(),
            interval_ms: group.interval_ms(),
            for_ms: rule.spec().for_ms,
            is_below: is_below(&rule.expr),
            evaluation_count: 0,
            failure_count: 0,
            last_error: String::new(),
            sample_count: 0,
        }
    }
}

/// Whether an expression lets low values through.
fn is_below(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Paren(inner) => is_below(inner),
        ExprKind::Binary(binary) => match binary.op {
            BinaryOp::Lss | BinaryOp::Lte => true,
            BinaryOp::And | BinaryOp::Unless | BinaryOp::Or => is_below(&binary.lhs),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
