//! Other people's formats to and from `model`: bytes in, values out, and back.
//!
//! Map: [`exposition`] the text that exporters answer with (Prometheus text 0.0.4 and OpenMetrics 1.0), and the
//! negotiation of it.
//!
//! Invariants: no sockets, no HTTP, no storage. Nothing here panics on outside data, every decoder bounds the
//! memory it takes, and parsers of hot paths allocate nothing per line or sample.

pub mod exposition;
