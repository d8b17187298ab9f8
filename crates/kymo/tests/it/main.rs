//! The binary from outside, and the configuration loader with real files.

mod config;
mod corpus;
