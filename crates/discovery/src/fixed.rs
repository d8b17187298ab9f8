//! `static_configs`: targets written into the configuration itself.

use crate::TargetGroup;
use crate::settings::StaticGroup;

/// The groups, which never change.
pub(crate) fn groups(configs: &[StaticGroup]) -> Vec<TargetGroup> {
    let group = |(i, config): (usize, &StaticGroup)| {
        TargetGroup::of_addresses(i.to_string(), &config.targets, &config.labels)
    };
    configs.iter().enumerate().map(group).collect()
}
