//! HTTP clients as Prometheus' configuration describes them: TLS, basic auth, authorization, OAuth2, proxies,
//! headers, redirects. Settings in, a ready client out; everything that talks to others over HTTP uses it.
//!
//! Map: [`settings`] what a configuration file says, its checks included.

pub mod settings;

pub use settings::{InvalidSettings, Secret, Settings};
