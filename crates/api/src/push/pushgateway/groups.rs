//! What was pushed, by tenant and grouping labels. Bounded in number and memory; on disk before a push is answered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{Labels, LabelsBuilder, METRIC_NAME, MetricType, STALE_NAN, TenantId};
use parking_lot::Mutex;
use stdx::memory::{Budget, Reservation};
use storage::WriteBatch;

use super::families::{Families, Family};
use super::state::StateFiles;
use crate::error::{ApiError, ErrorType};

/// Groups of all tenants.
const GROUPS_MAX: usize = 20_000;

/// By what a group is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) tenant: TenantId,
    /// The job, and the other labels of the path.
    pub(crate) labels: Labels,
}

/// What a push brings.
pub(crate) struct Push {
    pub(crate) families: Families,
    /// Whether what was in the group before goes away, as with `PUT`.
    pub(crate) replaces_all: bool,
    /// Whether counters are added to what was there before.
    pub(crate) sums_counters: bool,
    /// After what time without a push the group ends.
    pub(crate) ttl_ms: Option<i64>,
    pub(crate) now_ms: i64,
}

/// A group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Group {
    pub(crate) families: Families,
    /// Last push that succeeded; 0 if none did.
    pub(crate) push_ms: i64,
    /// Last push that failed; 0 if none did.
    pub(crate) failure_ms: i64,
    pub(crate) ttl_ms: Option<i64>,
    /// The number in the name of its file.
    pub(crate) file: u64,
}

/// A group as [`Groups::describe`] shows it.
pub(crate) struct Described<'a> {
    pub(crate) labels: &'a Labels,
    pub(crate) push_ms: i64,
    pub(crate) failure_ms: i64,
    pub(crate) families: &'a Families,
}

/// All groups.
pub(crate) struct Groups {
    inner: Mutex<Inner>,
}

struct Inner {
    groups: BTreeMap<GroupKey, Group>,
    /// The type of each name of a tenant, and how many groups have it.
    types: HashMap<(TenantId, String), (MetricType, usize)>,
    next_file: u64,
    files: Option<StateFiles>,
    held: Reservation,
}

impl Groups {
    /// The groups that `files` holds.
    pub(crate) fn load(files: Option<StateFiles>, budget: &Arc<Budget>) -> Arc<Self> {
        let groups = files.as_ref().map(StateFiles::load).unwrap_or_default();
        let next_file = groups.values().map(|group| group.file + 1).max().unwrap_or(0);
        // What was there before the restart stays there.
        let held = budget.reserve_anyway(groups.values().map(Group::size_bytes).sum());
        let types = HashMap::new();
        let mut inner = Inner { groups: BTreeMap::new(), types, next_file, files, held };
        groups.into_iter().for_each(|(key, group)| inner.put(key, group));
        Arc::new(Self { inner: Mutex::new(inner) })
    }

    /// Puts a push into its group, and its samples (and the end of what it replaces) into the batch.
    ///
    /// # Errors
    /// 400 if it is inconsistent with other groups, 429 beyond the limits, 503 if it cannot be kept on disk; nothing has changed then.
    pub(crate) fn push(&self, key: &GroupKey, push: Push, batch: &mut WriteBatch) -> Result<(), ApiError> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.check_consistent(key, &push.families)?;
        let before = inner.groups.get(key);
        if before.is_none() && inner.groups.len() >= GROUPS_MAX {
            let message =
                format!("there are {GROUPS_MAX} groups already: delete some, or give them a time to live");
            return Err(ApiError::new(ErrorType::TooManyRequests, message));
        }
        let after = before.cloned().unwrap_or_else(|| Group { file: inner.next_file, ..Group::default() });
        let after = after.pushed(push);
        let (size_before, size_after) = (before.map_or(0, Group::size_bytes), after.size_bytes());
        let needed = (inner.held.bytes() + size_after).saturating_sub(size_before);
        inner
            .held
            .resize(needed)
            .map_err(|error| ApiError::new(ErrorType::TooManyRequests, error.to_string()))?;
        if let Some(files) = &inner.files {
            files.save(key, &after)?;
        }
        if let Some(before) = before {
            before.end(&key.labels, Some(&after), after.push_ms, batch);
        } else {
            inner.next_file += 1;
        }
        after.write(&key.labels, after.push_ms, batch);
        for (name, family) in &after.families {
            if family.pushed_ms == after.push_ms {
                batch.add_metadata(name, family.metadata.clone());
            }
        }
        inner.put(key.clone(), after);
        Ok(())
    }

    /// Notes that a push was refused, if there is such a group.
    pub(crate) fn note_failure(&self, key: &GroupKey, now_ms: i64) {
        if let Some(group) = self.inner.lock().groups.get_mut(key) {
            group.failure_ms = now_ms;
        }
    }

    /// Ends a group, if there is one.
    ///
    /// # Errors
    /// 503 if its file cannot be removed; it stays then.
    pub(crate) fn delete(&self, key: &GroupKey, now_ms: i64, batch: &mut WriteBatch) -> Result<(), ApiError> {
        let mut inner = self.inner.lock();
        inner.remove(key, now_ms, batch)
    }

    /// Puts the samples of a tenant's groups into the batch, and ends those whose time is over.
    pub(super) fn expose(&self, tenant: &TenantId, now_ms: i64, batch: &mut WriteBatch) {
        let mut inner = self.inner.lock();
        let is_over =
            |group: &Group| group.ttl_ms.is_some_and(|ttl_ms| now_ms.saturating_sub(group.push_ms) >= ttl_ms);
        let of_tenant = inner.groups.iter().filter(|(key, _)| key.tenant == *tenant);
        let over: Vec<GroupKey> =
            of_tenant.filter(|(_, group)| is_over(group)).map(|(key, _)| key.clone()).collect();
        for key in over {
            if let Err(error) = inner.remove(&key, now_ms, batch) {
                tracing::warn!(error = error.message(), labels = %key.labels, "a pushed group cannot be ended");
            }
        }
        for (key, group) in inner.groups.iter().filter(|(key, _)| key.tenant == *tenant) {
            group.write(&key.labels, now_ms, batch);
        }
    }

    /// Those that have groups.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<TenantId> =
            self.inner.lock().groups.keys().map(|key| key.tenant.clone()).collect();
        tenants.dedup();
        tenants
    }

    /// The groups of a tenant.
    pub(super) fn keys(&self, tenant: &TenantId) -> Vec<GroupKey> {
        self.inner.lock().groups.keys().filter(|key| key.tenant == *tenant).cloned().collect()
    }

    /// What `show` makes of each group of a tenant.
    pub(super) fn describe<T>(&self, tenant: &TenantId, show: impl Fn(Described<'_>) -> T) -> Vec<T> {
        let inner = self.inner.lock();
        let of_tenant = inner.groups.iter().filter(|(key, _)| key.tenant == *tenant);
        let described = of_tenant.map(|(key, group)| {
            let Group { push_ms, failure_ms, families, .. } = group;
            show(Described { labels: &key.labels, push_ms: *push_ms, failure_ms: *failure_ms, families })
        });
        described.collect()
    }
}

impl Inner {
    fn put(&mut self, key: GroupKey, group: Group) {
        self.take_out(&key);
        for (name, family) in &group.families {
            let entry = self.types.entry((key.tenant.clone(), name.clone()));
            entry.or_insert((family.metadata.metric_type, 0)).1 += 1;
        }
        self.groups.insert(key, group);
    }

    fn take_out(&mut self, key: &GroupKey) {
        let Some(group) = self.groups.remove(key) else { return };
        for name in group.families.into_keys() {
            let entry = (key.tenant.clone(), name);
            if let Some((_, count)) = self.types.get_mut(&entry) {
                *count -= 1;
                if *count == 0 {
                    self.types.remove(&entry);
                }
            }
        }
    }

    /// A name has one type, and a series one group, whoever pushes it.
    fn check_consistent(&self, key: &GroupKey, families: &Families) -> Result<(), ApiError> {
        let wrong = |what: String| {
            let message = format!("pushed metrics are invalid or inconsistent with existing metrics: {what}");
            Err(ApiError::bad_data(message))
        };
        let own = self.groups.get(key);
        for (name, family) in families {
            let Some((known, count)) = self.types.get(&(key.tenant.clone(), name.clone())) else { continue };
            let is_others = *count > usize::from(own.is_some_and(|own| own.families.contains_key(name)));
            let new = family.metadata.metric_type;
            if is_others && new != *known {
                return wrong(format!(
                    "{name:?} is a {} here and a {} in other groups",
                    new.as_str(),
                    known.as_str()
                ));
            }
        }
        // Groups with the same names of labels differ in a value, and so do all their series.
        let names = |labels: &Labels| labels.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let own_names = names(&key.labels);
        let others = self.groups.iter().filter(|(other, _)| {
            other.tenant == key.tenant
                && !other.labels.iter().map(|(name, _)| name).eq(own_names.iter().map(String::as_str))
        });
        for (other, group) in others {
            for (name, family) in families {
                let Some(there) = group.families.get(name) else { continue };
                if let Some(labels) = family.samples.keys().find(|labels| there.samples.contains_key(*labels))
                {
                    return wrong(format!("{labels} was collected before, in group {}", other.labels));
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: &GroupKey, now_ms: i64, batch: &mut WriteBatch) -> Result<(), ApiError> {
        let Some(group) = self.groups.get(key) else { return Ok(()) };
        if let Some(files) = &self.files {
            files.remove(group.file)?;
        }
        group.end(&key.labels, None, now_ms, batch);
        let freed = group.size_bytes();
        self.take_out(key);
        // Never more than before.
        let _ = self.held.resize(self.held.bytes().saturating_sub(freed));
        Ok(())
    }
}

impl Group {
    /// As it is after a push.
    fn pushed(mut self, push: Push) -> Self {
        if push.replaces_all {
            self.families.retain(|name, _| push.sums_counters && push.families.contains_key(name));
        }
        for (name, mut family) in push.families {
            if let Some(before) = self.families.remove(&name).filter(|_| push.sums_counters) {
                family.add_counters(before);
            }
            family.pushed_ms = push.now_ms;
            self.families.insert(name, family);
        }
        (self.push_ms, self.ttl_ms) = (push.now_ms, push.ttl_ms);
        self
    }

    /// All samples as of now.
    fn write(&self, labels: &Labels, now_ms: i64, batch: &mut WriteBatch) {
        let mut add = |labels: &Labels, value: f64| {
            let series = batch.add_series(labels.as_ref());
            batch.add_float(series, now_ms, value);
        };
        for family in self.families.values() {
            family.samples.iter().for_each(|(labels, value)| add(labels, *value));
        }
        for (name, time_ms) in
            [("push_time_seconds", self.push_ms), ("push_failure_time_seconds", self.failure_ms)]
        {
            add(&own_labels(labels, name), time_ms as f64 / 1000.0);
        }
    }

    /// Staleness markers for what is not in `after`.
    fn end(&self, labels: &Labels, after: Option<&Self>, now_ms: i64, batch: &mut WriteBatch) {
        let mut add = |labels: &Labels| {
            let series = batch.add_series(labels.as_ref());
            batch.add_float(series, now_ms, STALE_NAN);
        };
        for (name, family) in &self.families {
            let kept = after.and_then(|after| after.families.get(name));
            let is_kept = |labels: &Labels| kept.is_some_and(|kept| kept.samples.contains_key(labels));
            family.samples.keys().filter(|labels| !is_kept(labels)).for_each(&mut add);
        }
        if after.is_none() {
            ["push_time_seconds", "push_failure_time_seconds"]
                .iter()
                .for_each(|name| add(&own_labels(labels, name)));
        }
    }

    fn size_bytes(&self) -> u64 {
        const SERIES_BYTES: usize = 96;
        let of_family = |(name, family): (&String, &Family)| {
            let samples: usize =
                family.samples.keys().map(|labels| labels.packed().len() + SERIES_BYTES).sum();
            name.len() + family.metadata.help.len() + 2 * SERIES_BYTES + samples
        };
        (size_of::<Self>() + self.families.iter().map(of_family).sum::<usize>()) as u64
    }
}

fn own_labels(group: &Labels, name: &str) -> Labels {
    let mut builder: LabelsBuilder = group.to_builder();
    builder.set(METRIC_NAME, name);
    builder.build()
}

impl Family {
    /// Adds what was counted before; what is no counter stays as it was pushed.
    fn add_counters(&mut self, before: Self) {
        let counts = |labels: &Labels| match self.metadata.metric_type {
            MetricType::Counter | MetricType::Histogram => true,
            MetricType::Summary => labels.get("quantile").is_none(),
            _ => false,
        };
        let counted: Vec<(Labels, f64)> =
            before.samples.into_iter().filter(|(labels, _)| counts(labels)).collect();
        for (labels, value) in counted {
            *self.samples.entry(labels).or_default() += value;
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::exposition::Format;

    use super::super::families::{BodyFormat, parse};
    use super::*;

    fn key(job: &str) -> GroupKey {
        GroupKey { tenant: TenantId::anonymous(), labels: Labels::from_pairs([("job", job)]) }
    }

    fn push_with(
        groups: &Groups,
        job: &str,
        text: &str,
        now_ms: i64,
        change: impl FnOnce(&mut Push),
    ) -> Result<Vec<String>, String> {
        let format = BodyFormat::Text(Format::PrometheusText);
        let key = key(job);
        let families = parse(text.as_bytes(), format, &key.labels).map_err(|e| e.message().to_owned())?;
        let mut push = Push { families, replaces_all: false, sums_counters: false, ttl_ms: None, now_ms };
        change(&mut push);
        let mut batch = WriteBatch::new();
        groups.push(&key, push, &mut batch).map_err(|error| error.message().to_owned())?;
        Ok(shown(&batch))
    }

    /// Samples but for the times of pushes.
    fn shown(batch: &WriteBatch) -> Vec<String> {
        let samples = batch.floats().map(|(series, _, value)| format!("{} {value}", batch.series(series)));
        let mut samples: Vec<String> = samples.filter(|text| !text.contains("push_")).collect();
        samples.sort();
        samples
    }

    fn exposed(groups: &Groups, now_ms: i64) -> Vec<String> {
        let mut batch = WriteBatch::new();
        groups.expose(&TenantId::anonymous(), now_ms, &mut batch);
        shown(&batch)
    }

    #[test]
    fn post_replaces_names_and_put_the_whole_group() {
        let groups = Groups::load(None, &Budget::unlimited());
        let post = |text: &str| push_with(&groups, "j", text, 1, |_| {}).expect("sound");
        assert_eq!(
            post("a{x=\"1\"} 1\nb 2\n"),
            [r#"{__name__="a", job="j", x="1"} 1"#, r#"{__name__="b", job="j"} 2"#]
        );
        assert_eq!(
            post("a{x=\"2\",job=\"other\"} 3\n"),
            [
                r#"{__name__="a", job="j", x="1"} NaN"#,
                r#"{__name__="a", job="j", x="2"} 3"#,
                r#"{__name__="b", job="j"} 2"#
            ]
        );
        let put = push_with(&groups, "j", "c 4\n", 1, |push| push.replaces_all = true).expect("sound");
        assert_eq!(put.len(), 3, "{put:?}");
        assert_eq!(exposed(&groups, 2), [r#"{__name__="c", job="j"} 4"#]);
        let mut batch = WriteBatch::new();
        groups.delete(&key("j"), 3, &mut batch).expect("deleted");
        assert_eq!(shown(&batch), [r#"{__name__="c", job="j"} NaN"#]);
        assert_eq!(exposed(&groups, 4), [""; 0]);
    }

    #[test]
    fn what_is_inconsistent_is_refused_and_changes_nothing() {
        let groups = Groups::load(None, &Budget::unlimited());
        let push = |job: &str, text: &str| push_with(&groups, job, text, 1, |_| {}).map(|_| ());
        push("j", "# TYPE a counter\na 1\n").expect("sound");
        let refused = |job: &str, text: &str, want: &str| {
            let error = push(job, text).expect_err("inconsistent");
            assert!(error.contains(want), "{error}");
        };
        refused("j", "a 1 1700000000000\n", "must not have timestamps");
        refused("j", "a{x=\"1\"} 1\na{x=\"1\"} 2\n", "was collected before");
        refused("j", "a{\n", "text format parsing error");
        refused("k", "# TYPE a gauge\na 1\n", "is a gauge here and a counter in other groups");
        assert_eq!(exposed(&groups, 2), [r#"{__name__="a", job="j"} 1"#]);
        push("j", "# TYPE a gauge\na 1\n").expect("a group may change its mind");
    }

    #[test]
    fn counters_add_up_if_asked_and_groups_end_with_their_time() {
        let groups = Groups::load(None, &Budget::unlimited());
        let text = "# TYPE c counter\nc 2\n# TYPE g gauge\ng 5\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 3\nh_count 1\n";
        for now_ms in [1, 2] {
            push_with(&groups, "j", text, now_ms, |push| {
                (push.sums_counters, push.ttl_ms) = (true, Some(10));
            })
            .expect("sound");
        }
        assert_eq!(
            exposed(&groups, 11),
            [
                r#"{__name__="c", job="j"} 4"#,
                r#"{__name__="g", job="j"} 5"#,
                r#"{__name__="h_bucket", job="j", le="+Inf"} 2"#,
                r#"{__name__="h_count", job="j"} 2"#,
                r#"{__name__="h_sum", job="j"} 6"#,
            ]
        );
        assert!(exposed(&groups, 12).iter().all(|sample| sample.ends_with("NaN")));
        assert_eq!(exposed(&groups, 13), [""; 0]);
    }

    #[test]
    fn groups_survive_a_restart() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let load = || {
            let files =
                StateFiles::open(stdx::fs::RealFs::shared(), folder.path().join("groups")).expect("opened");
            Groups::load(Some(files), &Budget::unlimited())
        };
        let groups = load();
        for job in ["a", "b", "gone"] {
            push_with(&groups, job, "# HELP m Help.\nm{x=\"é\"} NaN\nn +Inf\n", 7, |push| {
                push.ttl_ms = Some(9);
            })
            .expect("sound");
        }
        groups.delete(&key("gone"), 8, &mut WriteBatch::new()).expect("deleted");
        let before = exposed(&groups, 8);
        drop(groups);
        let groups = load();
        assert_eq!(exposed(&groups, 8), before);
        push_with(&groups, "c", "m 1\n", 8, |_| {}).expect("sound");
        assert_eq!(load().keys(&TenantId::anonymous()).len(), 3);
    }
}
