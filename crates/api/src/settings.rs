//! Limits and defaults of everything that listens. The binary fills them from its flags.

use std::time::Duration;

use crate::push::settings::PushSettings;

/// How the server listens, and what it refuses.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `HOST:PORT` to listen on; port 0 takes a free one (see `Handle::local_addr`).
    pub listen: String,
    /// Where OTLP comes over gRPC; `None`: nowhere.
    pub grpc: Option<GrpcSettings>,
    /// Connections held at one time; further ones wait in the system's backlog. Prometheus' default is 512.
    pub connections_max: usize,
    /// From the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// An open connection on which nothing comes in, between requests. Prometheus' default is 5 min.
    pub idle_timeout: Duration,
    /// A request's body of which nothing more comes in, or a response of which the client takes nothing.
    pub stall_timeout: Duration,
    /// Longest time a request's body may take from its first byte to its last, however it trickles.
    pub body_timeout: Duration,
    /// Longest time from a request's head to the head of its response. Above the engine's own limit, which
    /// speaks first with the better error.
    pub request_timeout: Duration,
    /// Requests in progress are given this long when the server stops.
    pub drain_timeout: Duration,
    /// Largest head of a request: request line and headers, and so URL.
    pub header_bytes_max: usize,
    /// Largest body of a form (`POST /api/v1/query` and its like).
    pub form_bytes_max: usize,
    /// Largest body of a push, as it is on the wire.
    pub write_bytes_max: usize,
    /// Largest body of a push once decompressed.
    pub write_decompressed_bytes_max: usize,
    /// Pushes that are decoded and written at one time; others are answered 429.
    pub writes_concurrent_max: usize,
    /// Listeners, and groups of text pushes.
    pub push: PushSettings,
    /// How far federation looks back for a series' newest sample; the same as the engine's.
    pub lookback_ms: i64,
    /// Whether `POST /-/quit` ends the process.
    pub allow_quit: bool,
    /// Whether `/api/v1/admin/tsdb/` may delete and take snapshots.
    pub allow_admin: bool,
    /// Whether `POST /-/reload` reads the configuration again. On by default, unlike Prometheus: a bad file
    /// changes nothing, and SIGHUP does not exist in a container without a shell.
    pub allow_reload: bool,
}

/// Where OTLP comes over gRPC.
#[derive(Debug, Clone)]
pub struct GrpcSettings {
    /// `HOST:PORT` to listen on; port 0 takes a free one (see `Handle::grpc_addr`).
    pub listen: String,
    /// Whether the server cannot start without it. If not, a port that is taken is only told.
    pub required: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:9090".to_owned(),
            grpc: None,
            connections_max: 512,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            stall_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(300),
            request_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(10),
            header_bytes_max: 64 << 10,
            form_bytes_max: 10 << 20,
            write_bytes_max: 32 << 20,
            write_decompressed_bytes_max: 128 << 20,
            writes_concurrent_max: 64,
            push: PushSettings::default(),
            lookback_ms: 300_000,
            allow_quit: false,
            allow_admin: false,
            allow_reload: true,
        }
    }
}
