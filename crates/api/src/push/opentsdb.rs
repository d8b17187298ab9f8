//! OpenTSDB's `/api/put`: JSON items, and answers with `summary` and `details`. Its telnet lines come by a listener.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use wire::json_write::Dialect;

use super::import::fill_json;
use super::labels::extra_labels;
use super::{Arrival, Protocol, Received, receive};
use crate::error::{ApiError, json_response};
use crate::params::Params;
use crate::state::State;
use crate::tenancy::Tenant;

/// How much a client wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Nothing,
    Summary,
    Details,
}

pub(crate) async fn put(
    Extract(state): Extract<Arc<State>>,
    tenant: Result<Tenant, ApiError>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Response {
    let written = async {
        let params = Params::of_query(uri.query().unwrap_or(""))?;
        let extra = extra_labels(&params)?;
        let arrival = Arrival::new(Protocol::OpenTsdb, tenant?.0);
        let fill = move |filling: &mut super::Filling<'_>| fill_json(filling, Dialect::OpenTsdb, extra);
        let detail = match (params.has("details"), params.has("summary")) {
            (true, _) => Detail::Details,
            (false, true) => Detail::Summary,
            (false, false) => Detail::Nothing,
        };
        Ok((receive(&state, arrival, request, fill).await?, detail))
    };
    match written.await {
        Ok((received, detail)) => answer(&received, detail),
        Err(error) => refuse(&error),
    }
}

fn answer(received: &Received<()>, detail: Detail) -> Response {
    let (success, failed) = (received.accepted_count, received.refusals.count());
    let status = if failed == 0 { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    match detail {
        Detail::Nothing if failed == 0 => StatusCode::NO_CONTENT.into_response(),
        Detail::Nothing => {
            let details = "append \"details\" to the request to learn which";
            let message = "One or more data points had errors";
            json_response(status, &json!({"error": {"code": 400, "message": message, "details": details}}))
        }
        Detail::Summary => json_response(status, &json!({"success": success, "failed": failed})),
        Detail::Details => {
            let errors: Vec<_> =
                received.refusals.shown().iter().map(|text| json!({"error": text})).collect();
            json_response(status, &json!({"success": success, "failed": failed, "errors": errors}))
        }
    }
}

/// In OpenTSDB's words.
fn refuse(error: &ApiError) -> Response {
    let status = error.status();
    let body = json!({"error": {"code": status.as_u16(), "message": error.message()}});
    let mut response = json_response(status, &body);
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
