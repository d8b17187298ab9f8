//! Google's application default credentials: a file that the environment names, the file of `gcloud`, or the machine.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http_client::header::HeaderValue;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;

use crate::fetch::{Api, Fault, parse_url};
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
            let assertion = signed(&file, url, shared.clock.now_ms() / 1_000).map_err(wrong)?;
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

/// A JSON web token (RFC 7519) that says who we are, signed with the file's key.
fn signed(file: &File, audience: &str, now_s: i64) -> Result<String, String> {
    let der: String = file.private_key.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(der.trim()).map_err(|error| format!("private_key is no PEM: {error}"))?;
    let key = RsaKeyPair::from_pkcs8(&der).map_err(|error| format!("private_key is no RSA key: {error}"))?;
    let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": file.private_key_id });
    let claims = serde_json::json!({
        "iss": file.client_email, "scope": SCOPE, "aud": audience, "iat": now_s, "exp": now_s + SIGNED_SECONDS,
    });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&header), encode(&claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| "signing failed".to_owned())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
