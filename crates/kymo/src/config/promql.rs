//! `promql`: features of the query language that change what stable queries mean.

use http_client::InvalidSettings;
use promql::features::{Effect, effect_of};
use serde::Deserialize;

/// The `promql` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Promql {
    /// By Prometheus' names.
    enable_features: Vec<String>,
}

impl Promql {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        for (at, name) in self.enable_features.iter().enumerate() {
            effect_of(name)
                .map_err(|message| InvalidSettings::at(["enable_features", &at.to_string()], message))?;
        }
        Ok(())
    }

    pub(super) fn effects(&self) -> Vec<Effect> {
        self.enable_features.iter().filter_map(|name| effect_of(name).ok()).collect()
    }
}
