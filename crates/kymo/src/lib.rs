//! The binary's parts, as a library so that tests and fuzzing reach them.
//!
//! Map: [`config`] the configuration file.

pub mod config;
