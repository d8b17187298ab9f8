//! What of a push was not written: every item counted by its reason, the first ones spelled out.

use std::fmt::Write;

use model::LabelsRef;
use storage::{Appended, BatchLabels, RawLabels, WriteBatch};

/// How many refusals an answer spells out; the others are counted.
const SHOWN_MAX: usize = 10;
/// What is shown of one refusal at most.
const SHOWN_BYTES_MAX: usize = 500;

/// Of labels so much is shown that the reason has its place behind them.
const LABELS_BYTES_MAX: usize = 300;

fn shown_labels(labels: LabelsRef<'_>) -> String {
    let mut text = labels.to_string();
    if text.len() > LABELS_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LABELS_BYTES_MAX));
        text.push('…');
    }
    text
}

/// Says what is wrong with raw labels; `None` if they are sound.
pub(crate) type ExplainRaw = fn(raw: &RawLabels<'_>) -> Option<String>;

/// What was refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    shown: Vec<String>,
    count: usize,
    by_reason: Vec<(&'static str, usize)>,
    ignored: Vec<(&'static str, usize)>,
}

impl Refusals {
    /// Notes that so many samples were refused. `text` names the item and says why; it is asked only if it will be shown.
    pub(crate) fn add(&mut self, reason: &'static str, samples: usize, text: impl FnOnce() -> String) {
        self.count += samples;
        match self.by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += samples,
            None => self.by_reason.push((reason, samples)),
        }
        if self.shown.len() < SHOWN_MAX {
            let mut text = text();
            if text.len() > SHOWN_BYTES_MAX {
                text.truncate(text.floor_char_boundary(SHOWN_BYTES_MAX));
                text.push('…');
            }
            self.shown.push(text);
        }
    }

    /// Takes over what was noted elsewhere.
    pub(crate) fn append(&mut self, other: Self) {
        self.count += other.count;
        for (reason, count) in other.by_reason {
            match self.by_reason.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, known)) => *known += count,
                None => self.by_reason.push((reason, count)),
            }
        }
        for (reason, items) in other.ignored {
            self.ignore(reason, items);
        }
        let room = SHOWN_MAX.saturating_sub(self.shown.len());
        self.shown.extend(other.shown.into_iter().take(room));
    }

    /// Notes that so many items were left out that no sample can hold, and that clients send all the same: no refusal.
    pub(crate) fn ignore(&mut self, reason: &'static str, items: usize) {
        match self.ignored.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += items,
            None => self.ignored.push((reason, items)),
        }
    }

    /// Items left out, by reason.
    pub(crate) fn ignored(&self) -> &[(&'static str, usize)] {
        &self.ignored
    }

    /// Notes what storage refused.
    pub(super) fn add_of_storage(
        &mut self,
        appended: &Appended,
        batch: &WriteBatch,
        explain_raw: ExplainRaw,
    ) {
        for rejected in &appended.rejected {
            let (reason, message) = (rejected.reason.as_str(), rejected.reason.message());
            match batch.labels(rejected.series) {
                BatchLabels::Raw(raw) => match explain_raw(&raw) {
                    // As if it had been noticed when the request was decoded.
                    Some(refused) => self.add("invalid", 1, || refused),
                    None => self.add(reason, 1, || {
                        let mut packed = String::new();
                        let labels = batch.labels(rejected.series).decode(&mut packed);
                        let labels = labels.map(shown_labels).unwrap_or_default();
                        format!("{labels} at {}: {message}", rejected.timestamp_ms)
                    }),
                },
                BatchLabels::Packed(labels) => {
                    self.add(reason, 1, || {
                        format!("{} at {}: {message}", shown_labels(labels), rejected.timestamp_ms)
                    });
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Samples refused.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Samples refused, by reason.
    pub(crate) fn by_reason(&self) -> &[(&'static str, usize)] {
        &self.by_reason
    }

    /// The refusals that are spelled out.
    pub(crate) fn shown(&self) -> &[String] {
        &self.shown
    }

    /// For people: a line that counts, then a line each for the first.
    pub(crate) fn into_text(self) -> String {
        let mut text = format!("{} samples were refused, all others are written", self.count);
        for refusal in &self.shown {
            write!(text, "\n{refusal}").expect("a String takes everything");
        }
        if self.count > self.shown.len() {
            text.push_str("\n…");
        }
        text
    }
}
