//! Signature Version 4, as AWS' "Create a signed AWS API request" specifies it.

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Request, Url};
use ring::{digest, hmac};

use super::credentials::Credentials;
use crate::client::RequestError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Signs a request whose URL, body and `content-type` are complete: adds the date, the session's token and the
/// `Authorization` header. Headers added afterwards are not covered.
///
/// # Errors
/// If the body is not at hand as bytes, or a key cannot stand in a header.
pub fn sign(
    request: &mut Request,
    credentials: &Credentials,
    region: &str,
    service: &str,
    now_ms: i64,
) -> Result<(), RequestError> {
    let header = |key: &str| RequestError::Header { key: key.to_owned() };
    let (date, time) = date_and_time(now_ms).ok_or_else(|| header("the date of an AWS request"))?;
    set(request, "x-amz-date", &time).map_err(|_| header("x-amz-date"))?;
    if let Some(token) = &credentials.session_token {
        set(request, "x-amz-security-token", token.reveal()).map_err(|_| header("session token"))?;
    }
    let body = match request.body() {
        None => &[][..],
        Some(body) => body.as_bytes().ok_or_else(|| header("the body of an AWS request"))?,
    };
    let payload = hex(digest::digest(&digest::SHA256, body).as_ref());
    let (names, canonical) = canonical_request(request, &payload);
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{hashed}");
    let mut key = format!("AWS4{}", credentials.secret_access_key.reveal()).into_bytes();
    for part in [date.as_str(), region, service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &to_sign));
    let id = &credentials.access_key_id;
    let value = format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}");
    let mut value = HeaderValue::from_str(&value).map_err(|_| header("access_key"))?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

fn set(
    request: &mut Request,
    name: &'static str,
    value: &str,
) -> Result<(), reqwest::header::InvalidHeaderValue> {
    request.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
    Ok(())
}

/// `20150830` and `20150830T123600Z`.
fn date_and_time(now_ms: i64) -> Option<(String, String)> {
    let now = jiff::Timestamp::from_millisecond(now_ms).ok()?;
    Some((now.strftime("%Y%m%d").to_string(), now.strftime("%Y%m%dT%H%M%SZ").to_string()))
}

/// The names of the headers that are signed, and the text that is.
fn canonical_request(request: &Request, payload: &str) -> (String, String) {
    let url = request.url();
    let mut headers: Vec<(String, String)> = vec![("host".to_owned(), host(url))];
    for (name, value) in request.headers() {
        let name = name.as_str();
        if name == "content-type" || name == "content-encoding" || name.starts_with("x-amz-") {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers.push((name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    // The path of a URL is encoded already; services other than S3 want it encoded once more.
    let path = encode(url.path(), false);
    let text = format!("{}\n{path}\n{}\n{lines}\n{names}\n{payload}", request.method(), canonical_query(url));
    (names, text)
}

/// As the `Host` header has it.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn canonical_query(url: &Url) -> String {
    let mut pairs: Vec<String> = url
        .query_pairs()
        .map(|(name, value)| format!("{}={}", encode(&name, true), encode(&value, true)))
        .collect();
    pairs.sort();
    pairs.join("&")
}

/// Percent-encodes all but unreserved characters (RFC 3986), and `/` unless it is to be encoded.
fn encode(text: &str, slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if !slash => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;
    use reqwest::Method;

    /// 2015-08-30T12:36:00Z, the moment of AWS' test suite.
    const NOW_MS: i64 = 1_440_938_160_000;

    #[track_caller]
    fn check(
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
        body: &str,
        service: &str,
        want: &str,
    ) {
        let mut request = Request::new(method, Url::parse(url).expect(url));
        for (name, value) in headers {
            set(&mut request, name, value).expect("a header");
        }
        if !body.is_empty() {
            *request.body_mut() = Some(body.to_owned().into());
        }
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: None,
            expires_ms: None,
        };
        sign(&mut request, &credentials, "us-east-1", service, NOW_MS).expect("signed");
        let value = request.headers()[AUTHORIZATION].to_str().expect("text").to_owned();
        assert!(value.ends_with(&format!("Signature={want}")), "{value}");
        assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
    }

    #[test]
    fn signatures_are_those_of_the_specification() {
        let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        check(Method::GET, "https://example.amazonaws.com/", &[], "", "service", vanilla);
        let ordered = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        check(
            Method::GET,
            "https://example.amazonaws.com/?Param2=value2&Param1=value1",
            &[],
            "",
            "service",
            ordered,
        );
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let users = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08";
        check(Method::GET, url, &form, "", "iam", users);
        let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
        check(Method::POST, "https://example.amazonaws.com/", &[], "", "service", post);
    }

    #[test]
    fn a_session_is_signed_with_its_token() {
        let mut request = Request::new(Method::GET, Url::parse("http://localhost:4566/a b").expect("a URL"));
        let credentials = Credentials {
            access_key_id: "a".to_owned(),
            secret_access_key: Secret::new("b"),
            session_token: Some(Secret::new("c")),
            expires_ms: None,
        };
        sign(&mut request, &credentials, "r", "s", NOW_MS).expect("signed");
        assert_eq!(request.headers()["x-amz-security-token"], "c");
        let value = request.headers()[AUTHORIZATION].to_str().expect("text");
        assert!(value.contains("SignedHeaders=host;x-amz-date;x-amz-security-token,"), "{value}");
        assert!(canonical_request(&request, "").1.contains("\n/a%2520b\n"));
    }
}
