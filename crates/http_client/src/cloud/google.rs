//! Tokens of Google's IAM: for a file of credentials, or as the machine on which we run.
//!
//! Source: what Prometheus documents of `google_iam`, and what Google documents of application default credentials.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use stdx::clock::Clock;

use super::tokens::Answer;
use super::{fetch, form};
use crate::aws::Environment;
use crate::client::{BuildError, Client};
use crate::jwt::{self, Algorithm};

const TIMEOUT: Duration = Duration::from_secs(30);
const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.write";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long what we sign is good.
const SIGNED_SECONDS: i64 = 3_600;

/// Who we are to Google.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// A file of credentials, read for each token. Empty: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, that of `gcloud`,
    /// or the machine.
    pub credentials_file: String,
}

/// A file of credentials, of either kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key: String,
    private_key_id: String,
    token_uri: String,
    client_id: String,
    client_secret: String,
    refresh_token: String,
}

/// Where tokens come from.
pub(super) struct Source {
    settings: Settings,
    environment: Environment,
    clock: Arc<dyn Clock>,
    /// To Google, through the proxy of the environment if it names one.
    login: Client,
    /// To the machine's own service.
    machine: Client,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Source {
    pub(super) fn new(
        settings: Settings,
        environment: Environment,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        let login =
            Client::new(crate::Settings { proxy_from_environment: true, ..crate::Settings::default() })?;
        Ok(Self { settings, environment, clock, login, machine: Client::new(crate::Settings::default())? })
    }

    pub(super) async fn fetch(&self) -> Result<Answer, String> {
        let body = match self.file().await? {
            Some((path, text)) => self.of_file(&text).await.map_err(|reason| format!("{path}: {reason}"))?,
            None => self.of_machine().await?,
        };
        Answer::parse(&body)
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    /// The file that counts, and its text.
    async fn file(&self) -> Result<Option<(String, String)>, String> {
        let named = Some(self.settings.credentials_file.clone()).filter(|path| !path.is_empty());
        if let Some(path) = named.or_else(|| self.variable("GOOGLE_APPLICATION_CREDENTIALS")) {
            let text = tokio::fs::read_to_string(&path).await;
            return text
                .map(|text| Some((path.clone(), text)))
                .map_err(|error| format!("cannot read {path}: {error}"));
        }
        let Some(home) = self.variable("HOME") else { return Ok(None) };
        let path = format!("{home}/.config/gcloud/application_default_credentials.json");
        // A file that is not there is usual; the machine may have what we need.
        Ok(tokio::fs::read_to_string(&path).await.ok().map(|text| (path, text)))
    }

    async fn of_file(&self, text: &str) -> Result<Vec<u8>, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let usual = "https://oauth2.googleapis.com/token";
        let url = if file.token_uri.is_empty() { usual } else { &file.token_uri };
        let body = match file.kind.as_str() {
            "service_account" => {
                let now_s = self.clock.now_ms() / 1_000;
                let claims = serde_json::json!({
                    "iss": file.client_email, "scope": SCOPE, "aud": url, "iat": now_s, "exp": now_s + SIGNED_SECONDS,
                });
                let signed = jwt::signed(&file.private_key, &file.private_key_id, Algorithm::Rs256, &claims)?;
                form(&[("grant_type", GRANT), ("assertion", &signed)])
            }
            "authorized_user" => form(&[
                ("grant_type", "refresh_token"),
                ("client_id", &file.client_id),
                ("client_secret", &file.client_secret),
                ("refresh_token", &file.refresh_token),
            ]),
            other => {
                return Err(format!(
                    "credentials of type {other:?} are not supported; use service_account or authorized_user"
                ));
            }
        };
        let url = Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        fetch(&self.login, self.login.post_form(url, body), TIMEOUT).await
    }

    async fn of_machine(&self) -> Result<Vec<u8>, String> {
        let host = self.variable("GCE_METADATA_HOST").unwrap_or("metadata.google.internal".to_owned());
        let path = "computeMetadata/v1/instance/service-accounts/default/token";
        let url = format!("http://{host}/{path}?scopes={SCOPE}");
        let url = Url::parse(&url).map_err(|error| format!("{url}: {error}"))?;
        let mut request = self.machine.get(url);
        request.headers_mut().insert("metadata-flavor", HeaderValue::from_static("Google"));
        fetch(&self.machine, request, TIMEOUT).await
    }
}
