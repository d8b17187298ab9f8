//! Two versions of rules over the same time: which alerts only one of them would have raised, and which at other times.

use std::collections::BTreeMap;

use model::Labels;

use super::{Episode, Outcome};

/// How two outcomes differ. Only alerts that fired count; they are the same if their labels are and they overlap.
#[derive(Debug, Default)]
pub struct Comparison<'a> {
    /// Alerts that only the old version raises.
    pub only_old: Vec<&'a Episode>,
    /// Alerts that only the new version raises.
    pub only_new: Vec<&'a Episode>,
    /// Alerts of both that begin to fire or end at other times: old and new.
    pub moved: Vec<(&'a Episode, &'a Episode)>,
    /// How many are the same.
    pub same_count: usize,
}

/// Compares two outcomes over the same time.
pub fn compare<'a>(old: &'a Outcome, new: &'a Outcome) -> Comparison<'a> {
    let mut by_labels: BTreeMap<&Labels, (Vec<&Episode>, Vec<&Episode>)> = BTreeMap::new();
    for episode in old.fired() {
        by_labels.entry(&episode.labels).or_default().0.push(episode);
    }
    for episode in new.fired() {
        by_labels.entry(&episode.labels).or_default().1.push(episode);
    }
    let mut comparison = Comparison::default();
    for (old, new) in by_labels.into_values() {
        comparison.pair(&old, &new);
    }
    let time = |episode: &&Episode| (episode.fired_at_ms, episode.pending_at_ms);
    comparison.only_old.sort_by_key(time);
    comparison.only_new.sort_by_key(time);
    comparison.moved.sort_by_key(|(_, new)| time(new));
    comparison
}

impl<'a> Comparison<'a> {
    /// Alerts of the same labels, each list in order of time.
    fn pair(&mut self, old: &[&'a Episode], new: &[&'a Episode]) {
        let mut new = new.iter().peekable();
        for old in old {
            while let Some(before) = new.next_if(|new| ends(new) <= old.pending_at_ms) {
                self.only_new.push(before);
            }
            match new.next_if(|new| new.pending_at_ms < ends(old)) {
                Some(new) if (new.fired_at_ms, new.ended_at_ms) == (old.fired_at_ms, old.ended_at_ms) => {
                    self.same_count += 1;
                }
                Some(new) => self.moved.push((old, new)),
                None => self.only_old.push(old),
            }
        }
        self.only_new.extend(new);
    }
}

fn ends(episode: &Episode) -> i64 {
    episode.ended_at_ms.unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(times: &[(i64, i64, Option<i64>)]) -> Outcome {
        let episode = |(pending_at_ms, fired_at_ms, ended_at_ms): &(i64, i64, Option<i64>)| Episode {
            rule: 0,
            labels: Labels::from_pairs([("a", "b")]),
            pending_at_ms: *pending_at_ms,
            fired_at_ms: Some(*fired_at_ms),
            ended_at_ms: *ended_at_ms,
            lowest: 0.0,
            highest: 0.0,
        };
        Outcome { rules: Vec::new(), episodes: times.iter().map(episode).collect() }
    }

    #[track_caller]
    fn check(
        old: &[(i64, i64, Option<i64>)],
        new: &[(i64, i64, Option<i64>)],
        want: (usize, usize, usize, usize),
    ) {
        let (old, new) = (outcome(old), outcome(new));
        let found = compare(&old, &new);
        let got = (found.only_old.len(), found.only_new.len(), found.moved.len(), found.same_count);
        assert_eq!(got, want, "only old, only new, moved, same");
    }

    #[test]
    fn alerts_that_overlap_are_one() {
        check(&[(0, 5, Some(10))], &[(0, 5, Some(10))], (0, 0, 0, 1));
        check(&[(0, 5, Some(10))], &[(0, 8, Some(10))], (0, 0, 1, 0));
        check(&[(0, 5, Some(10))], &[(10, 12, None)], (1, 1, 0, 0));
        check(&[(0, 5, None)], &[(90, 95, None)], (0, 0, 1, 0));
        check(&[], &[(0, 5, None)], (0, 1, 0, 0));
        check(&[(0, 5, None)], &[], (1, 0, 0, 0));
    }

    #[test]
    fn of_several_each_is_met_once() {
        check(&[(0, 5, Some(100))], &[(0, 5, Some(20)), (40, 45, Some(100))], (0, 1, 1, 0));
        check(&[(0, 5, Some(20)), (40, 45, Some(100))], &[(0, 5, Some(100))], (1, 0, 1, 0));
    }
}
