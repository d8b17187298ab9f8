//! Alertmanager's job: who is told what about which alerts, when, how, and when not.
//!
//! An alert is reported → merged with what is known of it ([`alert`]) → put into groups by the routing tree ([`route`],
//! [`dispatch`]) → when a group is due: inhibition ([`inhibit`]), intervals ([`interval`]), silences ([`silence`]), what
//! was told last ([`log`]) → receivers ([`receiver`]), with texts made by templates ([`text`]).
//!
//! Map: [`timeline`] what happened to each alert and why · [`ack`] who takes care of one · [`config`] Alertmanager's file · [`matchers`] conditions as text · `core` all state and every decision, pure ·
//! [`service`] what runs · [`rehearsal`] the same over alerts of the past · [`store`] where state outlives the process · the modules above.
//!
//! Invariants: decisions are pure functions of state and time, so tests run them in virtual time; no lock is held while
//! anybody waits; a silence that was acknowledged is on disk; a notification is told at least once, and again only after a
//! crash between the telling and its record. Deliberately not here: evaluation of rules, HTTP.

pub mod ack;
pub mod alert;
pub mod config;
pub mod interval;
pub mod log;
pub mod matchers;
pub mod rehearsal;
pub mod route;
pub mod service;
pub mod silence;
pub mod store;
pub mod text;
pub mod timeline;

mod core;
mod dispatch;
mod inhibit;
mod receiver;
#[cfg(test)]
mod simulation;

pub use ack::{Ack, AckError};
pub use alert::{Alert, Annotations, Fingerprint};
pub use config::Config;
pub use core::{AlertGroup, AlertStatus, AlertView};
pub use receiver::Receiver;
pub use rehearsal::Rehearsal;
pub use route::Route;
pub use service::{
    Deps, FailedNotification, Handle, PlannedGroup, ReportedAlert, SetAckError, SetSilenceError, Settings,
    StartError, start,
};
pub use silence::{Recurrence, Silence, SilenceError, SilenceMatcher, SilenceState};
pub use store::{MemoryStore, Store, StoreError};
