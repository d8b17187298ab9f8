//! Rules: series that are computed from others, and alerts.
//!
//! Map, from the file to the alert: [`file`] rule files, read and checked · [`rule`] one rule, ready to be evaluated, and how it fares ·
//! `text` templates of labels and annotations · [`group`] one evaluation of a group: queries, results, alerts, what is remembered · `missing` data that is not there, and alerts that flap · `order` which
//! rules may run at the same time · [`alert`] the life of an alert, pure · [`env`](mod@env) what all groups are evaluated with · `schedule` the slots of a group ·
//! [`run`] start, reload, stop, threads · [`sink`] who gets alerts · [`alertmanagers`] outside Alertmanagers that do · [`metrics`] how it goes · [`unit_test`] rules tested, [`lint`] and looked at, [`backtest`] tried on
//! what is stored · [`backfill`] what recording rules would have written, written · [`stored`] rules that come by API.
//!
//! Invariants: results go through the one `Appender`, queries through the engine's class of alerts. Evaluation is synchronous and takes its
//! time as an argument. A reload changes all or nothing. Nothing here knows who is notified (that is behind [`sink::AlertSink`]).

pub mod alert;
pub mod alertmanagers;
pub mod backfill;
pub mod backtest;
pub mod env;
pub mod file;
pub mod group;
pub mod lint;
pub mod metrics;
pub mod rule;
pub mod run;
pub mod sink;
pub mod stored;
pub mod unit_test;

mod missing;
mod order;
mod schedule;
mod text;

pub use alertmanagers::{Alertmanagers, AlertmanagersView, NoAlertmanagers};
pub use env::{Env, External, Timing};
pub use group::{Defaults, Group};
pub use missing::{Flapping, Missing, OnMissing};
pub use run::{Deps, Handle, NoRules, RulesView, Settings, StartError, start};
pub use sink::{AlertChange, AlertSink, ChangedRule, SentAlert};
