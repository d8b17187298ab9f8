//! Tokens of Azure: for a secret, for a federated identity, or of the machine.

use http_client::header::HeaderValue;

use super::{Cloud, Settings};
use crate::fetch::{Api, Fault, parse_url, with_query};
use crate::place::Shared;
use crate::token::{Token, TokenAnswer, form, set_secret};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The service of virtual machines.
const MACHINE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

pub(super) async fn fetch(
    api: &Api,
    settings: &Settings,
    cloud: &Cloud,
    shared: &Shared,
) -> Result<Token, Fault> {
    let variable = |name: &str| shared.environment.get(name);
    let secret = settings.client_secret.reveal();
    match settings.authentication_method.as_str() {
        "OAuth" => with_secret(api, cloud, &settings.tenant_id, &settings.client_id, secret).await,
        "WorkloadIdentity" => federated(api, settings, cloud, shared).await,
        "ManagedIdentity" => of_machine(api, cloud, &settings.client_id, shared).await,
        // As the libraries of Azure look: a secret, a federated identity, the machine.
        _ => {
            match (variable("AZURE_TENANT_ID"), variable("AZURE_CLIENT_ID"), variable("AZURE_CLIENT_SECRET"))
            {
                (Some(tenant), Some(client), Some(secret)) => {
                    with_secret(api, cloud, &tenant, &client, &secret).await
                }
                _ if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() => {
                    federated(api, settings, cloud, shared).await
                }
                (_, client, _) => of_machine(api, cloud, &client.unwrap_or_default(), shared).await,
            }
        }
    }
}

async fn ask(api: &Api, authority: &str, tenant: &str, pairs: &[(&str, &str)]) -> Result<Token, Fault> {
    let url = parse_url(&format!("{}/{tenant}/oauth2/v2.0/token", authority.trim_end_matches('/')))?;
    let answer: TokenAnswer = api.send(api.client().post_form(url, form(pairs)?)).await?.json()?;
    Ok(answer.into())
}

async fn with_secret(
    api: &Api,
    cloud: &Cloud,
    tenant: &str,
    client: &str,
    secret: &str,
) -> Result<Token, Fault> {
    let scope = format!("{}/.default", cloud.audience);
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("client_secret", secret),
        ("scope", &scope),
    ];
    ask(api, &cloud.authority, tenant, &pairs).await
}

async fn federated(api: &Api, settings: &Settings, cloud: &Cloud, shared: &Shared) -> Result<Token, Fault> {
    let needed = |name: &str| {
        let value = shared.environment.get(name);
        value
            .ok_or_else(|| Fault::Other(format!("a workload identity needs the environment variable {name}")))
    };
    let own =
        |setting: &str, name: &str| if setting.is_empty() { needed(name) } else { Ok(setting.to_owned()) };
    let file = needed("AZURE_FEDERATED_TOKEN_FILE")?;
    let tenant = own(&settings.tenant_id, "AZURE_TENANT_ID")?;
    let client = own(&settings.client_id, "AZURE_CLIENT_ID")?;
    let assertion = tokio::fs::read_to_string(&file).await;
    let assertion = assertion.map_err(|error| Fault::Other(format!("cannot read {file}: {error}")))?;
    let authority = shared.environment.get("AZURE_AUTHORITY_HOST").unwrap_or(cloud.authority.clone());
    let scope = format!("{}/.default", cloud.audience);
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", client.as_str()),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", assertion.trim()),
        ("scope", &scope),
    ];
    ask(api, &authority, &tenant, &pairs).await
}

async fn of_machine(api: &Api, cloud: &Cloud, client: &str, shared: &Shared) -> Result<Token, Fault> {
    let mut pairs = vec![("resource", cloud.audience.as_str())];
    if !client.is_empty() {
        pairs.push(("client_id", client));
    }
    // App Service, Functions and Container Apps have a service of their own.
    let own = (shared.environment.get("IDENTITY_ENDPOINT"), shared.environment.get("IDENTITY_HEADER"));
    let request = match own {
        (Some(endpoint), Some(header)) => {
            pairs.push(("api-version", "2019-08-01"));
            let mut request = api.client().get(with_query(&endpoint, pairs)?);
            set_secret(&mut request, "x-identity-header", &header)?;
            request
        }
        _ => {
            let host = shared.environment.get("AZURE_POD_IDENTITY_AUTHORITY_HOST");
            let path = "/metadata/identity/oauth2/token";
            let url = host.map_or(MACHINE.to_owned(), |host| format!("{}{path}", host.trim_end_matches('/')));
            pairs.push(("api-version", "2018-02-01"));
            let mut request = api.client().get(with_query(&url, pairs)?);
            request.headers_mut().insert("metadata", HeaderValue::from_static("true"));
            request
        }
    };
    let answer: TokenAnswer = api.send(request).await?.json()?;
    Ok(answer.into())
}
