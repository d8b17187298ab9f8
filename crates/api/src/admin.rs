//! Health, readiness, metrics, reload and quit.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use prometheus::{Encoder, TextEncoder};

use crate::error::{self, ApiError};
use crate::state::State;
use crate::work::{blocking, cancel_after};

/// Alive, whatever storage does.
pub(crate) async fn healthy() -> Response {
    error::text(StatusCode::OK, "Kymo is Healthy.")
}

/// Able to answer.
pub(crate) async fn ready(Extract(state): Extract<Arc<State>>) -> Response {
    match state.backends() {
        Ok(_) => error::text(StatusCode::OK, "Kymo is Ready."),
        Err(error) => error.into_text(),
    }
}

pub(crate) async fn metrics(Extract(state): Extract<Arc<State>>) -> Result<Response, ApiError> {
    let registry = state.deps.registry.clone();
    let work = move || {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).map(|()| text)
    };
    match blocking(&state, cancel_after(&state, None), work).await? {
        Ok(text) => {
            let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
        }
        Err(error) => {
            let message = format!("cannot write the metrics: {error}");
            Ok(error::text(StatusCode::INTERNAL_SERVER_ERROR, &message))
        }
    }
}

pub(crate) async fn reload(Extract(state): Extract<Arc<State>>) -> Response {
    if !state.settings.allow_reload {
        return error::text(
            StatusCode::FORBIDDEN,
            "reloading over HTTP is switched off; send SIGHUP instead",
        );
    }
    let control = Arc::clone(&state.deps.control);
    match blocking(&state, cancel_after(&state, None), move || control.reload()).await {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(fault)) => {
            error::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("failed to reload config: {fault}"))
        }
        Err(error) => error.into_text(),
    }
}

pub(crate) async fn quit(Extract(state): Extract<Arc<State>>) -> Response {
    if !state.settings.allow_quit {
        let message =
            "ending the process over HTTP is switched off; start it with --enable-quit, or send SIGTERM";
        return error::text(StatusCode::FORBIDDEN, message);
    }
    state.deps.control.quit();
    error::text(StatusCode::OK, "Requesting termination... Goodbye!")
}
