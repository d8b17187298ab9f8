//! Failures as Prometheus' API tells them: `{"status":"error","errorType":"bad_data","error":"…"}`.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use promql::QueryError;
use storage::ErrorKind;

use crate::json;

/// Prometheus' `errorType`, each with its status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorType {
    BadData,
    Execution,
    Canceled,
    Timeout,
    Internal,
    Unavailable,
    /// Switched off: Prometheus says `unavailable` with status 500, which clients take for a fault and try again.
    Forbidden,
    NotFound,
    /// Somebody else was first.
    Conflict,
    TooManyRequests,
    PayloadTooLarge,
    UnsupportedMediaType,
    RequestTimeout,
    MethodNotAllowed,
}

impl ErrorType {
    fn as_str(self) -> &'static str {
        match self {
            Self::BadData | Self::PayloadTooLarge | Self::UnsupportedMediaType => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout | Self::RequestTimeout => "timeout",
            Self::Internal => "internal",
            Self::Unavailable | Self::Forbidden => "unavailable",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::TooManyRequests => "too_many_requests",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            // Nginx' "client closed request", which Prometheus uses too; nobody is left to read it.
            Self::Canceled => StatusCode::from_u16(499).expect("499 is in range"),
            Self::Timeout | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

/// A request that is not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// In the API's envelope.
    Typed(ErrorType, String),
    /// Too much to do: 429, with the seconds after which to try again.
    Later(String, u64),
    /// Storage is not open yet: Prometheus answers this as plain text.
    NotReady,
}

impl ApiError {
    pub(crate) fn new(error_type: ErrorType, message: impl Into<String>) -> Self {
        Self::Typed(error_type, message.into())
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(ErrorType::Forbidden, message)
    }

    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    /// `invalid parameter "step": …`
    pub(crate) fn invalid_parameter(name: &str, fault: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {fault}"))
    }

    pub(crate) fn not_ready() -> Self {
        Self::NotReady
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Typed(error_type, _) => error_type.status(),
            Self::Later(..) => StatusCode::TOO_MANY_REQUESTS,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Typed(_, message) | Self::Later(message, _) => message,
            Self::NotReady => "Service Unavailable",
        }
    }

    /// The same failure in other words.
    pub(crate) fn with_message(self, message: String) -> Self {
        match self {
            Self::Typed(error_type, _) => Self::Typed(error_type, message),
            Self::Later(_, seconds) => Self::Later(message, seconds),
            Self::NotReady => Self::NotReady,
        }
    }

    /// As plain text, as endpoints outside the API's envelope answer.
    pub(crate) fn into_text(self) -> Response {
        if self == Self::NotReady {
            return not_ready();
        }
        let mut response = text(self.status(), self.message());
        if matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Parse(_) => Self::invalid_parameter("query", error),
            QueryError::BadRequest(_) => Self::bad_data(error.to_string()),
            QueryError::Execution(_) => Self::new(ErrorType::Execution, error.to_string()),
            QueryError::Limit(_) => Self::new(ErrorType::Execution, error.to_string()),
            QueryError::Overloaded { retry_after_s, .. } => Self::Later(error.to_string(), retry_after_s),
            QueryError::Killed(_) => Self::new(ErrorType::Canceled, error.to_string()),
            QueryError::TimedOut(_) => Self::new(ErrorType::Timeout, error.to_string()),
            QueryError::Cancelled(_) => Self::new(ErrorType::Canceled, error.to_string()),
            QueryError::Storage(error) => error.into(),
        }
    }
}

impl From<storage::Error> for ApiError {
    fn from(error: storage::Error) -> Self {
        let error_type = match error.kind() {
            ErrorKind::Rejected => ErrorType::BadData,
            ErrorKind::Unavailable => ErrorType::Unavailable,
            ErrorKind::Limit => ErrorType::Execution,
            ErrorKind::Corrupt => ErrorType::Internal,
            ErrorKind::Cancelled => ErrorType::Canceled,
            ErrorKind::TimedOut => ErrorType::Timeout,
        };
        Self::new(error_type, error.to_string())
    }
}

impl ApiError {
    /// The body of its answer.
    pub(crate) fn into_body(self) -> Vec<u8> {
        match self {
            Self::Typed(error_type, message) => envelope(error_type, &message),
            Self::Later(message, _) => envelope(ErrorType::TooManyRequests, &message),
            Self::NotReady => envelope(ErrorType::Unavailable, "Service Unavailable"),
        }
    }
}

fn envelope(error_type: ErrorType, message: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(message.len() + 64);
    body.extend_from_slice(b"{\"status\":\"error\",\"errorType\":\"");
    body.extend_from_slice(error_type.as_str().as_bytes());
    body.extend_from_slice(b"\",\"error\":");
    json::write_string_html(&mut body, message);
    body.push(b'}');
    body
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (error_type, message, retry_after_s) = match self {
            Self::Typed(error_type, message) => (error_type, message, 5),
            Self::Later(message, after_s) => (ErrorType::TooManyRequests, message, after_s),
            Self::NotReady => return not_ready(),
        };
        let body = envelope(error_type, &message);
        let mut response = (error_type.status(), body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, json::CONTENT_TYPE);
        if error_type == ErrorType::Unavailable || error_type == ErrorType::TooManyRequests {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        response
    }
}

/// Prometheus' words while it starts, without a newline at the end.
fn not_ready() -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response();
    let headers = response.headers_mut();
    headers.insert("x-prometheus-stopping", HeaderValue::from_static("false"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Any JSON, for endpoints outside the API's envelope.
pub(crate) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut out = Vec::new();
    json::write_tree(&mut out, body);
    let mut response = (status, out).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, json::CONTENT_TYPE);
    response
}

/// Plain text, as Go's `http.Error` sends it: with a newline at its end.
pub(crate) fn text(status: StatusCode, message: &str) -> Response {
    let mut response = (status, format!("{message}\n")).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
