//! Everything that listens: Prometheus' HTTP API, federation, remote write, health, and the embedded web UI.
//!
//! It holds no logic of any other room: it checks parameters, asks, and prints answers in Prometheus' shapes.
//!
//! Map: [`settings`] limits · [`deps`] what is asked of the rest of the house · [`server`] listening, connection
//! limits, stopping · `connection` clients that are slow or silent.
//!
//! Invariants: the server listens before storage is open and answers 503 until it is; no request is answered
//! "written" before it is durable; no client can hold a connection, a thread or memory without bound; whatever a
//! handler does, the process lives on. Deliberately not here: authentication and TLS (they come with tenants'
//! keys), the Alertmanager API (it comes with `notifier`).

pub mod deps;
pub mod server;
pub mod settings;

mod admin;
mod connection;
mod error;
mod histogram;
mod json;
mod metrics;
mod routes;
mod state;

pub use deps::{
    Backends, BuildInfo, Control, Deps, MemoryUse, ReplayProgress, RuntimeInfo, StatusView, StorageInfo,
    TsdbStats,
};
pub use server::{Handle, StartError, start};
pub use settings::Settings;
