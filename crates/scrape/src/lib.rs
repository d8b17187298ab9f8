//! Scraping: from targets to samples.
//!
//! Map: [`status`] what can be asked about targets.

pub mod status;
