//! Where AWS credentials come from, in the order of AWS' own libraries; each kept until shortly before it expires.
//!
//! Keys of the configuration; the environment; a profile's keys; a web identity (as in EKS); the container (ECS, EKS);
//! the machine (IMDSv2). A role of the configuration is assumed with what was found.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stdx::clock::Clock;
use tokio::sync::Mutex;

use super::{Settings, profile, sign};
use crate::client::Client;
use crate::settings::Secret;

/// Credentials this near to their end are fetched anew.
const EXPIRES_EARLY_MS: i64 = 5 * 60_000;
/// Longest wait for each request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The machine's own service answers at once or is not there.
const MACHINE_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How long a role is asked for.
const ROLE_SECONDS: &str = "3600";

/// Keys that sign requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// Goes with keys that are lent for a time.
    pub session_token: Option<Secret>,
    /// When they end, in ms since the epoch; `None`: never.
    pub expires_ms: Option<i64>,
}

/// No credentials or no region.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialsError {
    /// Nothing there.
    #[error(
        "no AWS credentials: not in the configuration, the environment, a profile, the container or this machine"
    )]
    None,
    /// A source is there and does not work.
    #[error("cannot get AWS credentials from {source_name}: {reason}")]
    Source {
        /// Which.
        source_name: &'static str,
        /// What happened.
        reason: String,
    },
    /// Nothing says in which region we are.
    #[error("no AWS region; set region, or AWS_REGION, or run on EC2")]
    NoRegion,
}

fn fault(source_name: &'static str, reason: impl fmt::Display) -> CredentialsError {
    CredentialsError::Source { source_name, reason: reason.to_string() }
}

/// Looks environment variables up; tests hand in their own.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Finds credentials and keeps them while they are good. Shared behind an `Arc`.
pub struct Provider {
    settings: Settings,
    environment: Environment,
    clock: Arc<dyn Clock>,
    client: Client,
    newest: Mutex<Option<Credentials>>,
    region: Mutex<Option<String>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What the container's and the machine's services answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Lent {
    access_key_id: String,
    secret_access_key: Secret,
    /// Absent in the answer of some local imitations.
    #[serde(alias = "SessionToken")]
    token: Option<Secret>,
    expiration: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsAnswer {
    #[serde(alias = "AssumeRoleResult", alias = "AssumeRoleWithWebIdentityResult")]
    result: StsResult,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsResult {
    credentials: Lent,
}

impl From<Lent> for Credentials {
    fn from(lent: Lent) -> Self {
        let expires = lent.expiration.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        Self {
            access_key_id: lent.access_key_id,
            secret_access_key: lent.secret_access_key,
            session_token: lent.token,
            expires_ms: expires.map(jiff::Timestamp::as_millisecond),
        }
    }
}

impl Provider {
    /// Nothing is asked for yet.
    ///
    /// # Errors
    /// If no HTTP client can be made.
    pub fn new(
        settings: Settings,
        environment: Environment,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, crate::BuildError> {
        let client = Client::new(crate::Settings::default())?;
        let (newest, region) = (Mutex::new(None), Mutex::new(None));
        Ok(Self { settings, environment, clock, client, newest, region })
    }

    /// Signs a request for a service, with credentials that are good now.
    ///
    /// # Errors
    /// If there are no credentials or no region, or the request cannot be signed.
    pub async fn sign(&self, request: &mut Request, service: &str) -> Result<(), CredentialsError> {
        let region = self.region().await?;
        let credentials = self.current().await?;
        sign(request, &credentials, &region, service, self.clock.now_ms())
            .map_err(|error| fault("the request", error))
    }

    /// Credentials that can be used now. If newer ones cannot be had, the old ones are used to their end.
    ///
    /// # Errors
    /// If there are none.
    pub async fn current(&self) -> Result<Credentials, CredentialsError> {
        let mut newest = self.newest.lock().await;
        let left = |credentials: &Credentials| {
            credentials.expires_ms.map_or(i64::MAX, |end| end.saturating_sub(self.clock.now_ms()))
        };
        if let Some(good) = newest.as_ref().filter(|credentials| left(credentials) > EXPIRES_EARLY_MS) {
            return Ok(good.clone());
        }
        match self.find().await {
            Ok(found) => Ok(newest.insert(found).clone()),
            Err(error) => match newest.as_ref().filter(|credentials| left(credentials) > 0) {
                Some(old) => {
                    tracing::warn!(%error, "AWS credentials end soon and cannot be renewed");
                    Ok(old.clone())
                }
                None => Err(error),
            },
        }
    }

    /// Those that were used are refused: the next request looks for others.
    pub async fn forget(&self) {
        self.newest.lock().await.take();
    }

    /// The region that requests go to.
    ///
    /// # Errors
    /// If nothing says which.
    pub async fn region(&self) -> Result<String, CredentialsError> {
        if !self.settings.region.is_empty() {
            return Ok(self.settings.region.clone());
        }
        let mut region = self.region.lock().await;
        if let Some(region) = region.as_ref() {
            return Ok(region.clone());
        }
        let named = self.variable("AWS_REGION").or_else(|| self.variable("AWS_DEFAULT_REGION"));
        let found = match named.or_else(|| self.profile()?.get("region").cloned()) {
            Some(found) => found,
            None => {
                let path = "/latest/meta-data/placement/region";
                self.ask_machine(path).await.map_err(|_| CredentialsError::NoRegion)?
            }
        };
        Ok(region.insert(found).clone())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    async fn find(&self) -> Result<Credentials, CredentialsError> {
        let found = self.find_own().await?;
        if self.settings.role_arn.is_empty() {
            return Ok(found);
        }
        let mut form = vec![
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.settings.role_arn),
            ("RoleSessionName", "kymo"),
            ("DurationSeconds", ROLE_SECONDS),
        ];
        if !self.settings.external_id.is_empty() {
            form.push(("ExternalId", &self.settings.external_id));
        }
        self.ask_sts("the role", &form, Some(&found)).await
    }

    async fn find_own(&self) -> Result<Credentials, CredentialsError> {
        let settings = &self.settings;
        if !settings.access_key.is_empty() {
            let (id, key) = (settings.access_key.clone(), settings.secret_key.clone());
            return Ok(fixed(id, key, None));
        }
        let named = !settings.profile.is_empty();
        if !named
            && let (Some(id), Some(key)) =
                (self.variable("AWS_ACCESS_KEY_ID"), self.variable("AWS_SECRET_ACCESS_KEY"))
        {
            return Ok(fixed(id, Secret::new(key), self.variable("AWS_SESSION_TOKEN")));
        }
        if let Some(profile) = self.profile() {
            let value = |key: &str| profile.get(key).cloned();
            if let (Some(id), Some(key)) = (value("aws_access_key_id"), value("aws_secret_access_key")) {
                return Ok(fixed(id, Secret::new(key), value("aws_session_token")));
            }
        }
        if named {
            let reason =
                format!("profile {:?} has no aws_access_key_id and aws_secret_access_key", settings.profile);
            return Err(fault("a profile", reason));
        }
        if let (Some(role), Some(file)) =
            (self.variable("AWS_ROLE_ARN"), self.variable("AWS_WEB_IDENTITY_TOKEN_FILE"))
        {
            return self.web_identity(&role, &file).await;
        }
        if let Some(found) = self.container().await? {
            return Ok(found);
        }
        self.machine().await
    }

    fn profile(&self) -> Option<profile::Profile> {
        let home = self.variable("HOME").unwrap_or_default();
        let path =
            |variable: &str, name: &str| self.variable(variable).unwrap_or(format!("{home}/.aws/{name}"));
        let text = |path: String| std::fs::read_to_string(path).unwrap_or_default();
        let credentials = text(path("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
        let config = text(path("AWS_CONFIG_FILE", "config"));
        let name = match self.settings.profile.as_str() {
            "" => self.variable("AWS_PROFILE").unwrap_or("default".to_owned()),
            name => name.to_owned(),
        };
        profile::read(&credentials, &config, &name)
    }

    async fn web_identity(&self, role: &str, file: &str) -> Result<Credentials, CredentialsError> {
        let from = "the web identity";
        let token = tokio::fs::read_to_string(file).await;
        let token = token.map_err(|error| fault(from, format!("cannot read {file}: {error}")))?;
        let session = self.variable("AWS_ROLE_SESSION_NAME").unwrap_or("kymo".to_owned());
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", &session),
            ("WebIdentityToken", token.trim()),
        ];
        self.ask_sts(from, &form, None).await
    }

    async fn container(&self) -> Result<Option<Credentials>, CredentialsError> {
        let from = "the container";
        let relative = self.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let url = match relative.map(|path| format!("http://169.254.170.2{path}")) {
            Some(url) => url,
            None => match self.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
                Some(url) => url,
                None => return Ok(None),
            },
        };
        let token = match self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(file) => tokio::fs::read_to_string(&file).await.ok().map(|text| text.trim().to_owned()),
            None => self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        };
        let url = Url::parse(&url).map_err(|error| fault(from, error))?;
        let mut request = self.client.get(url);
        if let Some(token) = token {
            let value = HeaderValue::from_str(&token).map_err(|error| fault(from, error))?;
            request.headers_mut().insert(reqwest::header::AUTHORIZATION, value);
        }
        let body = self.send(request, TIMEOUT).await.map_err(|reason| fault(from, reason))?;
        json::<Lent>(&body).map(|lent| Some(lent.into())).map_err(|reason| fault(from, reason))
    }

    async fn machine(&self) -> Result<Credentials, CredentialsError> {
        if self.variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        {
            return Err(CredentialsError::None);
        }
        let from = "this machine's role";
        let path = "/latest/meta-data/iam/security-credentials/";
        // Where nothing answers, this is no EC2 machine, or it has no role.
        let roles = self.ask_machine(path).await.map_err(|_| CredentialsError::None)?;
        let role = roles.lines().next().unwrap_or("").trim();
        let body = self.ask_machine(&format!("{path}{role}")).await.map_err(|reason| fault(from, reason))?;
        json::<Lent>(body.as_bytes()).map(Into::into).map_err(|reason| fault(from, reason))
    }

    /// Asks the machine's own service (IMDSv2): a token first.
    async fn ask_machine(&self, path: &str) -> Result<String, String> {
        let base = self.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let base = base.unwrap_or("http://169.254.169.254".to_owned());
        let url = |path: &str| {
            Url::parse(&format!("{}{path}", base.trim_end_matches('/'))).map_err(|error| error.to_string())
        };
        let mut ask = Request::new(Method::PUT, url("/latest/api/token")?);
        let seconds = HeaderValue::from_static("300");
        ask.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", seconds);
        let token = self.send(ask, MACHINE_TIMEOUT).await?;
        let mut request = self.client.get(url(path)?);
        let token = HeaderValue::from_bytes(&token).map_err(|error| error.to_string())?;
        request.headers_mut().insert("x-aws-ec2-metadata-token", token);
        let body = self.send(request, MACHINE_TIMEOUT).await?;
        String::from_utf8(body).map_err(|error| error.to_string())
    }

    async fn ask_sts(
        &self,
        from: &'static str,
        form: &[(&str, &str)],
        with: Option<&Credentials>,
    ) -> Result<Credentials, CredentialsError> {
        let region = self.region().await?;
        let fips = if self.settings.use_fips_sts_endpoint { "-fips" } else { "" };
        let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let usual = format!("https://sts{fips}.{region}.{end}");
        let url = self
            .variable("AWS_ENDPOINT_URL_STS")
            .or_else(|| self.variable("AWS_ENDPOINT_URL"))
            .unwrap_or(usual);
        let url = Url::parse(&url).map_err(|error| fault(from, error))?;
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.client.post_form(url, body);
        if let Some(credentials) = with {
            let signed = sign(&mut request, credentials, &region, "sts", self.clock.now_ms());
            signed.map_err(|error| fault(from, error))?;
        }
        let body = self.send(request, TIMEOUT).await.map_err(|reason| fault(from, reason))?;
        let text = String::from_utf8_lossy(&body);
        let answer: StsAnswer = quick_xml::de::from_str(&text).map_err(|error| fault(from, error))?;
        Ok(answer.result.credentials.into())
    }

    async fn send(&self, mut request: Request, timeout: Duration) -> Result<Vec<u8>, String> {
        *request.timeout_mut() = Some(timeout);
        let url = request.url().clone();
        let mut response = self.client.execute(request).await.map_err(|error| format!("{url}: {error}"))?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|error| error.to_string())? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(format!("the answer of {url} is too long"));
            }
        }
        if response.status().is_success() {
            return Ok(body);
        }
        let shown: String = String::from_utf8_lossy(&body).chars().take(300).collect();
        Err(format!("{url} answered {}: {shown}", response.status()))
    }
}

fn fixed(access_key_id: String, secret_access_key: Secret, session_token: Option<String>) -> Credentials {
    let session_token = session_token.map(Secret::new);
    Credentials { access_key_id, secret_access_key, session_token, expires_ms: None }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
