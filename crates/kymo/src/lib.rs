//! The binary's parts, as a library so that tests and fuzzing reach them.
//!
//! Map: [`cli`] the command line · [`commands`] one file a command · [`config`] the configuration file · [`features`] Prometheus'
//! features by name · [`run`] the server's life ·
//! `output` tables and graphs on a terminal · `api_client` asking a running server · `version` what was built.

pub mod cli;
pub mod commands;
pub mod config;
pub mod features;
pub mod run;

mod api_client;
mod output;
mod version;
