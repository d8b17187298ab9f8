//! The file's sections but for receivers: routes, inhibition, intervals.

use std::collections::BTreeSet;

use http_client::InvalidSettings;
use model::Matcher;
use model::time::DurationMs;
use serde::{Deserialize, Deserializer};

use super::global::Global;
use super::values::{MatchMap, MatcherLines};
use crate::interval::TimeInterval;
use crate::receiver::ReceiverSection;

/// A configuration file of Alertmanager.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) global: Global,
    pub(super) route: Option<RouteSection>,
    pub(super) inhibit_rules: Vec<InhibitSection>,
    pub(super) receivers: Vec<ReceiverSection>,
    pub(super) templates: Vec<String>,
    pub(super) mute_time_intervals: Vec<NamedInterval>,
    pub(super) time_intervals: Vec<NamedInterval>,
}

/// Intervals under a name that routes use.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NamedInterval {
    pub(super) name: String,
    pub(super) time_intervals: Vec<TimeInterval>,
}

/// A node of the routing tree as the file has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RouteSection {
    pub(crate) receiver: String,
    pub(crate) group_by: Option<Vec<String>>,
    #[serde(rename = "match")]
    pub(crate) equal: MatchMap<false>,
    pub(crate) match_re: MatchMap<true>,
    pub(crate) matchers: MatcherLines,
    pub(crate) mute_time_intervals: Vec<String>,
    pub(crate) active_time_intervals: Vec<String>,
    #[serde(rename = "continue")]
    pub(crate) goes_on: bool,
    pub(crate) routes: Vec<RouteSection>,
    pub(crate) group_wait: Option<DurationMs>,
    pub(crate) group_interval: Option<DurationMs>,
    pub(crate) repeat_interval: Option<DurationMs>,
}

/// A rule of inhibition as the file has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InhibitSection {
    pub(crate) name: String,
    pub(crate) source_match: MatchMap<false>,
    pub(crate) source_match_re: MatchMap<true>,
    pub(crate) source_matchers: MatcherLines,
    pub(crate) target_match: MatchMap<false>,
    pub(crate) target_match_re: MatchMap<true>,
    pub(crate) target_matchers: MatcherLines,
    #[serde(deserialize_with = "equal_labels")]
    pub(crate) equal: Vec<String>,
}

fn equal_labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    match names.iter().find(|name| name.is_empty()) {
        Some(name) => {
            Err(serde::de::Error::custom(format_args!("invalid label name {name:?} in equal list")))
        }
        None => Ok(names),
    }
}

impl RouteSection {
    /// All conditions, sorted.
    pub(crate) fn all_matchers(&self) -> Vec<Matcher> {
        let mut all = [&self.equal.0[..], &self.match_re.0, &self.matchers.0].concat();
        crate::matchers::sort(&mut all);
        all
    }

    fn check(&self) -> Result<(), InvalidSettings> {
        let names = self.group_by.as_deref().unwrap_or(&[]);
        let fault =
            |at: usize, message: String| Err(InvalidSettings::at(["group_by", &at.to_string()], message));
        let mut seen = BTreeSet::new();
        for (at, name) in names.iter().enumerate() {
            if name.is_empty() {
                return fault(at, format!("invalid label name {name:?} in group_by list"));
            }
            if name == "..." && names.iter().any(|other| other != "...") {
                let message = "cannot have wildcard group_by (`...`) and other labels at the same time";
                return fault(at, message.to_owned());
            }
            if name != "..." && !seen.insert(name) {
                return fault(at, format!("duplicated label {name:?} in group_by"));
            }
        }
        for (key, value) in
            [("group_interval", self.group_interval), ("repeat_interval", self.repeat_interval)]
        {
            if value == Some(DurationMs(0)) {
                return Err(InvalidSettings::at([key], format!("{key} cannot be zero")));
            }
        }
        for (at, route) in self.routes.iter().enumerate() {
            route.check().map_err(|error| error.within(at).within("routes"))?;
        }
        Ok(())
    }

    fn check_root(&self) -> Result<(), InvalidSettings> {
        let fault = |key: &str, message: &str| Err(InvalidSettings::at([key], message));
        if self.receiver.is_empty() {
            return fault("receiver", "root route must specify a default receiver");
        }
        if let Some((key, _)) =
            [("match", &self.equal.0), ("match_re", &self.match_re.0), ("matchers", &self.matchers.0)]
                .into_iter()
                .find(|(_, matchers)| !matchers.is_empty())
        {
            return fault(key, "root route must not have any matchers");
        }
        if !self.mute_time_intervals.is_empty() {
            return fault("mute_time_intervals", "root route must not have any mute time intervals");
        }
        if !self.active_time_intervals.is_empty() {
            return fault("active_time_intervals", "root route must not have any active time intervals");
        }
        if self.goes_on {
            return fault("continue", "cannot have continue in root route");
        }
        Ok(())
    }

    fn check_receivers(&self, known: &BTreeSet<&str>) -> Result<(), InvalidSettings> {
        for (at, route) in self.routes.iter().enumerate() {
            route.check_receivers(known).map_err(|error| error.within(at).within("routes"))?;
        }
        if self.receiver.is_empty() || known.contains(self.receiver.as_str()) {
            return Ok(());
        }
        let message = format!("undefined receiver {:?} used in route", self.receiver);
        Err(InvalidSettings::at(["receiver"], message))
    }

    fn check_intervals(&self, known: &BTreeSet<&str>) -> Result<(), InvalidSettings> {
        for (at, route) in self.routes.iter().enumerate() {
            route.check_intervals(known).map_err(|error| error.within(at).within("routes"))?;
        }
        let lists = [
            ("active_time_intervals", &self.active_time_intervals),
            ("mute_time_intervals", &self.mute_time_intervals),
        ];
        for (key, names) in lists {
            if let Some(at) = names.iter().position(|name| !known.contains(name.as_str())) {
                let message = format!("undefined time interval {:?} used in route", names[at]);
                return Err(InvalidSettings::at([key, &at.to_string()], message));
            }
        }
        Ok(())
    }
}

impl File {
    /// Checks everything, and gives receivers what `global` says, in Alertmanager's order.
    pub(super) fn check_and_inherit(&mut self) -> Result<(), InvalidSettings> {
        if let Some(route) = &self.route {
            route.check().map_err(|error| error.within("route"))?;
        }
        for (at, receiver) in self.receivers.iter_mut().enumerate() {
            receiver.check().map_err(|error| error.within(at).within("receivers"))?;
        }
        self.global.check().map_err(|error| error.within("global"))?;
        let mut names = BTreeSet::new();
        for (at, receiver) in self.receivers.iter_mut().enumerate() {
            if !names.insert(receiver.name().to_owned()) {
                let message = format!("notification config name {:?} is not unique", receiver.name());
                return Err(InvalidSettings::at(["receivers", &at.to_string(), "name"], message));
            }
            receiver.inherit(&self.global).map_err(|error| error.within(at).within("receivers"))?;
        }
        let Some(route) = &self.route else {
            return Err(InvalidSettings::at(["route"], "no route provided in config"));
        };
        let names = names.iter().map(String::as_str).collect();
        let within = |error: InvalidSettings| error.within("route");
        route.check_root().map_err(within)?;
        route.check_receivers(&names).map_err(within)?;
        let intervals = self.interval_names()?;
        route.check_intervals(&intervals).map_err(within)
    }

    fn interval_names(&self) -> Result<BTreeSet<&str>, InvalidSettings> {
        let mut names = BTreeSet::new();
        let lists = [
            ("mute_time_intervals", "mute time interval", &self.mute_time_intervals),
            ("time_intervals", "time interval", &self.time_intervals),
        ];
        for (key, what, list) in lists {
            for (at, interval) in list.iter().enumerate() {
                let fault =
                    |message: String| Err(InvalidSettings::at([key, &at.to_string(), "name"], message));
                if interval.name.is_empty() {
                    return fault(format!("missing name in {what}"));
                }
                if !names.insert(interval.name.as_str()) {
                    return fault(format!("{what} {:?} is not unique", interval.name));
                }
            }
        }
        Ok(names)
    }
}
