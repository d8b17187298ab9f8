//! The routing tree: which receivers an alert goes to, how it is grouped, and when it is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{Labels, Matcher};

use crate::config::file::RouteSection;
use crate::matchers;

const GROUP_WAIT_MS: i64 = 30_000;
const GROUP_INTERVAL_MS: i64 = 5 * 60_000;
const REPEAT_INTERVAL_MS: i64 = 4 * 3_600_000;

/// What a node says about alerts that end there; what it leaves open is its parent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteOptions {
    /// Who is told.
    pub receiver: Arc<str>,
    /// Labels whose values make the groups; `None`: all labels, a group an alert.
    pub group_by: Option<BTreeSet<String>>,
    /// How long a new group waits for more alerts.
    pub group_wait_ms: i64,
    /// How long a group waits before it tells of changes.
    pub group_interval_ms: i64,
    /// After which time it tells again what has not changed.
    pub repeat_interval_ms: i64,
    /// Intervals in which it is mute.
    pub mute_time_intervals: Vec<String>,
    /// Intervals outside which it is mute; none: it never is.
    pub active_time_intervals: Vec<String>,
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self {
            receiver: "".into(),
            group_by: Some(BTreeSet::new()),
            group_wait_ms: GROUP_WAIT_MS,
            group_interval_ms: GROUP_INTERVAL_MS,
            repeat_interval_ms: REPEAT_INTERVAL_MS,
            mute_time_intervals: Vec::new(),
            active_time_intervals: Vec::new(),
        }
    }
}

/// A node of the tree.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// What happens to alerts that end here.
    pub options: Arc<RouteOptions>,
    /// All must hold.
    pub matchers: Vec<Matcher>,
    /// Whether siblings behind it are asked, too.
    pub goes_on: bool,
    /// Its children, in the order in which they are asked.
    pub routes: Vec<Route>,
    /// Its matchers and those of the nodes above; group keys begin with it.
    pub key: String,
    /// Its place in the tree, depth first; unlike keys, no two nodes share one.
    pub index: usize,
}

impl Route {
    /// The tree of a file.
    pub(crate) fn root(section: &RouteSection) -> Self {
        let mut count = 0;
        Self::node(section, &RouteOptions::default(), "", &mut count)
    }

    fn node(section: &RouteSection, parent: &RouteOptions, above: &str, count: &mut usize) -> Self {
        let group_by = section.group_by.as_ref().map(|names| {
            let all = names.iter().any(|name| name == "...");
            (!all).then(|| names.iter().cloned().collect())
        });
        let ms = |own: Option<model::time::DurationMs>, inherited: i64| own.map_or(inherited, |own| own.0);
        let options = RouteOptions {
            receiver: match section.receiver.as_str() {
                "" => Arc::clone(&parent.receiver),
                own => own.into(),
            },
            group_by: group_by.unwrap_or_else(|| parent.group_by.clone()),
            group_wait_ms: ms(section.group_wait, parent.group_wait_ms),
            group_interval_ms: ms(section.group_interval, parent.group_interval_ms),
            repeat_interval_ms: ms(section.repeat_interval, parent.repeat_interval_ms),
            // These are not inherited.
            mute_time_intervals: section.mute_time_intervals.clone(),
            active_time_intervals: section.active_time_intervals.clone(),
        };
        let matchers = section.all_matchers();
        let slash = if above.is_empty() { "" } else { "/" };
        let key = format!("{above}{slash}{}", matchers::format(&matchers));
        let index = *count;
        *count += 1;
        let routes = section.routes.iter().map(|child| Self::node(child, &options, &key, count)).collect();
        Self { options: Arc::new(options), matchers, goes_on: section.goes_on, routes, key, index }
    }

    /// The nodes at which an alert ends; at least one, if asked of the root.
    pub fn find(&self, labels: &Labels) -> Vec<&Self> {
        let mut found = Vec::new();
        self.collect(labels, &mut found);
        found
    }

    fn collect<'a>(&'a self, labels: &Labels, found: &mut Vec<&'a Self>) -> bool {
        if !self.matchers.iter().all(|matcher| matcher.matches_labels(labels.as_ref())) {
            return false;
        }
        let before = found.len();
        for child in &self.routes {
            if child.collect(labels, found) && !child.goes_on {
                break;
            }
        }
        // No child wants it: it ends here.
        if found.len() == before {
            found.push(self);
        }
        true
    }

    /// The labels that name an alert's group.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.options.group_by {
            None => labels.clone(),
            Some(names) => labels.without(|name| !names.contains(name)),
        }
    }

    /// This node and all below it, depth first.
    pub fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        for child in &self.routes {
            all.extend(child.all());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
receiver: root
group_by: [alertname]
group_wait: 10s
routes:
- matchers: [team=\"a\"]
  receiver: a
  group_by: ['...']
  mute_time_intervals: [night]
  routes:
  - match: {severity: page}
    receiver: a-pager
    continue: true
  - match_re: {severity: 'page|warn'}
    receiver: a-log
    group_interval: 1m
- matchers: [team=\"b\"]
";

    fn tree() -> Route {
        Route::root(&yaml::from_str(TREE).expect("a tree"))
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], want: &[&str]) {
        let tree = tree();
        let found = tree.find(&Labels::from_pairs(pairs.iter().copied()));
        let found: Vec<_> = found.iter().map(|route| &*route.options.receiver).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn the_deepest_match_is_taken() {
        check(&[("team", "x")], &["root"]);
        check(&[("team", "a")], &["a"]);
        check(&[("team", "a"), ("severity", "warn")], &["a-log"]);
        check(&[("team", "b")], &["root"]);
    }

    #[test]
    fn a_route_that_goes_on_lets_others_be_asked() {
        check(&[("team", "a"), ("severity", "page")], &["a-pager", "a-log"]);
    }

    #[test]
    fn what_is_left_open_is_the_parents_but_for_intervals() {
        let tree = tree();
        let log = &tree.routes[0].routes[1];
        assert_eq!(log.options.group_by, None);
        assert_eq!((log.options.group_wait_ms, log.options.group_interval_ms), (10_000, 60_000));
        assert_eq!(log.options.repeat_interval_ms, REPEAT_INTERVAL_MS);
        assert_eq!(tree.routes[0].options.mute_time_intervals, ["night"]);
        assert!(log.options.mute_time_intervals.is_empty());
        let inherited = &tree.routes[1].options;
        assert_eq!((&*inherited.receiver, inherited.group_by.as_ref().map(BTreeSet::len)), ("root", Some(1)));
    }

    #[test]
    fn keys_tell_the_way_from_the_root() {
        let tree = tree();
        assert_eq!(tree.key, "{}");
        assert_eq!(tree.routes[0].routes[1].key, "{}/{team=\"a\"}/{severity=~\"page|warn\"}");
        let indices: Vec<_> = tree.all().iter().map(|route| route.index).collect();
        assert_eq!(indices, [0, 1, 2, 3, 4]);
    }
}
