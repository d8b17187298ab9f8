//! Black-box tests of Kymo: starts the real binary beside real peers and looks at it from outside.
//!
//! Map: [`server`] the binary under test · [`peer`] node_exporter and Prometheus · [`exporters`] other exporters and what they watch · [`exporter`] one
//! of this process · [`http`] requests · [`inbox`] keeps what is posted · [`ports`] ports for servers ·
//! [`poll`] waiting with a deadline instead of sleeping · [`push`] a remote-write client · [`gate`] a receiver that is down for a while · [`disk`] a small disk ·
//! [`docs`] snippets of the documentation · [`internet`] servers of others, played · [`paths`] where things are · [`random`] choices that a seed repeats.
//! The suites themselves are in `it/`.

pub mod disk;
pub mod docs;
pub mod exporter;
pub mod exporters;
pub mod gate;
pub mod http;
pub mod inbox;
pub mod internet;
pub mod paths;
pub mod peer;
pub mod poll;
pub mod ports;
pub mod process;
pub mod push;
pub mod random;
pub mod server;
