//! What a type cannot say: which keys exclude or demand each other, URLs, header names. Texts are Prometheus'.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Authorization, BasicAuth, InvalidSettings, OAuth2, Secret, Settings, TlsSettings, TlsVersion};

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
    // A URL without a scheme is one to Go; it fails when it is used.
    if !proxy_url.is_empty()
        && let Err(error) = url::Url::parse(proxy_url)
        && error != url::ParseError::RelativeUrlWithoutBase
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
