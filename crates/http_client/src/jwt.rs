//! JSON web tokens (RFC 7519) signed with an RSA key: how clouds let keys of service accounts say who they are.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair};
use serde_json::{Value, json};

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// PKCS #1 with SHA-256.
    Rs256,
    /// PKCS #1 with SHA-512.
    Rs512,
}

/// A token with these claims. The key is PEM, of either form (PKCS #8 or #1).
///
/// # Errors
/// If the key is none, said so that it can be shown.
pub fn signed(
    private_key: &str,
    key_id: &str,
    algorithm: Algorithm,
    claims: &Value,
) -> Result<String, String> {
    let der: String = private_key.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = STANDARD.decode(der).map_err(|error| format!("the private key is no PEM: {error}"))?;
    let key = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
    let key = key.map_err(|error| format!("the private key is no RSA key: {error}"))?;
    let (name, padding) = match algorithm {
        Algorithm::Rs256 => ("RS256", &RSA_PKCS1_SHA256),
        Algorithm::Rs512 => ("RS512", &RSA_PKCS1_SHA512),
    };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": name, "typ": "JWT", "kid": key_id });
    let text = format!("{}.{}", encode(&header), encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(padding, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| "signing failed".to_owned())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
