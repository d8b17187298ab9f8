//! gRPC by hand: one method with one message each way. A message is a byte that tells whether it is compressed, its
//! length, and its bytes; the outcome comes as headers behind the body.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use wire::otlp::answer;

use super::{Arrival, Code, Protocol, receive, told};
use crate::error::ApiError;
use crate::push::Encoding;
use crate::state::State;
use crate::tenancy::Tenant;

/// The only method there is.
const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const CONTENT_TYPE: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: &str = "grpc-encoding";
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What is told of an error at most: headers have their limits.
const MESSAGE_BYTES_MAX: usize = 1_000;

/// A call that is not answered as asked.
type Failure = (Code, String);

/// Answers a call.
pub(super) async fn call(state: &Arc<State>, request: Request<Body>) -> Response<Frames> {
    let headers = request.headers();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if request.method() != Method::POST || !content_type.starts_with(CONTENT_TYPE) {
        // Not gRPC at all.
        let mut response = Response::new(Frames::default());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    match export(state, request).await {
        Ok(message) => succeeded(&message),
        Err((code, message)) => failed(code, &message),
    }
}

async fn export(state: &Arc<State>, request: Request<Body>) -> Result<Vec<u8>, Failure> {
    if request.uri().path() != EXPORT {
        let path = request.uri().path();
        return Err((Code::Unimplemented, format!("{path} is not here; only metrics are: {EXPORT}")));
    }
    let told_as = |error: ApiError| (Code::of(&error), error.message().to_owned());
    let encoding = compression(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let Tenant(tenant) = Tenant::from_request_parts(&mut parts, state).await.map_err(told_as)?;
    let arrival = Arrival { protocol: Protocol::Otlp, tenant, encoding: Some(Encoding::Grpc(encoding)) };
    let request = Request::from_parts(parts, body);
    let received = receive(state, arrival, answer::Encoding::Protobuf, request).await.map_err(told_as)?;
    Ok(answer::success(answer::Encoding::Protobuf, received.filled, &told(&received)))
}

fn compression(headers: &HeaderMap) -> Result<&'static Encoding, Failure> {
    let name = headers.get(ENCODING).map_or("identity", |value| value.to_str().unwrap_or("?"));
    match Encoding::from_name(name) {
        Some(Encoding::Identity) => Ok(&Encoding::Identity),
        Some(Encoding::Gzip) => Ok(&Encoding::Gzip),
        Some(Encoding::Deflate) => Ok(&Encoding::Deflate),
        Some(Encoding::Zstd) => Ok(&Encoding::Zstd),
        Some(Encoding::Snappy) => Ok(&Encoding::Snappy),
        _ => Err((Code::Unimplemented, format!("compression {name:?} is not known: use gzip or none"))),
    }
}

fn started() -> Response<Frames> {
    let mut response = Response::new(Frames::default());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,deflate,gzip,zstd,snappy"));
    response
}

fn succeeded(message: &[u8]) -> Response<Frames> {
    let mut data = Vec::with_capacity(5 + message.len());
    data.push(0);
    data.extend_from_slice(&(message.len() as u32).to_be_bytes());
    data.extend_from_slice(message);
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let mut response = started();
    *response.body_mut() = Frames { data: Some(data.into()), trailers: Some(trailers) };
    response
}

/// The outcome alone, in the place of the headers.
fn failed(code: Code, message: &str) -> Response<Frames> {
    let mut response = started();
    response.headers_mut().insert(STATUS, HeaderValue::from(code as u32));
    let shown = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    let mut escaped = String::with_capacity(shown.len());
    for byte in shown.bytes() {
        match byte {
            b'%' | 0x7f.. | 0..b' ' => escaped += &format!("%{byte:02X}"),
            _ => escaped.push(char::from(byte)),
        }
    }
    if let Ok(message) = HeaderValue::from_str(&escaped) {
        response.headers_mut().insert(MESSAGE, message);
    }
    response
}

/// A body of one piece and trailers.
#[derive(Debug, Default)]
pub(super) struct Frames {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}

/// What is answered when the handler itself fails.
pub(super) fn internal_error() -> Response<Frames> {
    failed(Code::Internal, "internal error; the log has more")
}
