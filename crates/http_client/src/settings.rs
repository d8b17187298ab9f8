//! What a configuration file says about an HTTP client, with Prometheus' key names and checks.
//!
//! Source: `HTTPClientConfig` of prometheus/common, as Prometheus 3.14 uses it. These keys stand directly in the
//! section of the one who uses the client (a scrape job, a discovery), therefore others embed [`Settings`]
//! under the name `*`; the `yaml` crate gives such a field the keys that the outer section does not know.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

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

/// The grant type that needs a signed JWT.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Headers that the client sets itself; naming them would break it. As in prometheus/common.
const RESERVED_HEADERS: [&str; 15] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
];

impl Settings {
    /// Checks what a type cannot: which keys exclude each other, URLs, header names.
    ///
    /// # Errors
    /// The first contradiction, in Prometheus' words.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.check_one_credential()?;
        if let Some(basic) = &self.basic_auth {
            basic.check().map_err(|e| e.within("basic_auth"))?;
        }
        if let Some(authorization) = &self.authorization {
            authorization.check().map_err(|e| e.within("authorization"))?;
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.check().map_err(|e| e.within("oauth2"))?;
        }
        self.tls_config.check().map_err(|e| e.within("tls_config"))?;
        check_proxy(
            &self.proxy_url,
            &self.no_proxy,
            self.proxy_from_environment,
            &self.proxy_connect_header,
        )?;
        for name in self.http_headers.keys() {
            check_header_name(name).map_err(|e| e.within(name).within("http_headers"))?;
        }
        Ok(())
    }

    fn check_one_credential(&self) -> Result<(), InvalidSettings> {
        let has_bearer = !self.bearer_token.is_empty() || !self.bearer_token_file.is_empty();
        if !self.bearer_token.is_empty() && !self.bearer_token_file.is_empty() {
            return fault(
                ["bearer_token_file"],
                "at most one of bearer_token & bearer_token_file must be configured",
            );
        }
        if (self.basic_auth.is_some() || self.oauth2.is_some()) && has_bearer {
            return fault(
                [if self.basic_auth.is_some() { "basic_auth" } else { "oauth2" }],
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
            );
        }
        if self.authorization.is_some() {
            if has_bearer {
                return fault(
                    ["authorization"],
                    "authorization is not compatible with bearer_token & bearer_token_file",
                );
            }
            if self.basic_auth.is_some() || self.oauth2.is_some() {
                return fault(
                    ["authorization"],
                    "at most one of basic_auth, oauth2 & authorization must be configured",
                );
            }
        }
        if self.basic_auth.is_some() && self.oauth2.is_some() {
            return fault(["oauth2"], "at most one of basic_auth, oauth2 & authorization must be configured");
        }
        Ok(())
    }

    /// Makes relative paths relative to `directory` instead of where the process runs.
    pub fn set_directory(&mut self, directory: &Path) {
        if let Some(basic) = &mut self.basic_auth {
            join(directory, [&mut basic.username_file, &mut basic.password_file]);
        }
        if let Some(authorization) = &mut self.authorization {
            join(directory, [&mut authorization.credentials_file]);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            join(directory, [&mut oauth2.client_secret_file, &mut oauth2.client_certificate_key_file]);
            oauth2.tls_config.set_directory(directory);
        }
        join(directory, [&mut self.bearer_token_file]);
        self.tls_config.set_directory(directory);
        for values in self.http_headers.values_mut() {
            join(directory, &mut values.files);
        }
    }

    /// `authorization`, with `bearer_token` and `bearer_token_file` understood as the same.
    pub fn effective_authorization(&self) -> Option<Authorization> {
        if self.bearer_token.is_empty() && self.bearer_token_file.is_empty() {
            return self.authorization.clone();
        }
        Some(Authorization {
            credentials: self.bearer_token.clone(),
            credentials_file: self.bearer_token_file.clone(),
            ..Authorization::default()
        })
    }
}

impl BasicAuth {
    fn check(&self) -> Result<(), InvalidSettings> {
        refuse_refs([("username_ref", &self.username_ref), ("password_ref", &self.password_ref)])?;
        if !self.username.is_empty() && !self.username_file.is_empty() {
            return fault(
                ["username_file"],
                "at most one of basic_auth username & username_file must be configured",
            );
        }
        if !self.password.is_empty() && !self.password_file.is_empty() {
            return fault(
                ["password_file"],
                "at most one of basic_auth password & password_file must be configured",
            );
        }
        Ok(())
    }
}

impl Authorization {
    fn check(&self) -> Result<(), InvalidSettings> {
        refuse_refs([("credentials_ref", &self.credentials_ref)])?;
        if !self.credentials.is_empty() && !self.credentials_file.is_empty() {
            return fault(
                ["credentials_file"],
                "at most one of authorization credentials & credentials_file must be configured",
            );
        }
        if self.kind.trim().eq_ignore_ascii_case("basic") {
            return fault(
                ["type"],
                "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
            );
        }
        Ok(())
    }

    /// The first word of the header.
    pub fn scheme(&self) -> &str {
        match self.kind.trim() {
            "" => "Bearer",
            kind => kind,
        }
    }
}

impl OAuth2 {
    fn check(&self) -> Result<(), InvalidSettings> {
        refuse_refs([
            ("client_secret_ref", &self.client_secret_ref),
            ("client_certificate_key_ref", &self.client_certificate_key_ref),
        ])?;
        if self.client_id.is_empty() {
            return fault(["client_id"], "oauth2 client_id must be configured");
        }
        if self.token_url.is_empty() {
            return fault(["token_url"], "oauth2 token_url must be configured");
        }
        if url::Url::parse(&self.token_url).is_err() {
            return fault(["token_url"], format!("oauth2 token_url {:?} is not a valid URL", self.token_url));
        }
        if self.grant_type == JWT_BEARER {
            return fault(
                ["grant_type"],
                "oauth2 grant type jwt-bearer is not supported yet; use client_credentials",
            );
        }
        if !self.client_secret.is_empty() && !self.client_secret_file.is_empty() {
            return fault(
                ["client_secret_file"],
                "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured \
                 using grant-type=client_credentials",
            );
        }
        self.tls_config.check().map_err(|e| e.within("tls_config"))?;
        check_proxy(&self.proxy_url, &self.no_proxy, self.proxy_from_environment, &self.proxy_connect_header)
    }
}

/// Makes relative paths relative to `directory`; empty ones stay empty.
fn join<'a>(directory: &Path, paths: impl IntoIterator<Item = &'a mut String>) {
    for path in paths {
        if !path.is_empty() {
            *path = directory.join(&*path).to_string_lossy().into_owned();
        }
    }
}

impl TlsSettings {
    /// Makes relative paths relative to `directory`.
    pub fn set_directory(&mut self, directory: &Path) {
        join(directory, [&mut self.ca_file, &mut self.cert_file, &mut self.key_file]);
    }

    /// Checks which keys exclude or demand each other.
    ///
    /// # Errors
    /// The first contradiction, in Prometheus' words.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        refuse_refs([("ca_ref", &self.ca_ref), ("cert_ref", &self.cert_ref), ("key_ref", &self.key_ref)])?;
        if !self.ca.is_empty() && !self.ca_file.is_empty() {
            return fault(["ca_file"], "at most one of ca and ca_file must be configured");
        }
        if !self.cert.is_empty() && !self.cert_file.is_empty() {
            return fault(["cert_file"], "at most one of cert and cert_file must be configured");
        }
        if !self.key.is_empty() && !self.key_file.is_empty() {
            return fault(["key_file"], "at most one of key and key_file must be configured");
        }
        let has_cert = !self.cert.is_empty() || !self.cert_file.is_empty();
        let has_key = !self.key.is_empty() || !self.key_file.is_empty();
        if has_cert && !has_key {
            return fault(
                ["cert_file"],
                "exactly one of key or key_file must be configured when a client certificate is configured",
            );
        }
        if has_key && !has_cert {
            return fault(
                ["key_file"],
                "exactly one of cert or cert_file must be configured when a client key is configured",
            );
        }
        if let (Some(min), Some(max)) = (self.min_version, self.max_version)
            && max < min
        {
            return fault(
                ["max_version"],
                "tls_config max_version must be greater than or equal to min_version if both are specified",
            );
        }
        if self.max_version.is_some_and(|max| max < TlsVersion::Tls12) {
            return fault(
                ["max_version"],
                "TLS versions before 1.2 are not supported; use TLS12 or TLS13, or leave it out",
            );
        }
        Ok(())
    }
}

/// Checks the name of a header that a user adds to requests.
///
/// # Errors
/// If the client sets it itself, or it is no name of a header.
pub fn check_header_name(name: &str) -> Result<(), InvalidSettings> {
    let canonical = name.to_ascii_lowercase();
    if RESERVED_HEADERS.contains(&canonical.as_str()) {
        return fault::<&str>(
            [],
            format!("setting header {name:?} is not allowed: the client sets it itself"),
        );
    }
    if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return fault::<&str>([], format!("{name:?} is not a valid header name"));
    }
    Ok(())
}

fn check_proxy(
    proxy_url: &str,
    no_proxy: &str,
    from_environment: bool,
    connect_header: &BTreeMap<String, Vec<Secret>>,
) -> Result<(), InvalidSettings> {
    if !connect_header.is_empty() && !from_environment && proxy_url.is_empty() {
        return fault(
            ["proxy_connect_header"],
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured",
        );
    }
    if from_environment && !proxy_url.is_empty() {
        return fault(
            ["proxy_url"],
            "if proxy_from_environment is configured, proxy_url must not be configured",
        );
    }
    if from_environment && !no_proxy.is_empty() {
        return fault(
            ["no_proxy"],
            "if proxy_from_environment is configured, no_proxy must not be configured",
        );
    }
    if proxy_url.is_empty() && !no_proxy.is_empty() {
        return fault(["no_proxy"], "if no_proxy is configured, proxy_url must also be configured");
    }
    if !proxy_url.is_empty()
        && let Err(error) = url::Url::parse(proxy_url)
    {
        return fault(["proxy_url"], format!("proxy_url {proxy_url:?} is not a valid URL: {error}"));
    }
    Ok(())
}

fn refuse_refs<'a>(refs: impl IntoIterator<Item = (&'a str, &'a String)>) -> Result<(), InvalidSettings> {
    for (key, value) in refs {
        if !value.is_empty() {
            return fault(
                [key],
                format!("{key} needs a secret manager, and there is none; use the key with _file instead"),
            );
        }
    }
    Ok(())
}

fn fault<S: ToString>(
    path: impl IntoIterator<Item = S>,
    message: impl Into<String>,
) -> Result<(), InvalidSettings> {
    Err(InvalidSettings::at(path, message))
}
