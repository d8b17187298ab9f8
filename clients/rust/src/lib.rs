//! Metrics of a program, for Kymo, Prometheus and everything else that scrapes them.
//!
//! ```
//! use kymo_client::{Buckets, Registry};
//!
//! # fn main() -> Result<(), kymo_client::RegisterError> {
//! let registry = Registry::new();
//! let jobs = registry.counter("jobs_total", "Jobs that were done.")?;
//! let waiting = registry.gauge("jobs_waiting", "Jobs that wait.")?;
//! let answers = registry.histogram_family(
//!     "answer_seconds", "Time until the answer.", ["method"], Buckets::native(),
//! )?;
//!
//! let get = answers.with(["GET"]); // look it up once, keep it
//! jobs.inc();
//! waiting.set(3.0);
//! get.observe(0.018);
//! assert!(registry.text().contains("jobs_total 1\n"));
//! # Ok(())
//! # }
//! ```
//!
//! Map: [`Registry`] names and collects metrics · [`Counter`], [`Gauge`], [`Histogram`] what is measured · [`Family`] one
//! metric for several label sets, bounded · [`Exemplar`] a trace beside a number · [`Format`] how it is written · [`serve`]
//! (feature `http`) answers scrapes · [`push`] (feature `push`) sends without being asked · [`recorder`] (feature `metrics`)
//! takes what is measured through the `metrics` facade.
//!
//! Promises: an update of a counter, gauge or histogram takes no lock, allocates nothing and never fails or panics; a
//! scrape sees every update that was finished before it began; label sets are bounded, and what is beyond the bound is
//! counted together rather than lost.

mod cell;
mod counter;
mod encode;
mod exemplar;
mod family;
mod gauge;
mod histogram;
mod native;
#[cfg(feature = "push")]
pub mod push;
#[cfg(feature = "metrics")]
pub mod recorder;
mod registry;
#[cfg(feature = "http")]
pub mod serve;
mod snapshot;

pub use counter::Counter;
pub use encode::Format;
pub use exemplar::Exemplar;
pub use family::{Family, OTHER};
pub use gauge::Gauge;
pub use histogram::{Buckets, Histogram, exponential_bounds, linear_bounds};
pub use registry::{RegisterError, Registry};
