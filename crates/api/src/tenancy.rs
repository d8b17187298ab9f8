//! Whose data a request means.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use model::TenantId;
use model::tenant::TENANT_HEADER;

use crate::error::ApiError;
use crate::state::State;

/// The tenant of a request: its header, or `anonymous`.
pub(crate) struct Tenant(pub(crate) TenantId);

impl FromRequestParts<Arc<State>> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, ApiError> {
        let mut values = parts.headers.get_all(TENANT_HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self(TenantId::anonymous())) };
        if values.next().is_some() {
            return Err(ApiError::bad_data(format!("header {TENANT_HEADER} is given more than once")));
        }
        let name = value.to_str().unwrap_or("\u{fffd}");
        TenantId::new(name).map(Self).map_err(|e| ApiError::bad_data(e.to_string()))
    }
}
