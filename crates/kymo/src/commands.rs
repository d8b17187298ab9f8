//! One file a command.
//!
//! Map: [`serve`] the server · [`agent`] the server without storage · [`query`] asks a server · [`alert`] its alerts · [`check`] looks for faults in files · [`routes`] where alerts would go · [`rules`] tries rules on what is
//! stored · [`test`] runs tests
//! that people write · [`tsdb`] looks at stored data · [`completions`] for shells.

pub mod agent;
pub mod alert;
pub mod check;
pub mod completions;
pub mod query;
pub mod routes;
pub mod rules;
pub mod serve;
pub mod test;
pub mod tsdb;
