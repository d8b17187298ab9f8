//! Forwarding: what is written here also goes to other systems, by remote write 1.0 or 2.0.
//!
//! Map, along the way of a sample: [`Forwarding`] the appender that stands before storage (or, in an agent, in its place) ·
//! `pending` samples that wait to be put into a queue together · [`queue`] what is not delivered yet, on disk, bounded · `request` what
//! is taken out becomes a request · `sender` sends it, again and again if need be · [`settings`] what a configuration file says ·
//! [`metrics`] how it goes.
//!
//! Invariants: samples of a series arrive in the order in which they were written: a series always takes the same lane, and
//! a lane sends one request at a time. What is in a queue survives a restart, a crash and the receiver's outage; what was
//! under way at a crash is sent again (receivers take repeats for what they are). A queue has a bound; beyond it, the oldest
//! samples make room for new ones, and each is counted. Who writes never waits for a receiver.

pub mod metrics;
pub mod queue;
pub mod settings;

mod appender;
mod pending;
mod receiver;
mod request;
mod sender;

pub use appender::{Deps, Forwarding};
pub use settings::{Message, Settings};
