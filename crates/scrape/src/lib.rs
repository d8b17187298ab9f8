//! Scraping: from targets to samples.
//!
//! Map: [`host`] the built-in host collector · [`status`] what can be asked about targets.

pub mod host;
pub mod status;
