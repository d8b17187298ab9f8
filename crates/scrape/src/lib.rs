//! Scraping: from targets to samples.
//!
//! Map: [`settings`] what a configuration file says · [`host`] the built-in host collector · [`status`] what can be asked about targets.

pub mod host;
pub mod settings;
pub mod status;

pub use settings::Settings;
