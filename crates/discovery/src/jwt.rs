//! JSON web tokens (RFC 7519) signed with an RSA key: how clouds let keys of service accounts say who they are.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair};
use serde_json::{Value, json};

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs512,
}

/// A token with these claims. The key is PEM, of either form (PKCS #8 or #1).
pub(crate) fn signed(
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

/// A key for tests, and what a token that it signed says: header and claims.
#[cfg(test)]
pub(crate) mod testing {
    use ring::signature::{
        KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    };

    use super::*;

    pub(crate) const KEY: &str = include_str!("../testdata/rsa.key");

    pub(crate) fn verified(token: &str) -> (Value, Value) {
        let (text, signature) = token.rsplit_once('.').expect("a signature");
        let part = |text: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64")).expect("JSON")
        };
        let (header, claims) = text.split_once('.').expect("two parts");
        let (header, claims) = (part(header), part(claims));
        let der: String = KEY.lines().filter(|line| !line.starts_with("-----")).collect();
        let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).expect("base64")).expect("a key");
        let algorithm =
            if header["alg"] == "RS512" { &RSA_PKCS1_2048_8192_SHA512 } else { &RSA_PKCS1_2048_8192_SHA256 };
        let public = UnparsedPublicKey::new(algorithm, key.public_key().as_ref().to_vec());
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        public.verify(text.as_bytes(), &signature).expect("a good signature");
        (header, claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_signed_and_bad_keys_are_said() {
        let claims = json!({ "iss": "me" });
        for (algorithm, name) in [(Algorithm::Rs256, "RS256"), (Algorithm::Rs512, "RS512")] {
            let token = signed(testing::KEY, "k1", algorithm, &claims).expect("a token");
            let want = (json!({ "alg": name, "typ": "JWT", "kid": "k1" }), claims.clone());
            assert_eq!(testing::verified(&token), want);
        }
        let check = |key: &str, want: &str| {
            let error = signed(key, "k1", Algorithm::Rs256, &claims).expect_err(key);
            assert!(error.starts_with(want), "{error}");
        };
        check("-----BEGIN PRIVATE KEY-----\n!\n", "the private key is no PEM");
        check("-----BEGIN PRIVATE KEY-----\nAAAA\n", "the private key is no RSA key");
    }
}
