//! What every mechanism yields.

use std::collections::BTreeMap;

use model::Labels;

/// The label that holds a target's host and port.
pub const ADDRESS_LABEL: &str = "__address__";

/// Targets that share labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetGroup {
    /// Which group this is, unique within its mechanism; for messages.
    pub source: String,
    /// Labels of each target, [`ADDRESS_LABEL`] among them. They win over `labels`.
    pub targets: Vec<Labels>,
    /// Labels that all targets have.
    pub labels: Labels,
}

impl TargetGroup {
    /// A group of targets that have nothing in common.
    pub(crate) fn of_targets(source: impl Into<String>, targets: Vec<Labels>) -> Self {
        Self { source: source.into(), targets, labels: Labels::empty() }
    }

    /// A group of targets that are known by their addresses only.
    pub fn of_addresses<A: AsRef<str>>(
        source: String,
        addresses: impl IntoIterator<Item = A>,
        labels: &BTreeMap<String, String>,
    ) -> Self {
        let targets =
            addresses.into_iter().map(|a| Labels::from_pairs([(ADDRESS_LABEL, a.as_ref())])).collect();
        Self { source, targets, labels: Labels::from_pairs(labels) }
    }
}
