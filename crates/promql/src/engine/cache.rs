//! Results of range queries that are kept, so that a dashboard that refreshes evaluates only what is new.
//!
//! A result is kept for a tenant, a text, a step and where its steps lie (their phase); the steps of a later query are then among
//! them or follow them. Storage tells what has changed since it was made: steps that may be concerned are evaluated again, so that
//! an answer is the same as without the cache. What cannot be answered so is not kept (see `eligible`). Warnings and infos stay with
//! the steps they were said about, taken together as they were evaluated; what sums up steps in its text is not kept.
//!
//! Bounded in bytes and entries, and accounted. Who holds most loses first, so that no tenant pushes others out.

mod answer;
mod eligible;

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use hashbrown::HashMap as FastMap;
use model::{Labels, TenantId};
use parking_lot::Mutex;
use stdx::memory::{Budget, Reservation};
use storage::Changes;

use crate::annotations::Annotation;
use crate::ast::Expr;
use crate::error::QueryError;
use crate::eval::column::{Column, Series};
use crate::eval::grid::Grid;
use crate::eval::ledger::Ledger;
use crate::metrics::Metrics;

use eligible::Profile;

pub(super) use answer::Share;

/// Results that are kept at most, however small.
const ENTRIES_MAX: usize = 4_096;

/// Which results are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: TenantId,
    query: Arc<str>,
    durations_ms: Vec<i64>,
    step_ms: i64,
    /// Of the first step, within `step_ms`.
    phase_ms: i64,
    lookback_ms: i64,
}

/// What a query asks of the cache.
#[derive(Debug)]
pub(super) struct Question {
    key: Key,
    reach_ms: i64,
}

impl Question {
    /// `None` if the result of this expression cannot be put together from earlier ones.
    pub(super) fn new(
        (tenant, query): (&TenantId, &Arc<str>),
        expr: &Expr,
        grid: &Grid,
        lookback_ms: i64,
        subquery_step_ms: i64,
    ) -> Option<Self> {
        let Profile { durations_ms, reach_ms } = eligible::profile(expr, lookback_ms, subquery_step_ms)?;
        let key = Key {
            tenant: tenant.clone(),
            query: Arc::clone(query),
            durations_ms,
            step_ms: grid.step_ms,
            phase_ms: grid.start_ms.rem_euclid(grid.step_ms),
            lookback_ms,
        };
        Some(Self { key, reach_ms })
    }

    pub(super) fn tenant(&self) -> &TenantId {
        &self.key.tenant
    }
}

/// What is said about some steps of a kept result.
#[derive(Debug, Clone)]
struct Note {
    annotation: Annotation,
    /// Times of which one at least is meant, nobody knows which.
    about: RangeInclusive<i64>,
    /// Times beyond which none is meant.
    within: RangeInclusive<i64>,
}

impl Note {
    fn new(annotation: Annotation, grid: &Grid) -> Self {
        let times = grid.start_ms..=grid.end_ms();
        Self { annotation, about: times.clone(), within: times }
    }
}

/// Annotations of a result that is kept, at most; each refresh may add some.
const NOTES_MAX: usize = 100;

/// A kept result: series on a grid.
#[derive(Debug)]
pub(super) struct Extent {
    grid: Grid,
    series: Vec<(Labels, Column)>,
    notes: Vec<Note>,
    /// Of storage, before the oldest part of it was evaluated.
    pub(super) version: u64,
    bytes: u64,
}

impl Extent {
    /// Steps of `grid` that are known here and have not changed; possibly none.
    pub(super) fn usable(&self, grid: &Grid, question: &Question, changes: &Changes) -> Range<usize> {
        let is_good = |time_ms: i64| {
            time_ms < changes.touched_from_ms
                && time_ms.saturating_sub(question.reach_ms) >= changes.gone_before_ms
        };
        let step_ms = i128::from(grid.step_ms);
        let offset = (i128::from(self.grid.start_ms) - i128::from(grid.start_ms)) / step_ms;
        let clamp = |at: i128| usize::try_from(at.max(0)).unwrap_or(usize::MAX).min(grid.count);
        let mut steps = clamp(offset)..clamp(offset + self.grid.count as i128);
        while steps.start < steps.end && !is_good(grid.time_ms(steps.start)) {
            steps.start += 1;
        }
        while steps.start < steps.end && !is_good(grid.time_ms(steps.end - 1)) {
            steps.end -= 1;
        }
        steps
    }
}

/// A part of a result: series on some steps of the query's grid.
pub(super) enum Piece<'a> {
    /// Out of an extent.
    Kept(&'a Extent, Range<usize>),
    /// Evaluated, from this step on.
    New(usize, Vec<Series>),
}

/// Puts pieces together: one series for each label set, on the whole grid.
///
/// # Errors
/// If it would be more than the query may hold.
pub(super) fn assemble(
    grid: &Grid,
    pieces: Vec<Piece<'_>>,
    ledger: &Ledger,
) -> Result<Vec<Series>, QueryError> {
    let mut places: FastMap<Labels, usize> = FastMap::new();
    let mut whole: Vec<Series> = Vec::new();
    let mut add = |labels: &Labels, column: &Column, from: Range<usize>, to: usize| {
        if !column.present.ones().any(|at| from.contains(&at)) {
            return Ok(());
        }
        let place = match places.get(labels.packed()) {
            Some(place) => *place,
            None => {
                let mut series =
                    Series { labels: labels.clone(), column: Column::empty(grid.count), ..Series::default() };
                series.charge = Some(ledger.take(0, series.size_bytes())?);
                whole.push(series);
                places.insert(labels.clone(), whole.len() - 1);
                whole.len() - 1
            }
        };
        for at in column.present.ones().filter(|at| from.contains(at)) {
            whole[place].column.copy_cell(to + at - from.start, column, at);
        }
        Ok::<(), QueryError>(())
    };
    for piece in pieces {
        match piece {
            Piece::Kept(extent, steps) => {
                let skipped = (grid.time_ms(steps.start) - extent.grid.start_ms) / grid.step_ms;
                let from = usize::try_from(skipped).unwrap_or(0);
                for (labels, column) in &extent.series {
                    add(labels, column, from..from + steps.len(), steps.start)?;
                }
            }
            Piece::New(to, series) => {
                for one in &series {
                    add(&one.labels, &one.column, 0..one.column.len(), to)?;
                }
            }
        }
    }
    Ok(whole)
}

/// Where kept results are.
#[derive(Debug)]
pub(super) struct ResultCache {
    state: Mutex<State>,
    bytes_max: u64,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    entries: HashMap<Key, Entry>,
    bytes: u64,
    reservation: Reservation,
    /// Goes up with every question.
    now: u64,
}

#[derive(Debug)]
struct Entry {
    extent: Arc<Extent>,
    used_at: u64,
}

impl ResultCache {
    /// Keeps at most so many bytes, taken from `budget`. With 0 nothing is kept.
    pub(super) fn new(budget: &Arc<Budget>, bytes_max: u64, metrics: Metrics) -> Self {
        let state = State { entries: HashMap::new(), bytes: 0, reservation: budget.reserve_none(), now: 0 };
        Self { state: Mutex::new(state), bytes_max, metrics }
    }

    pub(super) fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    pub(super) fn get(&self, question: &Question) -> Option<Arc<Extent>> {
        let state = &mut *self.state.lock();
        state.now += 1;
        let entry = state.entries.get_mut(&question.key)?;
        entry.used_at = state.now;
        Some(Arc::clone(&entry.extent))
    }

    /// Keeps a result if there is memory for it, and makes room.
    fn insert(&self, question: Question, grid: &Grid, version: u64, series: &[Series], notes: Vec<Note>) {
        let notes = merge_notes(notes);
        if notes.len() > NOTES_MAX {
            return;
        }
        let text = question.key.query.len() + question.key.durations_ms.len() * 8;
        let held: u64 = series.iter().map(Series::size_bytes).sum();
        let said: usize = notes.iter().map(|note| size_of_val(note) + note.annotation.1.len()).sum();
        let bytes = held + (text + said + size_of::<(Key, Entry, Extent)>() * 2) as u64;
        if bytes > self.bytes_max / 4 {
            return;
        }
        let state = &mut *self.state.lock();
        state.remove(&question.key);
        while state.bytes + bytes > self.bytes_max || state.entries.len() >= ENTRIES_MAX {
            if !state.evict() {
                break;
            }
        }
        // Others may need the memory more.
        while state.reservation.resize(state.bytes + bytes).is_err() {
            if !state.evict() {
                return;
            }
        }
        state.now += 1;
        state.bytes += bytes;
        let series = series.iter().map(|one| (one.labels.clone(), one.column.clone())).collect();
        let extent = Arc::new(Extent { grid: *grid, series, notes, version, bytes });
        state.entries.insert(question.key, Entry { extent, used_at: state.now });
        self.report(state);
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        let state = &mut *self.state.lock();
        state.entries.clear();
        state.bytes = 0;
        state.reservation.shrink(u64::MAX);
        self.report(state);
    }

    fn report(&self, state: &State) {
        self.metrics.cache_bytes.set(i64::try_from(state.bytes).unwrap_or(i64::MAX));
        self.metrics.cache_entries.set(state.entries.len() as i64);
    }
}

/// The same said about several parts, once: about the latest, which is asked for longest while time goes on.
fn merge_notes(notes: Vec<Note>) -> Vec<Note> {
    let mut merged: Vec<Note> = Vec::new();
    for note in notes {
        match merged.iter_mut().find(|known| known.annotation == note.annotation) {
            Some(known) => {
                let (first, last) = (known.within.start(), known.within.end());
                known.within = *first.min(note.within.start())..=*last.max(note.within.end());
                if known.about.start() < note.about.start() {
                    known.about = note.about;
                }
            }
            None => merged.push(note),
        }
    }
    merged
}

impl State {
    fn remove(&mut self, key: &Key) {
        if let Some(gone) = self.entries.remove(key) {
            self.bytes -= gone.extent.bytes;
        }
    }

    /// Forgets what the tenant that holds most has not asked for longest; `false` if there is nothing.
    fn evict(&mut self) -> bool {
        let mut held: HashMap<&TenantId, u64> = HashMap::new();
        for (key, entry) in &self.entries {
            *held.entry(&key.tenant).or_default() += entry.extent.bytes;
        }
        let most = held.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(tenant, _)| tenant);
        let of_most = self.entries.iter().filter(|(key, _)| Some(&key.tenant) == most);
        let Some(oldest) = of_most.min_by_key(|(_, entry)| entry.used_at).map(|(key, _)| key.clone()) else {
            return false;
        };
        self.remove(&oldest);
        true
    }
}

#[cfg(test)]
mod tests;
