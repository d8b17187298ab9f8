//! Health, readiness, reload and quit.

use std::sync::Arc;

use axum::extract::State as Extract;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::error;
use crate::state::State;

pub(crate) async fn healthy() -> Response {
    error::text(StatusCode::OK, "Kymo is Healthy.")
}

pub(crate) async fn ready(Extract(state): Extract<Arc<State>>) -> Response {
    match state.backends() {
        Ok(_) => error::text(StatusCode::OK, "Kymo is Ready."),
        Err(error) => error.into_response(),
    }
}
