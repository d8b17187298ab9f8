//! A trace (or whatever else identifies one event) beside a number.

use parking_lot::Mutex;

use crate::cell::now_ms;

/// Names and values together may have this many characters, by OpenMetrics' rule.
const LABEL_CHARS_MAX: usize = 128;

/// One event that a counter counted or a histogram observed, by labels such as `trace_id`.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
    pub(crate) timestamp_ms: u64,
}

/// Where the latest exemplar is kept. Whoever finds the place taken goes on without: nobody waits for an exemplar.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<Option<Box<Exemplar>>>);

impl Latest {
    /// Keeps it, if it is within OpenMetrics' limit and the place is free.
    pub(crate) fn offer(&self, labels: &[(&str, &str)], value: f64) {
        let chars: usize =
            labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum();
        if chars > LABEL_CHARS_MAX {
            return;
        }
        if let Some(mut place) = self.0.try_lock() {
            let labels =
                labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            *place = Some(Box::new(Exemplar { labels, value, timestamp_ms: now_ms() }));
        }
    }

    pub(crate) fn get(&self) -> Option<Exemplar> {
        self.0.lock().as_deref().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_kept_unless_its_labels_are_too_long() {
        let latest = Latest::default();
        latest.offer(&[("trace_id", "a")], 1.0);
        latest.offer(&[("trace_id", "b")], 2.0);
        latest.offer(&[("trace_id", &"c".repeat(LABEL_CHARS_MAX))], 3.0);
        let kept = latest.get().expect("one");
        assert_eq!((kept.labels[0].1.as_str(), kept.value), ("b", 2.0));
    }
}
