//! What the `otlp` section of the configuration says.

use crate::otlp::naming::Naming;

/// What the `otlp` section of the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How names are made.
    pub naming: Naming,
    /// Attributes of the resource that become labels of all its series.
    pub promote: Promote,
    /// `target_info` keeps the attributes that `job` and `instance` are made of.
    pub keep_identifying_resource_attributes: bool,
    /// Histograms become native ones with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// Name, version, schema and attributes of the scope become labels.
    pub promote_scope_metadata: bool,
    /// Deltas are stored as they come instead of being added up.
    pub native_delta_ingestion: bool,
    /// Series get `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// How far queries look back: `target_info` has a sample at least every half of it.
    pub lookback_ms: i64,
}

/// Which attributes of a resource become labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promote {
    /// These.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            naming: Naming::default(),
            promote: Promote::Only(Vec::new()),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            promote_scope_metadata: false,
            native_delta_ingestion: false,
            type_and_unit_labels: false,
            lookback_ms: 300_000,
        }
    }
}
