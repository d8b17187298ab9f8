//! What a configuration file says about a receiver, every value decided.

use model::relabel::Rule;
use model::time::format_duration_ms;
use model::{Labels, TenantId};
use url::Url;

/// One receiver: an element of `remote_write`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// As it is called in metrics and logs, and by which its queue is found again.
    pub name: String,
    /// Whose samples are sent: no tenant's samples mix with another's.
    pub tenant: TenantId,
    /// Where to.
    pub url: Url,
    /// How to reach it.
    pub http: http_client::Settings,
    /// The cloud that authorises requests, if one does.
    pub cloud: Option<http_client::cloud::Settings>,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// How long a request may take.
    pub timeout_ms: u64,
    /// What is done to labels; series may be dropped.
    pub relabel: Vec<Rule>,
    /// Labels that series get unless they have them.
    pub external_labels: Labels,
    /// What is sent.
    pub message: Message,
    /// Whether exemplars go along.
    pub send_exemplars: bool,
    /// Whether native histograms go along.
    pub send_native_histograms: bool,
    /// How often metadata is sent by remote write 1.0; 2.0 has it beside the samples.
    pub metadata_interval_ms: Option<u64>,
    /// Families in a request about metadata, at most.
    pub metadata_families_max: usize,
    /// Requests at a time.
    pub lanes: usize,
    /// Samples in a request, at most (a single batch of a queue may hold more).
    pub samples_max: usize,
    /// How long samples may wait for others to fill a request.
    pub deadline_ms: u64,
    /// Pauses after a failure: the first, and the longest.
    pub backoff_ms: (u64, u64),
    /// Whether 429 means "later" rather than "never".
    pub retry_429: bool,
    /// Samples older than that are not worth sending; 0: all are.
    pub age_max_ms: u64,
    /// The bound of the queue.
    pub queue_bytes_max: u64,
}

/// The message of remote write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Message {
    /// The headers that go with it.
    pub fn headers(self) -> [(&'static str, &'static str); 3] {
        let (content_type, version) = match self {
            Self::V1 => ("application/x-protobuf", "0.1.0"),
            Self::V2 => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        [
            ("content-type", content_type),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", version),
        ]
    }
}

impl Settings {
    /// The folder of its queue: its name with everything unusual replaced, and a hash of it, so that two names never share.
    pub fn folder(&self) -> String {
        let readable: String =
            self.name.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{readable}-{:08x}", xxhash_rust::xxh3::xxh3_64(self.name.as_bytes()) as u32)
    }

    /// For the log.
    pub fn summary(&self) -> String {
        let version = if self.message == Message::V1 { "1.0" } else { "2.0" };
        let patience = format_duration_ms(i64::try_from(self.deadline_ms).unwrap_or(i64::MAX));
        format!(
            "remote write {version}, {} requests at a time, sent after {patience} at the latest",
            self.lanes
        )
    }
}
