//! The binary from outside, and the configuration loader with real files.

mod check_metrics;
mod command_line;
mod config;
mod corpus;
mod metrics_page;
mod process;
mod serve;
mod test_promql;
