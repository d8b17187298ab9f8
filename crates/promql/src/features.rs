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

/// The effect of a feature.
///
/// # Errors
/// Names those that there are.
pub fn effect_of(name: &str) -> Result<Effect, String> {
    let found = FEATURES.iter().find(|(known, _)| *known == name).map(|(_, effect)| *effect);
    found.ok_or_else(|| {
        let known: Vec<&str> = FEATURES.iter().map(|(known, _)| *known).collect();
        format!("{name:?} is no feature of the query language; there are {}", known.join(", "))
    })
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
            assert_eq!(effect_of(name), Ok(*effect));
            settings.enable(*effect);
        }
        assert!(settings.delayed_name_removal && settings.use_start_timestamps);
        let error = effect_of("promql").expect_err("is none");
        assert!(error.contains("promql-delayed-name-removal, use-start-timestamps"), "{error}");
    }
}
