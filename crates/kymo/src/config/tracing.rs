//! `tracing`: read and checked; traces are not sent yet.

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use http_client::settings::TlsSettings;
use model::time::DurationMs;
use serde::Deserialize;

use super::remote::check_headers;

/// The `tracing` section.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tracing {
    #[serde(rename = "client_type")]
    _client_type: Option<ClientType>,
    endpoint: String,
    #[serde(rename = "sampling_fraction")]
    _sampling_fraction: f64,
    #[serde(rename = "insecure")]
    _insecure: bool,
    tls_config: TlsSettings,
    headers: BTreeMap<String, String>,
    compression: String,
    #[serde(rename = "timeout")]
    _timeout: DurationMs,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClientType {
    Http,
    Grpc,
}

impl Tracing {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        check_headers(&self.headers, "custom authorization header configuration is not yet supported")?;
        if self.endpoint.is_empty() {
            return Err(InvalidSettings::at(["endpoint"], "tracing endpoint must be set"));
        }
        if !matches!(self.compression.as_str(), "" | "gzip") {
            let message =
                format!("invalid compression type {} provided, valid options: gzip", self.compression);
            return Err(InvalidSettings::at(["compression"], message));
        }
        self.tls_config.check().map_err(|e| e.within("tls_config"))
    }
}
