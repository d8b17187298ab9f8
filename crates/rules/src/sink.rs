//! Where alerts go. Rules know nothing about who takes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Labels, TenantId};

use crate::alert::AlertState;

/// Takes alerts that fire or have ended. Shared as `Arc<dyn AlertSink>`.
pub trait AlertSink: Send + Sync + 'static {
    /// Takes the alerts of one evaluation of one rule, at least one. Each comes again while it fires, and for a while after it has
    /// ended. Called between evaluations: must not wait for anybody.
    fn send(&self, tenant: &TenantId, alerts: &[Arc<SentAlert>]);

    /// Learns what became of alerts at one evaluation of one rule, at least one change; before what is sent of them. Called between
    /// evaluations: must not wait for anybody.
    fn changed(&self, _tenant: &TenantId, _rule: &ChangedRule<'_>, _changes: &[AlertChange]) {}
}

/// The rule whose alerts changed.
#[derive(Debug, Clone, Copy)]
pub struct ChangedRule<'a> {
    /// Its file.
    pub file: &'a str,
    /// Its group.
    pub group: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its query, formatted.
    pub query: &'a str,
    /// How long an alert must be there before it fires.
    pub for_ms: i64,
    /// How long it goes on firing after it was there last.
    pub keep_firing_for_ms: i64,
    /// When it was evaluated, milliseconds since the epoch.
    pub time_ms: i64,
}

/// What became of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertChange {
    /// What names it.
    pub labels: Labels,
    /// What it was.
    pub from: AlertState,
    /// What it is.
    pub to: AlertState,
    /// The query's value, or its last one.
    pub value: f64,
    /// Since when it is there.
    pub active_at_ms: i64,
}

/// An alert on its way to whoever notifies people. Times are milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentAlert {
    /// What names it.
    pub labels: Labels,
    /// What else is said about it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at_ms: i64,
    /// When it ended; or until when it may be believed to fire, if nothing more is heard of it.
    pub ends_at_ms: i64,
    /// Whether it has ended.
    pub is_resolved: bool,
    /// Where its rule's query can be looked at.
    pub generator_url: String,
    /// The rule file.
    pub file: Arc<str>,
    /// The group in it.
    pub group: Arc<str>,
}

/// Several at once; none at all.
impl AlertSink for Vec<Arc<dyn AlertSink>> {
    fn send(&self, tenant: &TenantId, alerts: &[Arc<SentAlert>]) {
        for sink in self {
            sink.send(tenant, alerts);
        }
    }

    fn changed(&self, tenant: &TenantId, rule: &ChangedRule<'_>, changes: &[AlertChange]) {
        for sink in self {
            sink.changed(tenant, rule, changes);
        }
    }
}
