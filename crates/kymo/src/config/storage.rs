//! `storage`: how long and how much is kept.

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use model::TenantId;
use model::size::{format_size_bytes, parse_size_bytes};
use model::time::DurationMs;
use serde::{Deserialize, Deserializer};

/// What the file says about storage; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StorageConfig {
    /// How long samples are kept.
    pub retention_ms: Option<i64>,
    /// How much disk may be used.
    pub retention_bytes: Option<u64>,
    /// How much of the disk may be used, in percent.
    pub retention_percentage: Option<f64>,
    /// What is different for some tenants.
    pub retention_of_tenants: BTreeMap<TenantId, tsdb::TenantRetention>,
    /// The most exemplars that are kept; 0: none.
    pub exemplars_max: Option<usize>,
}

/// The `storage` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Storage {
    tsdb: Tsdb,
    exemplars: Exemplars,
    /// Kymo's own.
    tenants: BTreeMap<TenantId, Tenant>,
}

/// What is different for one tenant.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tenant {
    retention: TenantRetention,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TenantRetention {
    time: DurationMs,
    size: SignedSize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tsdb {
    /// Without effect: samples out of order are accepted up to the retention.
    #[serde(rename = "out_of_order_time_window")]
    _out_of_order_time_window: DurationMs,
    /// Without effect: Kymo's head drops stale series by itself.
    #[serde(rename = "stale_series_compaction_threshold")]
    _stale_series_compaction_threshold: f64,
    retention: Retention,
    /// Without effect: each series gets the encoding that suits it.
    chunk_encoding: ChunkEncoding,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Retention {
    time: DurationMs,
    size: SignedSize,
    percentage: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChunkEncoding {
    floats: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Exemplars {
    max_exemplars: Option<i64>,
}

/// A size that may have a sign, so that a negative one is refused by the check that names its key.
#[derive(Debug, Default)]
struct SignedSize {
    negative: bool,
    bytes: u64,
}

impl<'de> Deserialize<'de> for SignedSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(Self::default()) };
        let magnitude = text.strip_prefix('-');
        let bytes = parse_size_bytes(magnitude.unwrap_or(&text)).map_err(serde::de::Error::custom)?;
        Ok(Self { negative: magnitude.is_some() && bytes > 0, bytes })
    }
}

impl TenantRetention {
    fn own(&self) -> tsdb::TenantRetention {
        tsdb::TenantRetention {
            retention_ms: (self.time.0 > 0).then_some(self.time.0),
            retention_bytes: (self.size.bytes > 0).then_some(self.size.bytes),
        }
    }
}

impl Storage {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        let retention = &self.tsdb.retention;
        if retention.size.negative {
            let message = format!(
                "'storage.tsdb.retention.size' must be greater than or equal to 0, got -{}",
                format_size_bytes(retention.size.bytes)
            );
            return Err(InvalidSettings::at(["tsdb", "retention", "size"], message));
        }
        for (tenant, own) in &self.tenants {
            if own.retention.size.negative {
                let message = format!(
                    "the size that is kept of a tenant must be greater than or equal to 0, got -{}",
                    format_size_bytes(own.retention.size.bytes)
                );
                let place = ["tenants", tenant.as_str(), "retention", "size"];
                return Err(InvalidSettings::at(place, message));
            }
        }
        if !(0.0..=100.0).contains(&retention.percentage) {
            let message = format!(
                "'storage.tsdb.retention.percentage' must be in the range [0, 100], got {}",
                retention.percentage
            );
            return Err(InvalidSettings::at(["tsdb", "retention", "percentage"], message));
        }
        if !matches!(self.tsdb.chunk_encoding.floats.as_str(), "" | "xor" | "xor2") {
            let message =
                "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted";
            return Err(InvalidSettings::at(["tsdb", "chunk_encoding", "floats"], message));
        }
        Ok(())
    }

    pub(super) fn config(&self) -> StorageConfig {
        let retention = &self.tsdb.retention;
        StorageConfig {
            retention_ms: (retention.time.0 > 0).then_some(retention.time.0),
            retention_bytes: (retention.size.bytes > 0).then_some(retention.size.bytes),
            retention_percentage: (retention.percentage > 0.0).then_some(retention.percentage),
            retention_of_tenants: self
                .tenants
                .iter()
                .map(|(id, own)| (id.clone(), own.retention.own()))
                .collect(),
            exemplars_max: self.exemplars.max_exemplars.map(|max| usize::try_from(max).unwrap_or(0)),
        }
    }
}
