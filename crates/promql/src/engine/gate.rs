//! Lets so many queries of each class run at the same time; others wait their turn, or until they are stopped.
//!
//! Alerts have slots and a queue of their own. All others share their slots, of which each class may take so many; whoever
//! waits in a higher class goes first. The queue is bounded: when it is full, the newest of the lowest class goes away.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use stdx::cancel::{Cancel, Stopped};

use super::class::Class;
use super::settings::Settings;
use crate::error::QueryError;

/// How often a waiting query looks whether it must stop. A flag cannot wake it.
const POLL: Duration = Duration::from_millis(50);
/// How much one run changes what is known about the usual length of runs.
const SMOOTHING: f64 = 0.1;

#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Slots of each class.
    slots: [usize; 4],
    /// Slots that all but alerts share.
    shared_slots: usize,
    waiting_max: usize,
    running: [usize; 4],
    /// Tickets of those who wait, in order of arrival.
    waiting: [VecDeque<u64>; 4],
    /// Tickets of those who were sent away and do not know yet.
    shed: Vec<u64>,
    next_ticket: u64,
    /// Smoothed length of runs, in seconds.
    usual_s: f64,
}

impl Gate {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut state = State {
            slots: [0; 4],
            shared_slots: 0,
            waiting_max: 0,
            running: [0; 4],
            waiting: Default::default(),
            shed: Vec::new(),
            next_ticket: 0,
            usual_s: 0.0,
        };
        state.take_settings(settings);
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// New numbers of slots. Who runs goes on running.
    pub(super) fn reload(&self, settings: &Settings) {
        self.state.lock().take_settings(settings);
        self.changed.notify_all();
    }

    /// How many queries of a class wait.
    #[cfg(test)]
    pub(super) fn waiting(&self, class: Class) -> usize {
        self.state.lock().waiting[class as usize].len()
    }

    /// Waits for a slot, which is given back when the result is dropped.
    pub(super) fn enter(
        &self,
        class: Class,
        cancel: &Cancel,
        deadline: Option<Instant>,
    ) -> Result<Slot<'_>, QueryError> {
        let mut state = self.state.lock();
        if state.waiting[class as usize].is_empty() && state.may_start(class) {
            return Ok(self.start(state, class));
        }
        state.make_room(class)?;
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting[class as usize].push_back(ticket);
        // Somebody may have been sent away.
        self.changed.notify_all();
        loop {
            if let Some(at) = state.shed.iter().position(|shed| *shed == ticket) {
                state.shed.swap_remove(at);
                return Err(state.overloaded(class));
            }
            if state.waiting[class as usize].front() == Some(&ticket) && state.may_start(class) {
                state.waiting[class as usize].pop_front();
                // There may be a slot for the next one, too.
                self.changed.notify_all();
                return Ok(self.start(state, class));
            }
            let timed_out = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let stopped = if timed_out { Err(Stopped::TimedOut) } else { cancel.check() };
            if let Err(stopped) = stopped {
                state.waiting[class as usize].retain(|waiting| *waiting != ticket);
                self.changed.notify_all();
                return Err(super::stopped_in(stopped, "query queue"));
            }
            self.changed.wait_for(&mut state, POLL);
        }
    }

    /// A slot if there is a free one and nobody waits for it.
    pub(super) fn try_enter(&self, class: Class) -> Option<Slot<'_>> {
        let state = self.state.lock();
        let is_free = state.waiting[class as usize].is_empty() && state.may_start(class);
        is_free.then(|| self.start(state, class))
    }

    fn start(&self, mut state: MutexGuard<'_, State>, class: Class) -> Slot<'_> {
        state.running[class as usize] += 1;
        Slot { gate: self, class, started: Instant::now() }
    }
}

impl State {
    fn take_settings(&mut self, settings: &Settings) {
        self.slots = Class::ALL.map(|class| settings.slots(class));
        self.shared_slots = settings.concurrent_max.max(1);
        self.waiting_max = settings.waiting_max;
    }

    /// Whether the first one of a class who waits may start now.
    fn may_start(&self, class: Class) -> bool {
        self.has_slot(class)
            && (class == Class::Alert
                || Class::ALL[1..class as usize]
                    .iter()
                    .all(|higher| self.waiting[*higher as usize].is_empty() || !self.has_slot(*higher)))
    }

    fn has_slot(&self, class: Class) -> bool {
        let is_free = self.running[class as usize] < self.slots[class as usize];
        is_free && (class == Class::Alert || self.running[1..].iter().sum::<usize>() < self.shared_slots)
    }

    /// Sends somebody away if the queue is full: the newest of the lowest class, and that may be the one who asks.
    fn make_room(&mut self, class: Class) -> Result<(), QueryError> {
        if class == Class::Alert {
            let is_full = self.waiting[0].len() >= self.waiting_max;
            return if is_full { Err(self.overloaded(class)) } else { Ok(()) };
        }
        if self.waiting[1..].iter().map(VecDeque::len).sum::<usize>() < self.waiting_max {
            return Ok(());
        }
        let lower = &Class::ALL[class as usize + 1..];
        let victim = lower.iter().rev().find_map(|lower| self.waiting[*lower as usize].pop_back());
        self.shed.push(victim.ok_or_else(|| self.overloaded(class))?);
        Ok(())
    }

    fn overloaded(&self, class: Class) -> QueryError {
        let waiting: usize = self.waiting[1..].iter().map(VecDeque::len).sum();
        let rounds = waiting as f64 / self.shared_slots as f64 + 1.0;
        let retry_after_s = (rounds * self.usual_s).ceil().clamp(1.0, 60.0) as u64;
        QueryError::Overloaded { class, running: self.running.iter().sum(), waiting, retry_after_s }
    }
}

/// The right to run.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    gate: &'a Gate,
    class: Class,
    started: Instant,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let ran_s = self.started.elapsed().as_secs_f64();
        let mut state = self.gate.state.lock();
        state.running[self.class as usize] -= 1;
        state.usual_s += (ran_s - state.usual_s) * SMOOTHING;
        drop(state);
        self.gate.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
