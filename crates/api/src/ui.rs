//! The web UI, embedded in the binary; without one, a page that says how to build it.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, Method, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::{self, ApiError, ErrorType};

/// What Vite built; empty if nobody ran it.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

const INDEX: &str = "index.html";

/// Served where there is no UI in the binary.
const NOT_BUILT: &str = include_str!("ui/not_built.html");

/// Nothing from outside. Styles may be inline because the UI's components set them so.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
);

/// Everything that is no other route: a file of the UI, or the page of the path, which the UI itself routes.
pub(crate) async fn serve(request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
        return no_such_endpoint(request.method(), path);
    }
    if path.starts_with("/-/") {
        return error::text(StatusCode::NOT_FOUND, "404 page not found");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return error::text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    }
    let name = path.trim_start_matches('/');
    let known_etag = request.headers().get(header::IF_NONE_MATCH);
    if !name.is_empty()
        && let Some(file) = Dist::get(name)
    {
        return file_response(name, file, known_etag);
    }
    // A missing script must not be answered with a page.
    let last = name.rsplit('/').next().unwrap_or(name);
    if name.starts_with("assets/") || last.contains('.') {
        return error::text(StatusCode::NOT_FOUND, "404 page not found");
    }
    match Dist::get(INDEX) {
        Some(file) => file_response(INDEX, file, known_etag),
        None => page(NOT_BUILT),
    }
}

pub(crate) fn no_such_endpoint(method: &Method, path: &str) -> Response {
    ApiError::new(ErrorType::NotFound, format!("no such endpoint: {method} {path}")).into_response()
}

/// Prometheus' path of old, to where its queries are understood.
pub(crate) async fn graph(request: Request) -> Redirect {
    let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
    Redirect::to(&format!("/explore{query}"))
}

fn file_response(name: &str, file: EmbeddedFile, known_etag: Option<&HeaderValue>) -> Response {
    let hash: String =
        file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let etag = HeaderValue::from_str(&format!("\"{hash}\"")).expect("hexadecimal digits");
    // Compression makes the tag of the same bytes weak.
    let is_known = known_etag.and_then(|v| v.to_str().ok()).is_some_and(|known| known.contains(&hash));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = match file.data {
            Cow::Borrowed(bytes) => Body::from(bytes),
            Cow::Owned(bytes) => Body::from(bytes),
        };
        ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)))], body).into_response()
    };
    // Vite puts a hash of the content into the names under assets/.
    let caching =
        if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    secure(response)
}

fn page(html: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    let mut response = (headers, html).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    secure(response)
}

fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
