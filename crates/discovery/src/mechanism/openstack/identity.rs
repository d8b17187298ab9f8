//! Keystone, version 3: who we are, for which project, and where services are.

use std::time::Duration;

use http_client::header::{CONTENT_TYPE, HeaderValue};
use http_client::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Settings;
use crate::fetch::{Api, Fault, parse_url};
use crate::place::Shared;
use crate::token::Token;

/// A token with the services that it opens.
#[derive(Debug)]
pub(super) struct Session {
    token: Token,
    catalog: Vec<Service>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answered {
    token: Granted,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Granted {
    expires_at: String,
    catalog: Vec<Service>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    interface: String,
    region: String,
    region_id: String,
    url: String,
}

impl Session {
    pub(super) fn is_good(&self) -> bool {
        self.token.is_good()
    }

    pub(super) fn authorize(&self, request: &mut Request) -> Result<(), Fault> {
        self.token.set(request, "x-auth-token")
    }

    /// Where a service is, with a slash behind.
    pub(super) fn endpoint(&self, service: &str, availability: &str, region: &str) -> Result<String, Fault> {
        let services = self.catalog.iter().filter(|known| known.kind == service);
        let mut endpoints = services.flat_map(|known| &known.endpoints);
        let found = endpoints.find(|endpoint| {
            let here = region.is_empty() || endpoint.region == region || endpoint.region_id == region;
            endpoint.interface == availability && here
        });
        let missing =
            || format!("the catalogue has no {availability} endpoint of {service} in region {region:?}");
        let url = &found.ok_or_else(|| Fault::Other(missing()))?.url;
        // The paths that are asked for begin with the version, except those of compute.
        let base = url.trim_end_matches('/');
        let base = if service == "compute" { base } else { base.trim_end_matches("/v2.0") };
        Ok(format!("{base}/"))
    }
}

/// Who asks: from the section, or if it has no endpoint, from the environment.
struct Identity(Box<dyn Fn(&str) -> String + Send + Sync>);

impl Identity {
    fn new(settings: &Settings, shared: &Shared) -> Self {
        if settings.identity_endpoint.is_empty() {
            let environment = shared.environment.clone();
            return Self(Box::new(move |name| {
                let variables: &[&str] = match name {
                    "identity_endpoint" => &["OS_AUTH_URL"],
                    "username" => &["OS_USERNAME"],
                    "userid" => &["OS_USERID", "OS_USER_ID"],
                    "password" => &["OS_PASSWORD"],
                    "project_name" => &["OS_PROJECT_NAME", "OS_TENANT_NAME"],
                    "project_id" => &["OS_PROJECT_ID", "OS_TENANT_ID"],
                    "domain_name" => &["OS_DOMAIN_NAME", "OS_USER_DOMAIN_NAME"],
                    "domain_id" => &["OS_DOMAIN_ID", "OS_USER_DOMAIN_ID"],
                    "application_credential_name" => &["OS_APPLICATION_CREDENTIAL_NAME"],
                    "application_credential_id" => &["OS_APPLICATION_CREDENTIAL_ID"],
                    "application_credential_secret" => &["OS_APPLICATION_CREDENTIAL_SECRET"],
                    _ => &[],
                };
                variables.iter().find_map(|variable| environment.get(variable)).unwrap_or_default()
            }));
        }
        let own = settings.clone();
        Self(Box::new(move |name| {
            let value = match name {
                "identity_endpoint" => &own.identity_endpoint,
                "username" => &own.username,
                "userid" => &own.userid,
                "password" => own.password.reveal(),
                "project_name" => &own.project_name,
                "project_id" => &own.project_id,
                "domain_name" => &own.domain_name,
                "domain_id" => &own.domain_id,
                "application_credential_name" => &own.application_credential_name,
                "application_credential_id" => &own.application_credential_id,
                "application_credential_secret" => own.application_credential_secret.reveal(),
                _ => "",
            };
            value.to_owned()
        }))
    }

    fn get(&self, name: &str) -> String {
        (self.0)(name)
    }

    /// `{"id": …}` or `{"name": …}`; `None` if there is neither.
    fn reference(&self, id: &str, name: &str) -> Option<Value> {
        match (self.get(id), self.get(name)) {
            (id, _) if !id.is_empty() => Some(json!({ "id": id })),
            (_, name) if !name.is_empty() => Some(json!({ "name": name })),
            _ => None,
        }
    }

    /// The body of a request for a token.
    fn request(&self) -> Result<Value, Fault> {
        let domain = self.reference("domain_id", "domain_name");
        let in_domain = |mut thing: Value| {
            if let (Some(domain), true) = (&domain, thing.get("name").is_some()) {
                thing["domain"] = domain.clone();
            }
            thing
        };
        let user = self.reference("userid", "username").map(in_domain);
        let secret = self.get("application_credential_secret");
        if !secret.is_empty() {
            let credential = self.reference("application_credential_id", "application_credential_name");
            let wanting = || Fault::Other("an application credential needs an id or a name".to_owned());
            let mut credential = credential.ok_or_else(wanting)?;
            if let (Some(user), true) = (user, credential.get("name").is_some()) {
                credential["user"] = user;
            }
            credential["secret"] = secret.into();
            // Its scope is its own.
            let identity =
                json!({ "methods": ["application_credential"], "application_credential": credential });
            return Ok(json!({ "auth": { "identity": identity } }));
        }
        let wanting = || Fault::Other("OpenStack needs userid or username, and password".to_owned());
        let mut user = user.ok_or_else(wanting)?;
        user["password"] = self.get("password").into();
        let mut auth = json!({ "identity": { "methods": ["password"], "password": { "user": user } } });
        if let Some(project) = self.reference("project_id", "project_name") {
            auth["scope"] = json!({ "project": in_domain(project) });
        }
        Ok(json!({ "auth": auth }))
    }
}

/// Gets a token.
pub(super) async fn log_in(api: &Api, settings: &Settings, shared: &Shared) -> Result<Session, Fault> {
    let identity = Identity::new(settings, shared);
    let endpoint = identity.get("identity_endpoint");
    if endpoint.is_empty() {
        return Err(Fault::Other("neither identity_endpoint nor the variable OS_AUTH_URL is set".to_owned()));
    }
    let base = endpoint.trim_end_matches('/');
    let base = if base.ends_with("/v3") { base.to_owned() } else { format!("{base}/v3") };
    let mut request = Request::new(Method::POST, parse_url(&format!("{base}/auth/tokens"))?);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(identity.request()?.to_string().into());
    let answer = api.send(request).await?;
    let text = answer.header("x-subject-token").to_owned();
    if text.is_empty() {
        return Err(answer.syntax("there is no X-Subject-Token".to_owned()));
    }
    let Answered { token } = answer.json()?;
    let ends = token.expires_at.parse::<jiff::Timestamp>().ok();
    let left =
        |ends: jiff::Timestamp| u64::try_from(ends.as_millisecond() - shared.clock.now_ms()).unwrap_or(0);
    let lasts = ends.map(|ends| Duration::from_millis(left(ends)));
    Ok(Session { token: Token::new(text, lasts), catalog: token.catalog })
}
