//! `promql`: features that change what stable queries see, by Prometheus' names.

use serde::Deserialize;

/// The `promql` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Promql {
    /// The same names as `--enable-feature` takes.
    pub(super) enable_features: Vec<String>,
}
