//! Rules by API: Mimir's `/config/v1/rules` in YAML, and Kymo's `/api/v1/rules/groups` in JSON, with versions.
//!
//! Both speak of the same groups. A namespace stands where others have their file.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State as Extract};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use model::TenantId;
use rules::file::Fault;
use rules::stored::{
    Change, StoredError, StoredGroup, StoredRules, group_json, group_yaml, namespaces_yaml, parse_group,
};
use serde_json::{Value, json};

use super::backtest::BODY_BYTES_MAX;
use crate::asker::Asker;
use crate::body::read_body;
use crate::error::{ApiError, ErrorType, json_response};
use crate::json::write_tree;
use crate::params::{Params, format_time};
use crate::respond::success;
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

/// Mimir's paths, below `/config/v1/rules`.
pub(crate) fn mimir_routes() -> Router<Arc<State>> {
    Router::new()
        .route("/config/v1/rules", get(all_yaml))
        .route("/config/v1/rules/{namespace}", get(namespace_yaml).post(post_yaml).delete(delete_namespace))
        .route("/config/v1/rules/{namespace}/{group}", get(one_yaml).delete(delete_yaml))
}

/// Kymo's own paths.
pub(crate) fn own_routes() -> Router<Arc<State>> {
    Router::new()
        .route("/rules/groups", get(list))
        .route("/rules/groups/{namespace}/{group}", get(one).put(put).delete(delete))
        .route("/rules/groups/{namespace}/{group}/versions", get(versions))
}

impl From<StoredError> for ApiError {
    fn from(error: StoredError) -> Self {
        let kind = match &error {
            StoredError::Missing => ErrorType::NotFound,
            StoredError::Conflict { .. } => ErrorType::Conflict,
            StoredError::Refused(_) => ErrorType::BadData,
            StoredError::Store(_) => ErrorType::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

/// Asks or changes what is stored, where blocking is allowed.
async fn ask<T: Send + 'static>(
    state: &Arc<State>,
    question: impl FnOnce(&dyn StoredRules) -> Result<T, StoredError> + Send + 'static,
) -> Result<T, ApiError> {
    let there = Arc::clone(state);
    let work = move || Ok::<_, ApiError>(question(&*there.backends()?.stored_rules)?);
    blocking(state, cancel_after(state, None), work).await?
}

/// Who asks, in words.
fn who(asker: Asker) -> String {
    if asker.origin.user.is_empty() { asker.origin.source } else { asker.origin.user }
}

async fn group_of(state: &Arc<State>, request: Request) -> Result<rules::file::GroupSpec, ApiError> {
    let body = read_body(request.into_body(), BODY_BYTES_MAX, &state.settings).await?;
    let text = std::str::from_utf8(&body).map_err(|_| ApiError::bad_data("the body is not UTF-8"))?;
    parse_group(text).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
        ApiError::bad_data(faults.join("; "))
    })
}

fn yaml(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], text).into_response()
}

/// Mimir's answer to a change.
fn accepted() -> Response {
    json_response(
        StatusCode::ACCEPTED,
        &json!({"status": "success", "data": null, "errorType": "", "error": ""}),
    )
}

/// Mimir's answers outside the envelope are text.
type TextResult = Result<Response, Response>;

fn in_text(error: ApiError) -> Response {
    error.into_text()
}

async fn of_namespace(
    state: &Arc<State>,
    tenant: TenantId,
    namespace: Option<String>,
) -> Result<Vec<StoredGroup>, ApiError> {
    let mut groups = ask(state, move |stored| stored.groups(&tenant)).await?;
    groups.retain(|group| namespace.as_ref().is_none_or(|namespace| *namespace == group.namespace));
    if groups.is_empty() {
        return Err(ApiError::new(ErrorType::NotFound, "no rule groups found"));
    }
    Ok(groups)
}

async fn find(
    state: &Arc<State>,
    tenant: TenantId,
    namespace: String,
    group: &str,
) -> Result<StoredGroup, ApiError> {
    let groups = of_namespace(state, tenant, Some(namespace)).await.ok().unwrap_or_default();
    let found = groups.into_iter().find(|stored| stored.name == group);
    found.ok_or_else(|| StoredError::Missing.into())
}

async fn all_yaml(Extract(state): Extract<Arc<State>>, Tenant(tenant): Tenant) -> TextResult {
    let groups = of_namespace(&state, tenant, None).await.map_err(in_text)?;
    Ok(yaml(namespaces_yaml(&groups)))
}

async fn namespace_yaml(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    Path(namespace): Path<String>,
) -> TextResult {
    let groups = of_namespace(&state, tenant, Some(namespace)).await.map_err(in_text)?;
    Ok(yaml(namespaces_yaml(&groups)))
}

async fn one_yaml(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    Path((namespace, group)): Path<(String, String)>,
) -> TextResult {
    let found = find(&state, tenant, namespace, &group).await.map_err(in_text)?;
    Ok(yaml(found.spec.as_ref().map(group_yaml).unwrap_or_default()))
}

async fn post_yaml(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    Path(namespace): Path<String>,
    request: Request,
) -> TextResult {
    let spec = group_of(&state, request).await.map_err(in_text)?;
    let name = spec.name.clone();
    let change = Change { namespace, name, spec: Some(spec), expected: None, by: who(asker) };
    ask(&state, move |stored| stored.change(&tenant, change)).await.map_err(in_text)?;
    Ok(accepted())
}

async fn delete_yaml(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    Path((namespace, name)): Path<(String, String)>,
) -> TextResult {
    let change = Change { namespace, name, spec: None, expected: None, by: who(asker) };
    ask(&state, move |stored| stored.change(&tenant, change)).await.map_err(in_text)?;
    Ok(accepted())
}

async fn delete_namespace(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    Path(namespace): Path<String>,
) -> TextResult {
    let by = who(asker);
    let deleted = ask(&state, move |stored| stored.delete_namespace(&tenant, &namespace, &by)).await;
    deleted.map_err(in_text)?;
    Ok(accepted())
}

/// A group with what is known of its version.
fn tree(group: &StoredGroup) -> Value {
    let spec = group.spec.as_ref().map(group_json);
    json!({
        "namespace": group.namespace,
        "name": group.name,
        "version": group.version,
        "changedAt": format_time(group.changed_at_ms),
        "changedBy": group.changed_by,
        "group": spec.and_then(|json| serde_json::from_str::<Value>(&json).ok()),
    })
}

async fn list(Extract(state): Extract<Arc<State>>, Tenant(tenant): Tenant) -> Result<Response, ApiError> {
    let groups = ask(&state, move |stored| stored.groups(&tenant)).await?;
    let data = Value::Array(groups.iter().map(tree).collect());
    Ok(success(|out| write_tree(out, &data)))
}

async fn one(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    Path((namespace, group)): Path<(String, String)>,
    params: Params,
) -> Result<Response, ApiError> {
    let found = match version_of(&params)? {
        None => find(&state, tenant, namespace, &group).await?,
        Some(version) => {
            let all = ask(&state, move |stored| stored.versions(&tenant, &namespace, &group)).await?;
            let found = all.into_iter().find(|stored| stored.version == version);
            found
                .ok_or_else(|| ApiError::new(ErrorType::NotFound, format!("there is no version {version}")))?
        }
    };
    Ok(success(|out| write_tree(out, &tree(&found))))
}

fn version_of(params: &Params) -> Result<Option<i64>, ApiError> {
    match params.get("version") {
        "" => Ok(None),
        text => {
            let version = text.parse::<i64>().ok().filter(|version| *version >= 0);
            let fault =
                || ApiError::invalid_parameter("version", "write the number of a version, or 0 for none");
            version.map(Some).ok_or_else(fault)
        }
    }
}

async fn put(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let expected = version_of(&Params::of_query(request.uri().query().unwrap_or(""))?)?;
    let spec = group_of(&state, request).await?;
    if spec.name != name {
        let text = format!("the body's group is called {:?}, the path's {name:?}", spec.name);
        return Err(ApiError::bad_data(text));
    }
    let change = Change { namespace, name, spec: Some(spec), expected, by: who(asker) };
    let version = ask(&state, move |stored| stored.change(&tenant, change)).await?;
    Ok(success(|out| write_tree(out, &json!({"version": version}))))
}

async fn delete(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    asker: Asker,
    Path((namespace, name)): Path<(String, String)>,
    params: Params,
) -> Result<Response, ApiError> {
    let change = Change { namespace, name, spec: None, expected: version_of(&params)?, by: who(asker) };
    let version = ask(&state, move |stored| stored.change(&tenant, change)).await?;
    Ok(success(|out| write_tree(out, &json!({"version": version}))))
}

async fn versions(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    Path((namespace, group)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let versions = ask(&state, move |stored| stored.versions(&tenant, &namespace, &group)).await?;
    let data = Value::Array(versions.iter().map(tree).collect());
    Ok(success(|out| write_tree(out, &data)))
}
