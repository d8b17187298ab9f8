//! `stackit_sd_configs`: servers of one project of STACKIT.

use std::collections::BTreeMap;
use std::path::Path;

use http_client::{InvalidSettings, Secret};
use model::Labels;
use model::time::DurationMs;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Configured, fault, fault_at};
use crate::fetch::{Api, Fault, parse_url};
use crate::group::TargetGroup;
use crate::jwt::{self, Algorithm};
use crate::meta::{Meta, sanitized};
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};
use crate::token::{Token, TokenAnswer, form};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long what we sign is good.
const SIGNED_SECONDS: i64 = 600;

/// A section of `stackit_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    project: String,
    /// There is one only; Prometheus reads it too.
    role: String,
    region: String,
    endpoint: String,
    /// JSON of a key; without any key the settings of the HTTP client say who we are.
    service_account_key: Secret,
    private_key: Secret,
    service_account_key_path: String,
    private_key_path: String,
    credentials_file_path: String,
    refresh_interval: DurationMs,
    port: u16,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            project: String::new(),
            role: String::new(),
            region: "eu01".to_owned(),
            endpoint: String::new(),
            service_account_key: Secret::default(),
            private_key: Secret::default(),
            service_account_key_path: String::new(),
            private_key_path: String::new(),
            credentials_file_path: String::new(),
            refresh_interval: DurationMs(60_000),
            port: 80,
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.endpoint.is_empty() && self.region.is_empty() {
            return fault("endpoint or region missing");
        }
        if !self.endpoint.is_empty()
            && let Err(error) = http_client::Url::parse(&self.endpoint)
        {
            return fault_at("endpoint", format!("invalid endpoint {:?}: {error}", self.endpoint));
        }
        self.http.check()
    }

    fn set_directory(&mut self, directory: &Path) {
        self.http.set_directory(directory);
    }

    async fn run(self, shared: Shared, publisher: Publisher) {
        refresh::run(self.refresh_interval, shared, publisher, |shared| Source::new(&self, shared)).await;
    }
}

#[derive(Debug)]
struct Source {
    api: Api,
    settings: Settings,
    shared: Shared,
    tokens: String,
    token: Option<Token>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Servers {
    items: Vec<Server>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Server {
    id: String,
    name: String,
    availability_zone: String,
    status: String,
    power_status: String,
    machine_type: String,
    labels: BTreeMap<String, Value>,
    nics: Vec<Nic>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Nic {
    ipv4: String,
    public_ip: String,
    network_name: String,
}

/// The key of a service account.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Key {
    credentials: Credentials,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Credentials {
    kid: String,
    iss: String,
    sub: String,
    aud: String,
    #[serde(rename = "privateKey")]
    private_key: String,
}

/// Names of what there is in a file of credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
struct CredentialsFile {
    stackit_service_account_key_path: String,
    stackit_private_key_path: String,
}

async fn read(path: &str) -> Result<String, Fault> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|error| Fault::Other(format!("cannot read {path}: {error}")))
}

/// What is set, or what is in the file; empty if there is neither.
async fn text_of(set: &Secret, path: &str) -> Result<String, Fault> {
    match (set.is_empty(), path.is_empty()) {
        (false, _) => Ok(set.reveal().to_owned()),
        (true, true) => Ok(String::new()),
        (true, false) => read(path).await,
    }
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let api = Api::new(&settings.http, interval(settings.refresh_interval))?;
        let tokens = "https://service-account.api.stackit.cloud/token".to_owned();
        Ok(Self { api, settings: settings.clone(), shared: shared.clone(), tokens, token: None })
    }

    /// The texts of the key and, if it stands alone, of its private part; `None`: there is no key.
    async fn key(&self) -> Result<Option<(String, String)>, Fault> {
        let own = &self.settings;
        let mut paths = (own.service_account_key_path.clone(), own.private_key_path.clone());
        if !own.credentials_file_path.is_empty() {
            let text = read(&own.credentials_file_path).await?;
            let file: CredentialsFile = serde_json::from_str(&text)
                .map_err(|error| Fault::Other(format!("{}: {error}", own.credentials_file_path)))?;
            if paths.0.is_empty() {
                paths.0 = file.stackit_service_account_key_path;
            }
            if paths.1.is_empty() {
                paths.1 = file.stackit_private_key_path;
            }
        }
        let key = text_of(&own.service_account_key, &paths.0).await?;
        if key.is_empty() {
            return Ok(None);
        }
        Ok(Some((key, text_of(&own.private_key, &paths.1).await?)))
    }

    async fn token(&mut self) -> Result<Option<Token>, Fault> {
        if let Some(token) = self.token.take().filter(Token::is_good) {
            return Ok(Some(token));
        }
        let Some((key, private)) = self.key().await? else { return Ok(None) };
        let wrong = |reason: String| Fault::Other(format!("the key of the service account: {reason}"));
        let Key { credentials } = serde_json::from_str(&key).map_err(|error| wrong(error.to_string()))?;
        let private = if private.is_empty() { &credentials.private_key } else { &private };
        let now_s = self.shared.clock.now_ms() / 1_000;
        let claims = json!({
            "iss": credentials.iss, "sub": credentials.sub, "aud": credentials.aud,
            "jti": format!("{:016x}{:016x}", self.shared.random.next_u64(), self.shared.random.next_u64()),
            "iat": now_s, "exp": now_s + SIGNED_SECONDS,
        });
        let assertion = jwt::signed(private, &credentials.kid, Algorithm::Rs512, &claims).map_err(wrong)?;
        let body = form(&[("grant_type", GRANT), ("assertion", &assertion)])?;
        let request = self.api.client().post_form(parse_url(&self.tokens)?, body);
        let answer: TokenAnswer = self.api.send(request).await?.json()?;
        Ok(Some(answer.into()))
    }

    /// A server without an address is no target.
    fn target(&self, server: &Server) -> Option<Labels> {
        let first = |pick: fn(&Nic) -> &String| server.nics.iter().map(pick).find(|ip| !ip.is_empty());
        let public = first(|nic| &nic.public_ip);
        let host = public.or_else(|| first(|nic| &nic.ipv4))?;
        let mut meta = Meta::new("__meta_stackit_");
        meta.address(host, self.settings.port)
            .set("project", &self.settings.project)
            .set("id", &server.id)
            .set("name", &server.name)
            .set("availability_zone", &server.availability_zone)
            .set("status", &server.status)
            .set("power_status", &server.power_status)
            .set("type", &server.machine_type)
            .set_some("public_ipv4", public);
        for nic in &server.nics {
            meta.set(format_args!("private_ipv4_{}", sanitized(&nic.network_name)), &nic.ipv4);
        }
        for (name, value) in &server.labels {
            if let Some(value) = value.as_str() {
                let name = sanitized(name);
                meta.set(format_args!("label_{name}"), value).set(format_args!("labelpresent_{name}"), true);
            }
        }
        Some(meta.build())
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let Settings { endpoint, region, project, .. } = &self.settings;
        let usual = format!("https://iaas.api.{region}.stackit.cloud");
        let base = if endpoint.is_empty() { usual.as_str() } else { endpoint.trim_end_matches('/') };
        let url = format!("{base}/v1/projects/{project}/servers?details=true");
        let token = self.token().await?;
        let mut request = self.api.get(&url)?;
        if let Some(token) = &token {
            token.authorize(&mut request)?;
        }
        // A token that was refused is not used again.
        let servers: Servers = self.api.send(request).await?.json()?;
        self.token = token;
        let targets = servers.items.iter().filter_map(|server| self.target(server)).collect();
        Ok(vec![TargetGroup::of_targets("stackit", targets)])
    }
}

#[cfg(test)]
mod tests;
