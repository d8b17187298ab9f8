//! Every change in order, and the file system as it was after each.
//!
//! Why: to try a crash after every operation, the engine under test need run only once. Its changes are played
//! back one by one; after each, the files that a crash there would leave can be taken and opened.

use super::SimFs;
use super::state::{Change, State};

/// Changes of a [`SimFs`] in order.
#[derive(Debug, Clone)]
pub struct History {
    start: State,
    changes: Vec<Change>,
}

impl History {
    pub(super) fn starting_from(start: State) -> Self {
        Self { start, changes: Vec::new() }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Plays the changes back, from none of them on.
    pub fn replay(&self) -> Replay<'_> {
        Replay { state: self.start.clone(), changes: &self.changes, done: 0 }
    }
}

/// The file system between two changes of a history.
#[derive(Debug)]
pub struct Replay<'a> {
    state: State,
    changes: &'a [Change],
    done: usize,
}

impl Replay<'_> {
    /// How many changes were played back; the same number as [`SimFs::op_count`] was then.
    pub fn op_count(&self) -> u64 {
        self.done as u64
    }

    /// Plays back one more change; `false` if there is none.
    pub fn advance(&mut self) -> bool {
        let Some(change) = self.changes.get(self.done) else { return false };
        self.state.apply(change);
        self.done += 1;
        true
    }

    /// What the last change was, for messages.
    pub fn last_change(&self) -> String {
        self.done
            .checked_sub(1)
            .map_or_else(|| "nothing".to_owned(), |at| self.state.describe(&self.changes[at]))
    }

    /// The files as a restarted machine finds them if the machine had stopped here.
    pub fn after_crash(&self, seed: u64) -> SimFs {
        SimFs::with_state(self.state.after_crash(seed), seed)
    }
}
