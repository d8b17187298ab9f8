//! Silences: conditions under which nobody is told, for a time. What may be changed and how is Alertmanager's.
//!
//! Pure: [`Silences::plan`] says what would change, somebody makes that durable, [`Silences::apply`] puts it in force. So a
//! silence that was acknowledged is one that is on disk.

use std::collections::BTreeMap;

use model::{Labels, MatchOp, Matcher};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::interval::TimeInterval;
use crate::matchers;

/// How long a silence that has ended can still be looked at.
pub const RETENTION_MS: i64 = 120 * 3_600_000;
/// More are not taken.
const SILENCES_MAX: usize = 100_000;
/// A larger one is refused.
const SILENCE_BYTES_MAX: usize = 64 << 10;

/// Where a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SilenceState {
    /// In force.
    Active,
    /// Not yet in force.
    Pending,
    /// Over.
    Expired,
}

impl SilenceState {
    /// Whether it is in force.
    pub fn holds(self) -> bool {
        self == Self::Active
    }
}

/// One condition of a silence, as the API has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SilenceMatcher {
    /// Whether the condition is that it holds, or that it does not.
    #[serde(default = "yes")]
    pub is_equal: bool,
    /// Whether the value is an expression.
    pub is_regex: bool,
    /// The label's name.
    pub name: String,
    /// Its value.
    pub value: String,
}

fn yes() -> bool {
    true
}

impl SilenceMatcher {
    fn op(&self) -> MatchOp {
        match (self.is_equal, self.is_regex) {
            (true, false) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (false, true) => MatchOp::NotRegex,
        }
    }

    /// The same as silences say it.
    pub fn of(matcher: &Matcher) -> Self {
        let op = matcher.op();
        Self {
            is_equal: matches!(op, MatchOp::Equal | MatchOp::Regex),
            is_regex: matches!(op, MatchOp::Regex | MatchOp::NotRegex),
            name: matcher.name().to_owned(),
            value: matcher.value().to_owned(),
        }
    }
}

/// When a recurring silence is in force: in any of these intervals, in Alertmanager's syntax.
#[derive(Debug, Clone)]
pub struct Recurrence {
    /// As they were written.
    written: Value,
    intervals: Vec<TimeInterval>,
}

impl Recurrence {
    /// Whether a moment lies in one of them.
    pub fn contains(&self, at_ms: i64) -> bool {
        self.intervals.iter().any(|interval| interval.contains(at_ms))
    }
}

impl PartialEq for Recurrence {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Recurrence {}

impl Serialize for Recurrence {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

/// `{"time_intervals": [...]}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRecurrence {
    time_intervals: Vec<TimeInterval>,
}

impl<'de> Deserialize<'de> for Recurrence {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let written = Value::deserialize(deserializer)?;
        let read: WrittenRecurrence = serde_json::from_value(written.clone()).map_err(D::Error::custom)?;
        if read.time_intervals.is_empty() {
            return Err(D::Error::custom(
                "recurrence: time_intervals is empty; say when the silence is in force",
            ));
        }
        Ok(Self { written, intervals: read.time_intervals })
    }
}

/// What somebody wants to be silent. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Names it; empty: a new one.
    pub id: String,
    /// All must hold.
    pub matchers: Vec<SilenceMatcher>,
    /// When it begins.
    pub starts_at_ms: i64,
    /// When it ends.
    pub ends_at_ms: i64,
    /// When it was changed last.
    pub updated_at_ms: i64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// When it is in force from its beginning to its end; nothing: all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
}

impl Silence {
    /// Where it stands at a moment. Between two of its intervals a recurring one is pending.
    pub fn state_at(&self, now_ms: i64) -> SilenceState {
        let state = self.span_state_at(now_ms);
        let is_between = self.recurrence.as_ref().is_some_and(|recurrence| !recurrence.contains(now_ms));
        if state == SilenceState::Active && is_between { SilenceState::Pending } else { state }
    }

    /// Whether it is in force and ends within a time. One that is no longer than that as a whole never does: whoever made it knows.
    pub(crate) fn ends_within(&self, now_ms: i64, within_ms: i64) -> bool {
        let is_long = self.ends_at_ms.saturating_sub(self.starts_at_ms) > within_ms;
        is_long && self.ends_at_ms <= now_ms.saturating_add(within_ms) && self.state_at(now_ms).holds()
    }

    /// Whether its beginning has come and its end has not.
    fn span_state_at(&self, now_ms: i64) -> SilenceState {
        if now_ms < self.starts_at_ms {
            SilenceState::Pending
        } else if now_ms > self.ends_at_ms {
            SilenceState::Expired
        } else {
            SilenceState::Active
        }
    }

    fn compile(&self) -> Result<Vec<Matcher>, SilenceError> {
        let compile = |(at, matcher): (usize, &SilenceMatcher)| {
            let invalid = |why: String| SilenceError::Invalid(format!("invalid label matcher {at}: {why}"));
            if matcher.name.is_empty() {
                return Err(invalid(format!("invalid label name {:?}", matcher.name)));
            }
            Matcher::new(matcher.op(), &matcher.name, &matcher.value)
                .map_err(|error| invalid(error.to_string()))
        };
        self.matchers.iter().enumerate().map(compile).collect()
    }

    fn check(&self) -> Result<Vec<Matcher>, SilenceError> {
        let invalid = |text: &str| Err(SilenceError::Invalid(text.to_owned()));
        if self.matchers.is_empty() {
            return invalid("at least one matcher required");
        }
        let compiled = self.compile()?;
        if compiled.iter().all(Matcher::matches_empty) {
            return invalid("at least one matcher must not match the empty string");
        }
        if self.ends_at_ms < self.starts_at_ms {
            return invalid("end time must not be before start time");
        }
        let texts = self.matchers.iter().map(|matcher| matcher.name.len() + matcher.value.len());
        let recurrence =
            self.recurrence.as_ref().map_or(0, |recurrence| recurrence.written.to_string().len());
        if texts.sum::<usize>() + recurrence + self.created_by.len() + self.comment.len() > SILENCE_BYTES_MAX
        {
            return invalid("the silence is larger than 64 KiB; shorten its matchers or its comment");
        }
        Ok(compiled)
    }
}

/// A silence that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// There is none of that name.
    #[error("silence not found")]
    NotFound,
    /// It says nothing that could be.
    #[error("{0}")]
    Invalid(String),
    /// There are as many as there may be.
    #[error("there are {SILENCES_MAX} silences already; expire some")]
    TooMany,
}

/// A silence with its conditions ready to be asked.
#[derive(Debug)]
struct Kept {
    silence: Silence,
    matchers: Vec<Matcher>,
}

/// All silences.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    kept: BTreeMap<String, Kept>,
}

impl Silences {
    /// Those of before a restart. One that cannot be read any more is reported by its name and left out.
    pub(crate) fn load(silences: Vec<Silence>) -> (Self, Vec<(String, SilenceError)>) {
        let (mut all, mut faults) = (Self::default(), Vec::new());
        for silence in silences {
            match silence.compile() {
                Ok(matchers) => {
                    all.kept.insert(silence.id.clone(), Kept { silence, matchers });
                }
                Err(error) => faults.push((silence.id, error)),
            }
        }
        (all, faults)
    }

    /// What changes if `wanted` is made or changed; the last is the one that holds then. A silence whose change would
    /// rewrite what has happened already ends, and a new one takes its place.
    pub(crate) fn plan(
        &self,
        mut wanted: Silence,
        now_ms: i64,
        new_id: impl FnOnce() -> String,
    ) -> Result<Vec<Silence>, SilenceError> {
        wanted.updated_at_ms = now_ms;
        wanted.check()?;
        let mut changes = Vec::new();
        if !wanted.id.is_empty() {
            let old = &self.kept.get(&wanted.id).ok_or(SilenceError::NotFound)?.silence;
            if can_update(old, &wanted, now_ms) {
                return Ok(vec![wanted]);
            }
            changes.extend(expired(old, now_ms));
        }
        if self.kept.len() >= SILENCES_MAX {
            return Err(SilenceError::TooMany);
        }
        wanted.id = new_id();
        wanted.starts_at_ms = wanted.starts_at_ms.max(now_ms);
        if wanted.ends_at_ms < wanted.starts_at_ms {
            return Err(SilenceError::Invalid("end time must not be before start time".to_owned()));
        }
        changes.push(wanted);
        Ok(changes)
    }

    /// What changes if a silence ends now; nothing if it has ended.
    pub(crate) fn plan_expiry(&self, id: &str, now_ms: i64) -> Result<Option<Silence>, SilenceError> {
        let kept = self.kept.get(id).ok_or(SilenceError::NotFound)?;
        Ok(expired(&kept.silence, now_ms))
    }

    /// Puts a change in force.
    pub(crate) fn apply(&mut self, change: Silence) -> Result<(), SilenceError> {
        let matchers = change.compile()?;
        self.kept.insert(change.id.clone(), Kept { silence: change, matchers });
        Ok(())
    }

    /// Names of silences in force that hold for these labels.
    pub(crate) fn muting(&self, labels: &Labels, now_ms: i64) -> Vec<String> {
        let mutes = |kept: &&Kept| {
            kept.silence.state_at(now_ms) == SilenceState::Active
                && kept.matchers.iter().all(|matcher| matcher.matches_labels(labels.as_ref()))
        };
        self.kept.values().filter(mutes).map(|kept| kept.silence.id.clone()).collect()
    }

    /// Those that end within a time.
    pub(crate) fn ending(&self, now_ms: i64, within_ms: i64) -> impl Iterator<Item = &Silence> {
        self.all().filter(move |silence| silence.ends_within(now_ms, within_ms))
    }

    /// Whether the conditions of one of them hold for these labels, be it in force or not.
    pub(crate) fn names(&self, id: &str, labels: &Labels) -> bool {
        self.kept
            .get(id)
            .is_some_and(|kept| kept.matchers.iter().all(|matcher| matcher.matches_labels(labels.as_ref())))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Silence> {
        self.kept.values().map(|kept| &kept.silence)
    }

    /// One of them.
    pub(crate) fn get(&self, id: &str) -> Option<&Silence> {
        self.kept.get(id).map(|kept| &kept.silence)
    }

    /// Those whose conditions are all that `filter` asks for: active ones first that end soonest, then pending ones that
    /// begin soonest, then those that ended last.
    pub(crate) fn list(&self, filter: &[Matcher], now_ms: i64) -> Vec<Silence> {
        let meets = |kept: &&Kept| filter.iter().all(|wanted| asks_for(&kept.silence, wanted));
        let mut found: Vec<Silence> =
            self.kept.values().filter(meets).map(|kept| kept.silence.clone()).collect();
        found.sort_by_cached_key(|silence| {
            let state = silence.state_at(now_ms);
            let order = match state {
                SilenceState::Active => silence.ends_at_ms,
                SilenceState::Pending => silence.starts_at_ms,
                SilenceState::Expired => -silence.ends_at_ms,
            };
            (state, order, silence.id.clone())
        });
        found
    }

    /// How many are active, pending and expired.
    pub(crate) fn counts(&self, now_ms: i64) -> [usize; 3] {
        let mut counts = [0; 3];
        for kept in self.kept.values() {
            counts[kept.silence.state_at(now_ms) as usize] += 1;
        }
        counts
    }

    /// Forgets what ended long ago, and says which.
    pub(crate) fn collect_garbage(&mut self, now_ms: i64) -> Vec<String> {
        let is_old = |kept: &Kept| kept.silence.ends_at_ms.saturating_add(RETENTION_MS) < now_ms;
        let old: Vec<String> =
            self.kept.iter().filter(|(_, kept)| is_old(kept)).map(|(id, _)| id.clone()).collect();
        for id in &old {
            self.kept.remove(id);
        }
        old
    }
}

/// Whether one of a silence's conditions is `wanted`, to the letter.
fn asks_for(silence: &Silence, wanted: &Matcher) -> bool {
    let is_wanted = |matcher: &SilenceMatcher| {
        (matcher.op(), matcher.name.as_str(), matcher.value.as_str())
            == (wanted.op(), wanted.name(), wanted.value())
    };
    silence.matchers.iter().any(is_wanted)
}

/// The same with its end now; nothing if it has ended.
fn expired(silence: &Silence, now_ms: i64) -> Option<Silence> {
    let mut ended = silence.clone();
    ended.updated_at_ms = now_ms;
    match silence.span_state_at(now_ms) {
        SilenceState::Expired => return None,
        SilenceState::Active => ended.ends_at_ms = now_ms,
        SilenceState::Pending => {
            ended.starts_at_ms = now_ms;
            ended.ends_at_ms = now_ms;
        }
    }
    // At this very moment it would still be in force.
    ended.ends_at_ms = ended.ends_at_ms.saturating_sub(1);
    ended.starts_at_ms = ended.starts_at_ms.min(ended.ends_at_ms);
    Some(ended)
}

/// Whether a silence may become another without changing what has happened.
fn can_update(old: &Silence, new: &Silence, now_ms: i64) -> bool {
    if old.matchers != new.matchers || old.recurrence != new.recurrence {
        return false;
    }
    match old.span_state_at(now_ms) {
        SilenceState::Active => {
            old.starts_at_ms.div_euclid(1_000) == new.starts_at_ms.div_euclid(1_000)
                && new.ends_at_ms >= now_ms
        }
        SilenceState::Pending => new.starts_at_ms >= now_ms,
        SilenceState::Expired => false,
    }
}

/// Conditions ready to be asked, checked as those of a silence.
pub(crate) fn compile(matchers: Vec<SilenceMatcher>) -> Result<Vec<Matcher>, SilenceError> {
    let silence = Silence {
        id: String::new(),
        matchers,
        starts_at_ms: 0,
        ends_at_ms: 0,
        updated_at_ms: 0,
        created_by: String::new(),
        comment: String::new(),
        recurrence: None,
    };
    silence.check()
}

/// The conditions of a silence from text, as `amtool` and the command line write them.
///
/// # Errors
/// If a text is no matcher.
pub fn parse_matchers(texts: &[String]) -> Result<Vec<SilenceMatcher>, matchers::MatcherError> {
    let mut all = Vec::new();
    for text in texts {
        all.extend(matchers::parse(text)?.iter().map(SilenceMatcher::of));
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
