//! HTTP clients as Prometheus' configuration describes them: TLS, basic auth, authorization, OAuth2, proxies,
//! headers, redirects. Settings in, a ready client out; everything that talks to others over HTTP uses it.
//!
//! Map: [`settings`] what a configuration file says, its checks included · [`client`] the client ·
//! `credentials` what goes into the `Authorization` header, read anew from its file for each request ·
//! `direct` plain HTTP for who asks thousands of peers again and again ·
//! `oauth2` tokens, fetched and kept until they expire · `tls` certificates and versions · [`aws`] credentials of AWS,
//! and requests signed with them · [`cloud`] requests authorised as a cloud wants it · [`jwt`] signed tokens.
//!
//! Secrets and certificates in files may be replaced while the client runs: secrets count from the next request on,
//! certificates within a second. Deliberately absent: HTTP/2 (targets speak 1.1 well, and it would
//! double the client's size); `enable_http2` is read and changes nothing.

pub mod aws;
pub mod client;
pub mod cloud;
pub mod jwt;
pub mod settings;

mod credentials;
mod direct;
mod oauth2;
mod tls;

pub use client::{BuildError, Client, ReceiveError, RequestError, USER_AGENT};
pub use direct::Receive;
pub use reqwest::{Method, Request, Response, StatusCode, Url, header};
pub use settings::{InvalidSettings, Secret, Settings};
