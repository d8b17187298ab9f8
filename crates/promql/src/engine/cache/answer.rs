//! Answers a range query from what is kept, and evaluates the rest.

use std::ops::Range;
use std::sync::Arc;

use super::{Extent, Note, Piece, Question, ResultCache, assemble};
use crate::engine::result::Evaluated;
use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::eval::column::Series;
use crate::eval::grid::Grid;
use crate::plan::Node;

/// How much of an answer was kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine) struct Share {
    pub(in crate::engine) kept_steps: usize,
}

/// What is said about the parts of an answer; `None` if it cannot be kept.
type Notes = Option<Vec<Note>>;

impl ResultCache {
    /// Evaluates `plan` on the steps that are not known, and keeps the result.
    pub(in crate::engine) fn answer(
        &self,
        evaluator: &mut Evaluator<'_>,
        plan: &Node,
        grid: &Grid,
        question: Question,
    ) -> Result<(Evaluated, Share), QueryError> {
        let known = self.get(&question);
        let since = known.as_ref().map_or(0, |known| known.version);
        let Some(changes) = evaluator.querier.changes(question.tenant(), since) else {
            self.metrics.cached("off", 0, grid.count);
            return Ok((evaluator.evaluate(plan, grid)?, Share::default()));
        };
        let kept = known.map(|known| (known.usable(grid, &question, &changes), known));
        let kept = kept.filter(|(steps, _)| !steps.is_empty());
        let is_known = kept.as_ref().is_some_and(|(steps, _)| steps.len() == grid.count);
        let mut notes = Some(Vec::new());
        let (series, kept_steps) = match kept {
            None => (evaluate(evaluator, plan, grid, &mut notes)?, 0),
            Some((steps, known)) => complete(evaluator, plan, grid, &known, steps, &mut notes)?,
        };
        let result = match kept_steps {
            0 => "miss",
            all if all == grid.count => "hit",
            _ => "partial",
        };
        self.metrics.cached(result, kept_steps, grid.count - kept_steps);
        if let Some(notes) = notes.filter(|_| !is_known) {
            self.insert(question, grid, changes.version, &series, notes);
        }
        Ok((Evaluated::Vector(series), Share { kept_steps }))
    }
}

/// Evaluates some steps, and notes what is said about them.
fn evaluate(
    evaluator: &mut Evaluator<'_>,
    plan: &Node,
    grid: &Grid,
    notes: &mut Notes,
) -> Result<Vec<Series>, QueryError> {
    let before = std::mem::take(&mut evaluator.annotations);
    let evaluated = evaluator.evaluate(plan, grid)?;
    let said = std::mem::replace(&mut evaluator.annotations, before);
    match (said.plain(), notes.as_mut()) {
        (Some(plain), Some(notes)) => {
            notes.extend(plain.iter().map(|annotation| Note::new(annotation.clone(), grid)));
        }
        _ => *notes = None,
    }
    evaluator.annotations.absorb(said);
    match evaluated {
        Evaluated::Vector(series) => Ok(series),
        _ => Err(QueryError::Execution("BUG: the cache was asked for what is no vector".to_owned())),
    }
}

/// Evaluates the steps before and after those that are kept; returns how many are. Or evaluates all of them, if something was said of which nobody knows
/// whether it was about steps that are asked for now.
fn complete(
    evaluator: &mut Evaluator<'_>,
    plan: &Node,
    grid: &Grid,
    known: &Arc<Extent>,
    steps: Range<usize>,
    notes: &mut Notes,
) -> Result<(Vec<Series>, usize), QueryError> {
    let part = |start: usize, count: usize| Grid { start_ms: grid.time_ms(start), count, ..*grid };
    let mut pieces = Vec::new();
    if steps.start > 0 {
        pieces.push(Piece::New(0, evaluate(evaluator, plan, &part(0, steps.start), notes)?));
    }
    let (end, kept) = (steps.end, part(steps.start, steps.len()));
    pieces.push(Piece::Kept(known, steps));
    if end < grid.count {
        pieces.push(Piece::New(end, evaluate(evaluator, plan, &part(end, grid.count - end), notes)?));
    }
    for note in &known.notes {
        let (first_ms, last_ms) =
            (*note.within.start().max(&kept.start_ms), *note.within.end().min(&kept.end_ms()));
        if first_ms > last_ms {
            continue;
        }
        let new = notes.iter().flatten().find(|new| new.annotation == note.annotation);
        let about = if *note.about.start() >= kept.start_ms && *note.about.end() <= kept.end_ms() {
            evaluator.annotations.repeat(&note.annotation);
            note.about.clone()
        } else if let Some(new) = new {
            new.about.clone()
        } else {
            *notes = Some(Vec::new());
            return Ok((evaluate(evaluator, plan, grid, notes)?, 0));
        };
        let note = Note { annotation: note.annotation.clone(), about, within: first_ms..=last_ms };
        notes.iter_mut().for_each(|notes| notes.push(note.clone()));
    }
    Ok((assemble(grid, pieces, &evaluator.ledger)?, kept.count))
}
