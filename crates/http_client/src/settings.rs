//! What a configuration file says about an HTTP client, with Prometheus' key names and checks.
//!
//! Source: `HTTPClientConfig` of prometheus/common, as Prometheus 3.14 uses it. These keys stand directly in the
//! section of the one who uses the client (a scrape job, a discovery), therefore others embed [`Settings`]
//! under the name `*`; the `yaml` crate gives such a field the keys that the outer section does not know.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

mod check;

pub use check::check_header_name;

/// A text that must not be shown: passwords, tokens, keys. Prints and serializes as `<secret>`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

/// A value that contradicts another or cannot be used, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSettings {
    /// Keys from the section down to the fault; a list's index is a number. Empty: the section itself.
    pub path: Vec<String>,
    /// What is wrong, in Prometheus' words where it has any.
    pub message: String,
}

/// The settings of an HTTP client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// User name and password of each request.
    pub basic_auth: Option<BasicAuth>,
    /// Content of the `Authorization` header, `Bearer` unless it says otherwise.
    pub authorization: Option<Authorization>,
    /// Tokens fetched with client credentials.
    pub oauth2: Option<OAuth2>,
    /// Older way to write `authorization`.
    pub bearer_token: Secret,
    /// Older way to write `authorization` with a file.
    pub bearer_token_file: String,
    /// How a `https` peer is verified, and how we show who we are.
    pub tls_config: TlsSettings,
    /// Through which proxy requests go. Empty: none.
    pub proxy_url: String,
    /// Hosts that are reached without the proxy, separated by commas: names, IPs, CIDR blocks.
    pub no_proxy: String,
    /// Take the proxy from `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.
    pub proxy_from_environment: bool,
    /// Headers of the `CONNECT` request to the proxy.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    /// Whether redirects are followed. Default yes.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered. Default yes.
    pub enable_http2: bool,
    /// Headers of each request.
    pub http_headers: BTreeMap<String, HeaderValues>,
}

/// User name and password, each as text or in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BasicAuth {
    /// The user's name.
    pub username: String,
    /// File that holds the user's name.
    pub username_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub username_ref: String,
    /// The password.
    pub password: Secret,
    /// File that holds the password; read again when it changes.
    pub password_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub password_ref: String,
}

/// Content of the `Authorization` header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// Its first word; empty: `Bearer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its rest.
    pub credentials: Secret,
    /// File that holds its rest; read again when it changes.
    pub credentials_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub credentials_ref: String,
}

/// Client credentials grant of OAuth 2.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// File that holds the secret; read again when it changes.
    pub client_secret_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub client_secret_ref: String,
    /// Key id of the client certificate, for `grant_type` JWT.
    pub client_certificate_key_id: String,
    /// Key that signs a JWT.
    pub client_certificate_key: Secret,
    /// File of the key that signs a JWT.
    pub client_certificate_key_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub client_certificate_key_ref: String,
    /// `client_credentials` (default) or `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    pub grant_type: String,
    /// How a JWT is signed: `RS256` (default), `RS384`, `RS512`.
    pub signature_algorithm: String,
    /// Who issues the JWT.
    pub iss: String,
    /// For whom the JWT is.
    pub audience: String,
    /// More claims of the JWT.
    pub claims: BTreeMap<String, String>,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Where tokens are fetched.
    pub token_url: String,
    /// More parameters of the token request.
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS of the token request.
    pub tls_config: TlsSettings,
    /// Proxy of the token request.
    pub proxy_url: String,
    /// Hosts reached without it.
    pub no_proxy: String,
    /// Take the proxy from the environment.
    pub proxy_from_environment: bool,
    /// Headers of the `CONNECT` request to the proxy.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
}

/// TLS of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// Certificates, in PEM, of the authorities that are trusted instead of the system's.
    pub ca: String,
    /// File of these.
    pub ca_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub ca_ref: String,
    /// Our certificate, in PEM.
    pub cert: String,
    /// File of it.
    pub cert_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub cert_ref: String,
    /// The key of our certificate, in PEM.
    pub key: Secret,
    /// File of it.
    pub key_file: String,
    /// Name in a secret manager, which Kymo does not have.
    pub key_ref: String,
    /// Name that the peer's certificate must have; empty: the host of the URL.
    pub server_name: String,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// Oldest version that is spoken.
    pub min_version: Option<TlsVersion>,
    /// Newest version that is spoken.
    pub max_version: Option<TlsVersion>,
}

/// A version of TLS. Kymo speaks 1.2 and 1.3 only; older ones load, since as a minimum they forbid nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum TlsVersion {
    /// 1.0
    #[serde(rename = "TLS10")]
    Tls10,
    /// 1.1
    #[serde(rename = "TLS11")]
    Tls11,
    /// 1.2
    #[serde(rename = "TLS12")]
    Tls12,
    /// 1.3
    #[serde(rename = "TLS13")]
    Tls13,
}

/// The values of one header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderValues {
    /// Values that may be shown.
    pub values: Vec<String>,
    /// Values that may not.
    pub secrets: Vec<Secret>,
    /// Files that hold values; read again when they change.
    pub files: Vec<String>,
}

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one who sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "<secret>" })
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "<secret>" })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            oauth2: None,
            bearer_token: Secret::default(),
            bearer_token_file: String::new(),
            tls_config: TlsSettings::default(),
            proxy_url: String::new(),
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
            follow_redirects: true,
            enable_http2: true,
            http_headers: BTreeMap::new(),
        }
    }
}

impl Default for OAuth2 {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_secret: Secret::default(),
            client_secret_file: String::new(),
            client_secret_ref: String::new(),
            client_certificate_key_id: String::new(),
            client_certificate_key: Secret::default(),
            client_certificate_key_file: String::new(),
            client_certificate_key_ref: String::new(),
            grant_type: "client_credentials".to_owned(),
            signature_algorithm: "RS256".to_owned(),
            iss: String::new(),
            audience: String::new(),
            claims: BTreeMap::new(),
            scopes: Vec::new(),
            token_url: String::new(),
            endpoint_params: BTreeMap::new(),
            tls_config: TlsSettings::default(),
            proxy_url: String::new(),
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: BTreeMap::new(),
        }
    }
}

impl InvalidSettings {
    /// A fault at `path` below the section.
    pub fn at<S: ToString>(path: impl IntoIterator<Item = S>, message: impl Into<String>) -> Self {
        Self { path: path.into_iter().map(|key| key.to_string()).collect(), message: message.into() }
    }

    /// The same fault seen from the section above.
    #[must_use]
    pub fn within(mut self, key: impl ToString) -> Self {
        self.path.insert(0, key.to_string());
        self
    }
}
