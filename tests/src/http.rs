//! Requests, and Prometheus' answers.

use std::io::Read;

use serde_json::Value;

use crate::poll;

/// A response, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Value of `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(poll::PATIENCE))
        .build()
        .into()
}

fn received(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Response, String> {
    let mut response = result.map_err(|error| error.to_string())?;
    let content_type =
        response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or("").to_owned();
    let status = response.status().as_u16();
    let mut body = Vec::new();
    response.body_mut().as_reader().read_to_end(&mut body).map_err(|error| error.to_string())?;
    Ok(Response { status, content_type, body })
}

/// Keeps its connections open from request to request, for those who ask much.
#[derive(Debug)]
pub struct Client(ureq::Agent);

impl Default for Client {
    fn default() -> Self {
        Self(agent())
    }
}

impl Client {
    /// `POST url` with a form.
    ///
    /// # Errors
    /// If there is no response at all.
    pub fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Result<Response, String> {
        received(self.0.post(url).send_form(fields.iter().copied()))
    }
}

/// `GET url`.
///
/// # Errors
/// If there is no response at all.
pub fn get(url: &str) -> Result<Response, String> {
    received(agent().get(url).call())
}

/// `POST url` with headers and a body.
///
/// # Errors
/// If there is no response at all.
pub fn post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, String> {
    let mut request = agent().post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    received(request.send(body))
}

/// A request of any method. Without a body, none is sent.
///
/// # Errors
/// If there is no response at all.
///
/// # Panics
/// If the method, the URL or a header is none.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Response, String> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if body.is_empty() {
        return received(agent().run(request.body(()).expect("a request")));
    }
    received(agent().run(request.body(body.to_vec()).expect("a request")))
}

/// `DELETE url`.
///
/// # Errors
/// If there is no response at all.
pub fn delete(url: &str) -> Result<Response, String> {
    received(agent().delete(url).call())
}

/// Text as a part of a query string.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// `GET base + path?parameters`.
///
/// # Errors
/// If there is no response at all.
pub fn get_with(base: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Response, String> {
    let query: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    get(&format!("{base}{path}?{}", query.join("&")))
}

/// The `data` of a successful API answer.
///
/// # Errors
/// If there is no answer, or it tells of an error.
pub fn api(base: &str, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
    let response = get_with(base, path, parameters)?;
    let mut answer: Value = serde_json::from_slice(&response.body)
        .map_err(|error| format!("not JSON ({error}): {}", response.text()))?;
    if answer["status"] != "success" {
        return Err(format!("{} {}", response.status, response.text()));
    }
    Ok(answer["data"].take())
}

/// An instant query's result.
///
/// # Errors
/// As [`api`].
pub fn instant(base: &str, query: &str) -> Result<Value, String> {
    Ok(api(base, "/api/v1/query", &[("query", query)])?["result"].take())
}

/// The only value of an instant query.
///
/// # Errors
/// If there is none, or are several.
pub fn single_value(base: &str, query: &str) -> Result<f64, String> {
    let result = instant(base, query)?;
    let samples = result.as_array().ok_or_else(|| format!("not a vector: {result}"))?;
    let [sample] = samples.as_slice() else { return Err(format!("{query} gave {} samples", samples.len())) };
    sample["value"][1].as_str().and_then(|v| v.parse().ok()).ok_or_else(|| format!("no value: {sample}"))
}
