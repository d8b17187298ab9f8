//! Google's application default credentials: a file that the environment names, the file of `gcloud`, or the machine.

use http_client::header::HeaderValue;
use serde::Deserialize;

use crate::fetch::{Api, Fault, parse_url};
use crate::jwt::{self, Algorithm};
use crate::place::Shared;
use crate::token::{Token, TokenAnswer, form};

const SCOPE: &str = "https://www.googleapis.com/auth/compute.readonly";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long what we sign is good.
const SIGNED_SECONDS: i64 = 3_600;

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

pub(super) async fn fetch(api: &Api, shared: &Shared) -> Result<Token, Fault> {
    let environment = &shared.environment;
    if let Some(path) = environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
        let text = tokio::fs::read_to_string(&path).await;
        let text = text.map_err(|error| Fault::Other(format!("cannot read {path}: {error}")))?;
        return of_file(api, shared, &path, &text).await;
    }
    let home = environment.get("HOME").unwrap_or_default();
    let path = format!("{home}/.config/gcloud/application_default_credentials.json");
    if let Ok(text) = tokio::fs::read_to_string(&path).await {
        return of_file(api, shared, &path, &text).await;
    }
    let host = environment.get("GCE_METADATA_HOST").unwrap_or("metadata.google.internal".to_owned());
    let url =
        format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={SCOPE}");
    let mut request = api.get(&url)?;
    request.headers_mut().insert("metadata-flavor", HeaderValue::from_static("Google"));
    let answer: TokenAnswer = api.send(request).await?.json()?;
    Ok(answer.into())
}

async fn of_file(api: &Api, shared: &Shared, path: &str, text: &str) -> Result<Token, Fault> {
    let wrong = |reason: String| Fault::Other(format!("{path}: {reason}"));
    let file: File = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let usual = "https://oauth2.googleapis.com/token";
    let url = if file.token_uri.is_empty() { usual } else { &file.token_uri };
    let body = match file.kind.as_str() {
        "service_account" => {
            let now_s = shared.clock.now_ms() / 1_000;
            let claims = serde_json::json!({
                "iss": file.client_email, "scope": SCOPE, "aud": url, "iat": now_s, "exp": now_s + SIGNED_SECONDS,
            });
            let signed = jwt::signed(&file.private_key, &file.private_key_id, Algorithm::Rs256, &claims);
            let assertion = signed.map_err(wrong)?;
            form(&[("grant_type", GRANT), ("assertion", &assertion)])?
        }
        "authorized_user" => form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &file.client_id),
            ("client_secret", &file.client_secret),
            ("refresh_token", &file.refresh_token),
        ])?,
        other => return Err(wrong(format!("credentials of type {other:?} are not supported"))),
    };
    let answer: TokenAnswer = api.send(api.client().post_form(parse_url(url)?, body)).await?.json()?;
    Ok(answer.into())
}
