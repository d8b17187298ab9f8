//! `remote_write`: who gets a copy of what is written, and how · `remote_read`: read and checked; nobody is asked.

use std::collections::BTreeMap;

use forward::Message;
use http_client::{InvalidSettings, cloud};
use model::relabel::Rule;
use model::size::parse_size_bytes;
use model::time::DurationMs;
use model::{Labels, TenantId};
use serde::Deserialize;
use url::Url;

/// The bound of a queue on disk, unless `queue_config.max_disk_size` says.
const QUEUE_BYTES_MAX: u64 = 4 << 30;
/// More requests at a time than that would make queues of a few samples each.
const LANES_MAX: usize = 4;

/// An element of `remote_write`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RemoteWrite {
    url: String,
    remote_timeout: DurationMs,
    headers: BTreeMap<String, String>,
    write_relabel_configs: Vec<Rule>,
    pub(super) name: String,
    /// Kymo's own: whose samples are sent.
    tenant: Option<String>,
    send_exemplars: bool,
    send_native_histograms: bool,
    #[serde(rename = "round_robin_dns")]
    _round_robin_dns: bool,
    protobuf_message: ProtobufMessage,
    queue_config: Queue,
    metadata_config: Metadata,
    sigv4: Option<SigV4>,
    azuread: Option<cloud::azure::Settings>,
    google_iam: Option<cloud::google::Settings>,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

/// Requests signed for a service of AWS.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SigV4 {
    /// Empty: `aps`, Amazon's Prometheus.
    service_name: String,
    #[serde(rename = "*")]
    aws: http_client::aws::Settings,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
enum ProtobufMessage {
    #[default]
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
    batch_send_deadline: DurationMs,
    min_backoff: DurationMs,
    max_backoff: DurationMs,
    retry_on_http_429: bool,
    sample_age_limit: DurationMs,
    /// Kymo's own: the bound of the queue on disk.
    max_disk_size: Option<String>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 10_000,
            batch_send_deadline: DurationMs(5_000),
            min_backoff: DurationMs(30),
            max_backoff: DurationMs(5_000),
            retry_on_http_429: false,
            sample_age_limit: DurationMs(0),
            max_disk_size: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Metadata {
    send: bool,
    send_interval: DurationMs,
    max_samples_per_send: i64,
}

impl Default for Metadata {
    fn default() -> Self {
        Self { send: true, send_interval: DurationMs(60_000), max_samples_per_send: 2_000 }
    }
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
        if let Err(error) = Url::parse(&self.url) {
            return Err(InvalidSettings::at(["url"], format!("parse {:?}: {error}", self.url)));
        }
        if let Some(name) = &self.tenant
            && let Err(error) = TenantId::new(name)
        {
            return Err(InvalidSettings::at(["tenant"], error.to_string()));
        }
        self.http.check()?;
        self.check_one_credential()?;
        if let Some(sigv4) = &self.sigv4 {
            sigv4.aws.check().map_err(|error| error.within("sigv4"))?;
        }
        if let Some(azuread) = &self.azuread {
            azuread.check().map_err(|error| error.within("azuread"))?;
        }
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

impl RemoteWrite {
    /// The cloud that authorises requests.
    fn cloud(&self) -> Option<cloud::Settings> {
        if let Some(sigv4) = &self.sigv4 {
            let service = if sigv4.service_name.is_empty() { "aps" } else { &sigv4.service_name };
            return Some(cloud::Settings::Aws { settings: sigv4.aws.clone(), service: service.to_owned() });
        }
        let azure = self.azuread.clone().map(cloud::Settings::Azure);
        azure.or_else(|| self.google_iam.clone().map(cloud::Settings::Google))
    }

    /// Everything decided. `name` is what the receiver is called if the file does not say.
    pub(super) fn settings(&self, external_labels: &Labels, name: String) -> Option<forward::Settings> {
        let queue = &self.queue_config;
        let positive = |number: i64| usize::try_from(number).unwrap_or(1).max(1);
        let ms = |duration: DurationMs, default: u64| match u64::try_from(duration.0) {
            Ok(0) | Err(_) => default,
            Ok(ms) => ms,
        };
        let backoff_ms = (ms(queue.min_backoff, 30), ms(queue.max_backoff, 5_000));
        Some(forward::Settings {
            name: if self.name.is_empty() { name } else { self.name.clone() },
            tenant: match &self.tenant {
                Some(name) => TenantId::new(name).ok()?,
                None => TenantId::anonymous(),
            },
            url: Url::parse(&self.url).ok()?,
            http: self.http.clone(),
            cloud: self.cloud(),
            headers: self.headers.clone().into_iter().collect(),
            timeout_ms: ms(self.remote_timeout, 30_000),
            relabel: self.write_relabel_configs.clone(),
            external_labels: external_labels.clone(),
            message: match self.protobuf_message {
                ProtobufMessage::V1 => Message::V1,
                ProtobufMessage::V2 => Message::V2,
            },
            send_exemplars: self.send_exemplars,
            send_native_histograms: self.send_native_histograms,
            metadata_interval_ms: self
                .metadata_config
                .send
                .then(|| ms(self.metadata_config.send_interval, 60_000)),
            metadata_families_max: positive(self.metadata_config.max_samples_per_send),
            lanes: positive(queue.max_shards).min(LANES_MAX),
            samples_max: positive(queue.max_samples_per_send),
            deadline_ms: ms(queue.batch_send_deadline, 5_000),
            backoff_ms,
            retry_429: queue.retry_on_http_429,
            age_max_ms: ms(queue.sample_age_limit, 0),
            queue_bytes_max: match &queue.max_disk_size {
                Some(text) => parse_size_bytes(text).ok()?,
                None => QUEUE_BYTES_MAX,
            },
        })
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
        if let Some(text) = &self.max_disk_size {
            let fault = |error| InvalidSettings::at(["max_disk_size"], error);
            let bytes = parse_size_bytes(text).map_err(|error| fault(error.to_string()))?;
            if bytes < 1 << 20 {
                return Err(fault("a queue needs 1MiB at least".to_owned()));
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

/// The receivers, each under a name of its own.
pub(super) fn receivers(writes: &[RemoteWrite], external_labels: &Labels) -> Vec<forward::Settings> {
    let mut receivers: Vec<forward::Settings> = Vec::new();
    for write in writes {
        let host =
            Url::parse(&write.url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        // By the address, so that the queue is found again; the same address twice is told apart by a number.
        let same = receivers.iter().filter(|known| known.url.as_str() == write.url).count();
        let hash = xxhash_rust::xxh3::xxh3_64(write.url.as_bytes()) as u32;
        let number = if same == 0 { String::new() } else { format!("-{}", same + 1) };
        receivers.extend(write.settings(external_labels, format!("{host}-{hash:08x}{number}")));
    }
    receivers
}
