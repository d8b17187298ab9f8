//! Everything that listens: Prometheus' HTTP API, federation, remote write, health, and the embedded web UI.
//!
//! It holds no logic of any other room: it checks parameters, asks, and prints answers in Prometheus' shapes.
//!
//! Map: [`settings`] limits · [`deps`] what is asked of the rest of the house · [`server`] listening, connection
//! limits, stopping · `connection`, `request_line` clients that are slow, silent or careless · `routes` the table of paths and what wraps
//! every request · `params`, `tenancy`, `asker`, `body`, `label_name` what comes in · `work` blocking threads ·
//! `respond`, `json`, `histogram`, `error` what goes out · `query`, `query_result`, `plan`, `parse_query`, `series`,
//! `metadata`, `targets`, `status`, `governance`, `storage_admin` the endpoints of `/api/v1` · `alertmanager` Alertmanager's API v2 · `alerts` what it cannot answer · `push` the intake that every
//! protocol of pushed samples goes through, `write` remote write, `listeners` sockets that are not HTTP · `federate` ·
//! `remote_read` · `export` everything of some series, [`native_export`] in Kymo's own form · `search` names for completion · `features` · `admin` health, metrics, reload · `ui` the
//! embedded web UI · `state`, `metrics` what all share.
//!
//! Invariants: the server listens before storage is open and answers 503 until it is; no request is answered
//! "written" before it is durable; no client can hold a connection, a thread or memory without bound; whatever a
//! handler does, the process lives on. Deliberately not here: authentication and TLS (they come with tenants'
//! keys).

pub mod deps;
pub mod native_export;
pub mod server;
pub mod settings;

mod admin;
mod alertmanager;
mod alerts;
mod asker;
mod body;
mod connection;
mod error;
mod export;
mod features;
mod federate;
mod governance;
mod histogram;
mod json;
mod label_name;
mod listeners;
mod metadata;
mod metrics;
mod params;
mod parse_query;
mod plan;
mod push;
mod query;
mod query_result;
mod relabel_steps;
mod remote_read;
mod request_line;
mod respond;
mod routes;
mod rules;
mod search;
mod series;
mod state;
mod status;
mod storage_admin;
mod targets;
mod tenancy;
mod ui;
mod work;
mod write;

pub use deps::{
    Backends, BuildInfo, Compaction, Control, Deps, MemoryUse, ReplayProgress, RuntimeInfo, StatusView,
    StorageAdmin, StorageInfo, TsdbStats,
};
pub use push::settings::{LineSettings, PushSettings, PushgatewaySettings, StatsdSettings, Timers};
pub use server::{Handle, StartError, start};
pub use settings::{GrpcSettings, Settings};
