//! `remote_write` and `remote_read`: read and checked; nothing is sent or asked yet.

use std::collections::BTreeMap;

use http_client::InvalidSettings;
use model::relabel::Rule;
use model::time::DurationMs;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// An element of `remote_write`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RemoteWrite {
    url: String,
    #[serde(rename = "remote_timeout")]
    _remote_timeout: DurationMs,
    headers: BTreeMap<String, String>,
    #[serde(rename = "write_relabel_configs")]
    _write_relabel_configs: Vec<Rule>,
    pub(super) name: String,
    #[serde(rename = "send_exemplars")]
    _send_exemplars: bool,
    #[serde(rename = "send_native_histograms")]
    _send_native_histograms: bool,
    #[serde(rename = "round_robin_dns")]
    _round_robin_dns: bool,
    #[serde(rename = "protobuf_message")]
    _protobuf_message: Option<ProtobufMessage>,
    queue_config: Queue,
    #[serde(rename = "metadata_config")]
    _metadata_config: Metadata,
    sigv4: Option<IgnoredAny>,
    azuread: Option<IgnoredAny>,
    google_iam: Option<IgnoredAny>,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

#[derive(Debug, Deserialize)]
enum ProtobufMessage {
    #[serde(rename = "prometheus.WriteRequest")]
    V1,
    #[serde(rename = "io.prometheus.write.v2.Request")]
    V2,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Queue {
    capacity: i64,
    max_shards: i64,
    min_shards: i64,
    max_samples_per_send: i64,
    #[serde(rename = "batch_send_deadline")]
    _batch_send_deadline: DurationMs,
    #[serde(rename = "min_backoff")]
    _min_backoff: DurationMs,
    #[serde(rename = "max_backoff")]
    _max_backoff: DurationMs,
    #[serde(rename = "retry_on_http_429")]
    _retry_on_http_429: bool,
    #[serde(rename = "sample_age_limit")]
    _sample_age_limit: DurationMs,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2_000,
            _batch_send_deadline: DurationMs(5_000),
            _min_backoff: DurationMs(30),
            _max_backoff: DurationMs(5_000),
            _retry_on_http_429: false,
            _sample_age_limit: DurationMs(0),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Metadata {
    #[serde(rename = "send")]
    _send: bool,
    #[serde(rename = "send_interval")]
    _send_interval: DurationMs,
    #[serde(rename = "max_samples_per_send")]
    _max_samples_per_send: i64,
}

/// An element of `remote_read`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RemoteRead {
    url: String,
    #[serde(rename = "remote_timeout")]
    _remote_timeout: DurationMs,
    #[serde(rename = "chunked_read_limit")]
    _chunked_read_limit: u64,
    headers: BTreeMap<String, String>,
    #[serde(rename = "read_recent")]
    _read_recent: bool,
    pub(super) name: String,
    #[serde(rename = "required_matchers")]
    _required_matchers: BTreeMap<String, String>,
    #[serde(rename = "filter_external_labels")]
    _filter_external_labels: bool,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl RemoteWrite {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        if self.url.is_empty() {
            return Err(InvalidSettings::at(["url"], "url for remote_write is empty"));
        }
        check_headers(
            &self.headers,
            "authorization header must be changed via the basic_auth, authorization, oauth2, sigv4, azuread or \
             google_iam parameter",
        )?;
        self.http.check()?;
        self.check_one_credential()?;
        self.queue_config.check().map_err(|e| e.within("queue_config"))
    }

    fn check_one_credential(&self) -> Result<(), InvalidSettings> {
        let used: Vec<&str> = [
            ("basic_auth", self.http.basic_auth.is_some()),
            ("authorization", self.http.authorization.is_some()),
            ("oauth2", self.http.oauth2.is_some()),
            ("sigv4", self.sigv4.is_some()),
            ("azuread", self.azuread.is_some()),
            ("google_iam", self.google_iam.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, used)| used.then_some(name))
        .collect();
        match used[..] {
            [_, second, ..] => Err(InvalidSettings::at(
                [second],
                format!(
                    "at most one of basic_auth, authorization, oauth2, sigv4, azuread or google_iam must be \
                     configured. Currently configured: [{}]",
                    used.join(" ")
                ),
            )),
            _ => Ok(()),
        }
    }
}

impl RemoteRead {
    pub(super) fn check(&self) -> Result<(), InvalidSettings> {
        if self.url.is_empty() {
            return Err(InvalidSettings::at(["url"], "url for remote_read is empty"));
        }
        check_headers(
            &self.headers,
            "authorization header must be changed via the basic_auth, authorization or oauth2 parameter",
        )?;
        self.http.check()
    }
}

impl Queue {
    fn check(&self) -> Result<(), InvalidSettings> {
        for (key, value) in [
            ("capacity", self.capacity),
            ("max_shards", self.max_shards),
            ("min_shards", self.min_shards),
            ("max_samples_per_send", self.max_samples_per_send),
        ] {
            if value <= 0 {
                return Err(InvalidSettings::at([key], format!("remote write queue {key} must be positive")));
            }
        }
        if self.max_shards < self.min_shards {
            return Err(InvalidSettings::at(
                ["max_shards"],
                "remote write queue max_shards must not be less than min_shards",
            ));
        }
        Ok(())
    }
}

/// Headers that the protocol itself sets.
const RESERVED: [&str; 9] = [
    "content-encoding",
    "content-length",
    "content-type",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
];

/// Refuses `authorization` with the given text, and headers that the protocol sets.
pub(super) fn check_headers(
    headers: &BTreeMap<String, String>,
    authorization: &str,
) -> Result<(), InvalidSettings> {
    for name in headers.keys() {
        let lower = name.to_ascii_lowercase();
        if lower == "authorization" {
            return Err(InvalidSettings::at(["headers", name], authorization));
        }
        if RESERVED.contains(&lower.as_str())
            || matches!(lower.as_str(), "proxy-authorization" | "www-authenticate")
        {
            let message = format!("{name} is a reserved header. It must not be changed");
            return Err(InvalidSettings::at(["headers", name], message));
        }
    }
    Ok(())
}
