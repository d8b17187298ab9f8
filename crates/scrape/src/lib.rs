//! Scraping: from targets to samples.
//!
//! Map, from the door inwards: [`run`] start, reload, stop · [`settings`] what a configuration file says ·
//! `pool` the targets of a job: follows discovery, starts and retires loops · `target` what discovery and relabelling
//! make a target · `scrape_loop` the life of one target · `schedule` its slots · `recipe` how a pool's targets are
//! scraped · `fetch` and `body` getting an answer, bounded · `failure_log` failed scrapes in a file · `ingest` batch, staleness, report · `reading` an answer parsed and relabelled ·
//! `described` labels from an answer's comments · `series_labels` a series' labels and their limits · `cache` what is known of a target's series · `shapes` labels that targets share · `quota` how many a job may have · [`collector`] and
//! [`host`] targets within this process · [`status`] what can be asked about targets · `env` what all share.
//!
//! Invariants: a scrape is stored whole or not at all. A target has one loop at a time, in one task. Buffers for
//! answers and batches are shared, so a target between scrapes holds its labels and its series cache, no more.
//! Nothing here knows an engine or a protocol's grammar (see `wire`).

pub mod collector;
pub mod host;
pub mod run;
pub mod settings;
pub mod status;

mod body;
mod cache;
mod described;
mod env;
mod error;
mod failure_log;
mod fetch;
mod ingest;
mod metrics;
mod pool;
mod quota;
mod reading;
mod recipe;
mod schedule;
mod scrape_loop;
mod series_labels;
mod shapes;
mod target;

#[cfg(test)]
mod tests;

pub use collector::Collector;
pub use error::Error;
pub use run::{Deps, Handle, start};
pub use settings::Settings;
