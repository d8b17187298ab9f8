//! Tokens of Entra ID: for a secret, for a federated identity, of the machine, or whatever of these the environment offers.
//!
//! Source: what Prometheus documents of `azuread`, and what Microsoft documents of its identity platform (OAuth 2 client credentials)
//! and of managed identities.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Request, Url};
use serde::Deserialize;

use super::tokens::Answer;
use super::{fetch, form};
use crate::aws::Environment;
use crate::client::{BuildError, Client};
use crate::settings::{InvalidSettings, Secret};

const TIMEOUT: Duration = Duration::from_secs(30);
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Where Kubernetes' workload identity puts its token.
const TOKEN_FILE: &str = "/var/run/secrets/azure/tokens/azure-identity-token";
/// The service of virtual machines.
const MACHINE: &str = "http://169.254.169.254";

/// Who we are to Azure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `AzurePublic` (default), `AzureChina` or `AzureGovernment`.
    pub cloud: Option<String>,
    /// The identity of the machine.
    pub managed_identity: Option<ManagedIdentity>,
    /// An application with a secret.
    pub oauth: Option<OAuth>,
    /// Whatever the environment offers, as Azure's own libraries look for it.
    pub sdk: Option<Sdk>,
    /// An application that trusts a token in a file.
    pub workload_identity: Option<WorkloadIdentity>,
    /// What tokens are asked for; empty: the cloud's own scope of monitoring.
    pub scope: String,
}

/// The identity of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ManagedIdentity {
    /// Which of its identities; empty: its own.
    pub client_id: String,
}

/// An application with a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth {
    /// The application.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Its directory.
    pub tenant_id: String,
}

/// Whatever the environment offers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sdk {
    /// The directory; empty: `AZURE_TENANT_ID`.
    pub tenant_id: String,
}

/// An application that trusts a token in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkloadIdentity {
    /// The application.
    pub client_id: String,
    /// Its directory.
    pub tenant_id: String,
    /// The file, read for each token; empty: where Kubernetes puts it.
    pub token_file_path: String,
}

/// Login and scope of a cloud.
#[derive(Debug, Clone, Copy)]
struct Cloud {
    name: &'static str,
    authority: &'static str,
    scope: &'static str,
}

const CLOUDS: [Cloud; 3] = [
    Cloud {
        name: "AzurePublic",
        authority: "https://login.microsoftonline.com",
        scope: "https://monitor.azure.com//.default",
    },
    Cloud {
        name: "AzureChina",
        authority: "https://login.chinacloudapi.cn",
        scope: "https://monitor.azure.cn//.default",
    },
    Cloud {
        name: "AzureGovernment",
        authority: "https://login.microsoftonline.us",
        scope: "https://monitor.azure.us//.default",
    },
];

impl Settings {
    /// Checks what a type cannot.
    ///
    /// # Errors
    /// In Prometheus' words.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let fault = |path: &[&str], text: &str| Err(InvalidSettings::at(path, text));
        if self.cloud().is_none() {
            return fault(&["cloud"], "must provide a cloud in the Azure AD config");
        }
        let ways = [
            ("managed_identity", self.managed_identity.is_some()),
            ("workload_identity", self.workload_identity.is_some()),
            ("oauth", self.oauth.is_some()),
            ("sdk", self.sdk.is_some()),
        ];
        let ways: Vec<&str> = ways.into_iter().filter_map(|(name, used)| used.then_some(name)).collect();
        match ways[..] {
            [] => {
                return fault(
                    &[],
                    "must provide an Azure Managed Identity, Azure Workload Identity, Azure OAuth or Azure SDK in the Azure AD config",
                );
            }
            [_] => {}
            [_, second, ..] => {
                return fault(
                    &[second],
                    "cannot provide multiple authentication methods in the Azure AD config",
                );
            }
        }
        if let Some(identity) = &self.managed_identity
            && !identity.client_id.is_empty()
        {
            check_id("Managed Identity", "managed_identity", &identity.client_id)?;
        }
        if let Some(identity) = &self.workload_identity {
            check_id("Workload Identity", "workload_identity", &identity.client_id)?;
            check_tenant("Workload Identity", "workload_identity", &identity.tenant_id)?;
        }
        if let Some(oauth) = &self.oauth {
            check_id("OAuth", "oauth", &oauth.client_id)?;
            if oauth.client_secret.is_empty() {
                return fault(
                    &["oauth", "client_secret"],
                    "must provide an Azure OAuth client_secret in the Azure AD config",
                );
            }
            check_tenant("OAuth", "oauth", &oauth.tenant_id)?;
        }
        if let Some(sdk) = self.sdk.as_ref().filter(|sdk| !sdk.tenant_id.is_empty()) {
            check_tenant("OAuth", "sdk", &sdk.tenant_id)?;
        }
        let usual = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_:/.-".contains(c);
        if self.scope.chars().all(usual) {
            Ok(())
        } else {
            fault(&["scope"], "the provided scope contains invalid characters")
        }
    }

    fn cloud(&self) -> Option<&'static Cloud> {
        let name = self.cloud.as_deref().unwrap_or("AzurePublic");
        CLOUDS.iter().find(|cloud| cloud.name == name)
    }
}

fn check_id(what: &str, section: &str, id: &str) -> Result<(), InvalidSettings> {
    let fault = |text: String| Err(InvalidSettings::at([section, "client_id"], text));
    if id.is_empty() {
        return fault(format!("must provide an Azure {what} client_id in the Azure AD config"));
    }
    // The forms of a UUID that people write: with hyphens or without, in braces, as a URN.
    let bare = id.trim_start_matches("urn:uuid:").trim_start_matches('{').trim_end_matches('}');
    let digits = bare.chars().filter(char::is_ascii_hexdigit).count();
    let hyphens = bare.chars().filter(|c| *c == '-').count();
    if digits == 32 && bare.len() == digits + hyphens && (hyphens == 0 || hyphens == 4) {
        Ok(())
    } else {
        fault(format!("the provided Azure {what} client_id is invalid"))
    }
}

fn check_tenant(what: &str, section: &str, id: &str) -> Result<(), InvalidSettings> {
    let fault = |text: String| Err(InvalidSettings::at([section, "tenant_id"], text));
    if id.is_empty() {
        return fault(format!("must provide an Azure {what} tenant_id in the Azure AD config"));
    }
    if id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') {
        Ok(())
    } else {
        fault(format!("the provided Azure {what} tenant_id is invalid"))
    }
}

/// Where tokens come from.
pub(super) struct Source {
    settings: Settings,
    environment: Environment,
    /// To Azure's login, through the proxy of the environment if it names one.
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
    pub(super) fn new(settings: Settings, environment: Environment) -> Result<Self, BuildError> {
        let login =
            Client::new(crate::Settings { proxy_from_environment: true, ..crate::Settings::default() })?;
        Ok(Self { settings, environment, login, machine: Client::new(crate::Settings::default())? })
    }

    pub(super) async fn fetch(&self) -> Result<Answer, String> {
        let settings = &self.settings;
        let body = if let Some(oauth) = &settings.oauth {
            self.with_secret(&oauth.tenant_id, &oauth.client_id, oauth.client_secret.reveal()).await?
        } else if let Some(identity) = &settings.workload_identity {
            let file = match identity.token_file_path.as_str() {
                "" => TOKEN_FILE,
                path => path,
            };
            self.federated(&identity.tenant_id, &identity.client_id, file).await?
        } else if let Some(identity) = &settings.managed_identity {
            self.of_machine(&identity.client_id).await?
        } else {
            self.whatever_there_is().await?
        };
        Answer::parse(&body)
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    fn cloud(&self) -> &'static Cloud {
        self.settings.cloud().unwrap_or(&CLOUDS[0])
    }

    fn scope(&self) -> &str {
        if self.settings.scope.is_empty() { self.cloud().scope } else { &self.settings.scope }
    }

    /// In the order of Azure's libraries: a secret, a federated identity, the machine.
    async fn whatever_there_is(&self) -> Result<Vec<u8>, String> {
        let own = self.settings.sdk.as_ref().map(|sdk| sdk.tenant_id.clone()).filter(|id| !id.is_empty());
        let tenant = own.or_else(|| self.variable("AZURE_TENANT_ID"));
        let client = self.variable("AZURE_CLIENT_ID");
        let (secret, file) =
            (self.variable("AZURE_CLIENT_SECRET"), self.variable("AZURE_FEDERATED_TOKEN_FILE"));
        match (tenant, client, secret, file) {
            (Some(tenant), Some(client), Some(secret), _) => {
                self.with_secret(&tenant, &client, &secret).await
            }
            (Some(tenant), Some(client), None, Some(file)) => self.federated(&tenant, &client, &file).await,
            (_, client, ..) => self.of_machine(&client.unwrap_or_default()).await,
        }
    }

    async fn log_in(&self, tenant: &str, pairs: &[(&str, &str)]) -> Result<Vec<u8>, String> {
        let authority =
            self.variable("AZURE_AUTHORITY_HOST").unwrap_or_else(|| self.cloud().authority.to_owned());
        let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/'));
        let url = Url::parse(&url).map_err(|error| format!("{url}: {error}"))?;
        fetch(&self.login, self.login.post_form(url, form(pairs)), TIMEOUT).await
    }

    async fn with_secret(&self, tenant: &str, client: &str, secret: &str) -> Result<Vec<u8>, String> {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", secret),
            ("scope", self.scope()),
        ];
        self.log_in(tenant, &pairs).await
    }

    async fn federated(&self, tenant: &str, client: &str, file: &str) -> Result<Vec<u8>, String> {
        let assertion = tokio::fs::read_to_string(file).await;
        let assertion = assertion.map_err(|error| format!("cannot read {file}: {error}"))?;
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", assertion.trim()),
            ("scope", self.scope()),
        ];
        self.log_in(tenant, &pairs).await
    }

    async fn of_machine(&self, client: &str) -> Result<Vec<u8>, String> {
        let resource = self.scope().trim_end_matches("/.default");
        let mut pairs = vec![("resource", resource)];
        if !client.is_empty() {
            pairs.push(("client_id", client));
        }
        // App Service, Functions and Container Apps have a service of their own.
        let own = (self.variable("IDENTITY_ENDPOINT"), self.variable("IDENTITY_HEADER"));
        let (base, version, header) = match own {
            (Some(endpoint), Some(secret)) => (endpoint, "2019-08-01", ("x-identity-header", secret)),
            _ => {
                let host = self.variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");
                let host = host.unwrap_or_else(|| MACHINE.to_owned());
                let url = format!("{}/metadata/identity/oauth2/token", host.trim_end_matches('/'));
                (url, "2018-02-01", ("metadata", "true".to_owned()))
            }
        };
        pairs.push(("api-version", version));
        let mut url = Url::parse(&base).map_err(|error| format!("{base}: {error}"))?;
        url.query_pairs_mut().extend_pairs(pairs);
        let mut request: Request = self.machine.get(url);
        let mut value = HeaderValue::from_str(&header.1).map_err(|_| format!("{} is no header", header.0))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header.0, value);
        fetch(&self.machine, request, TIMEOUT).await
    }
}
