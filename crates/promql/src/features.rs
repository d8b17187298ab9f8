//! Prometheus' features of the query language, by the names that its `--enable-feature` knows.
//!
//! What cannot change the meaning of a stable query is always on; the others are settings.

use crate::engine::Settings;

/// What switching a feature on does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// [`Settings::delayed_name_removal`].
    DelayedNameRemoval,
    /// [`Settings::use_start_timestamps`].
    UseStartTimestamps,
    /// Nothing: it is always on.
    AlwaysOn,
}

/// All of them.
pub const FEATURES: &[(&str, Effect)] = &[
    ("promql-delayed-name-removal", Effect::DelayedNameRemoval),
    ("use-start-timestamps", Effect::UseStartTimestamps),
    ("promql-experimental-functions", Effect::AlwaysOn),
    ("promql-duration-expr", Effect::AlwaysOn),
    ("promql-extended-range-selectors", Effect::AlwaysOn),
    ("promql-binop-fill-modifiers", Effect::AlwaysOn),
    ("promql-per-step-stats", Effect::AlwaysOn),
    ("promql-at-modifier", Effect::AlwaysOn),
    ("promql-negative-offset", Effect::AlwaysOn),
];

/// The effect of a feature; `None` if the query language has none of that name.
pub fn effect_of(name: &str) -> Option<Effect> {
    FEATURES.iter().find(|(known, _)| *known == name).map(|(_, effect)| *effect)
}

impl Settings {
    /// Switches a feature on.
    pub fn enable(&mut self, effect: Effect) {
        match effect {
            Effect::DelayedNameRemoval => self.delayed_name_removal = true,
            Effect::UseStartTimestamps => self.use_start_timestamps = true,
            Effect::AlwaysOn => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_switched_on_by_prometheus_names() {
        let mut settings = Settings::default();
        for (name, effect) in FEATURES {
            assert_eq!(effect_of(name), Some(*effect));
            settings.enable(*effect);
        }
        assert!(settings.delayed_name_removal && settings.use_start_timestamps);
        assert_eq!(effect_of("promql"), None);
    }
}
