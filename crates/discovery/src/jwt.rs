//! Tokens of clouds, as `http_client` signs them, and what tests need to verify them.

pub(crate) use http_client::jwt::{Algorithm, signed};

/// A key for tests, and what a token that it signed says: header and claims.
#[cfg(test)]
pub(crate) mod testing {
    use ring::signature::{
        KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey,
    };

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use ring::signature::RsaKeyPair;
    use serde_json::Value;

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
    use serde_json::json;

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
