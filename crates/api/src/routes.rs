//! The table of paths, and what wraps every request.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::admin;
use crate::state::State;

pub(crate) fn router(state: &Arc<State>) -> Router {
    Router::new()
        .route("/-/healthy", get(admin::healthy))
        .route("/-/ready", get(admin::ready))
        .with_state(Arc::clone(state))
}
