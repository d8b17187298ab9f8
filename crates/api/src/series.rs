//! `/api/v1/series`, `/api/v1/labels` and `/api/v1/label/{name}/values`.

use std::sync::Arc;

use axum::extract::{Path, State as Extract};
use axum::response::Response;
use model::{Labels, Matcher, TenantId};
use storage::{LabelRequest, QueryContext, SelectHints, SelectRequest};

use crate::error::ApiError;
use crate::json::write_labels;
use crate::label_name::unescape;
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, Params, quoted};
use crate::respond::{Annotations, success_list, write_text};
use crate::state::State;
use crate::tenancy::Tenant;
use crate::work::{blocking, cancel_after};

/// What series are asked about.
struct Asked {
    tenant: TenantId,
    matcher_sets: Vec<Vec<Matcher>>,
    start_ms: i64,
    end_ms: i64,
    /// 0 for all.
    limit: usize,
    context: QueryContext,
}

impl Asked {
    fn new(
        state: &State,
        tenant: TenantId,
        params: &Params,
        matcher_sets: Vec<Vec<Matcher>>,
        limit: usize,
    ) -> Result<Self, ApiError> {
        let start_ms = params.time_or("start", MIN_TIME_MS)?;
        let end_ms = params.time_or("end", MAX_TIME_MS)?;
        let cancel = cancel_after(state, params.timeout()?);
        let context = QueryContext { budget: Arc::clone(&state.deps.budget), cancel };
        Ok(Self { tenant, matcher_sets, start_ms, end_ms, limit, context })
    }

    /// One more than wanted, to see whether there are more.
    fn limit_hint(&self) -> usize {
        if self.limit == 0 { 0 } else { self.limit.saturating_add(1) }
    }

    fn label_request(&self) -> LabelRequest<'_> {
        LabelRequest {
            matcher_sets: &self.matcher_sets,
            start_ms: self.start_ms,
            end_ms: self.end_ms,
            limit: self.limit_hint(),
        }
    }

    /// Cuts a list to the limit and says so.
    fn cut<T>(&self, items: &mut Vec<T>) -> Annotations {
        let is_truncated = self.limit > 0 && items.len() > self.limit;
        if is_truncated {
            items.truncate(self.limit);
        }
        Annotations::truncated(is_truncated)
    }
}

pub(crate) async fn series(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    if params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let matcher_sets = params.matcher_sets().map_err(|e| ApiError::invalid_parameter("match[]", e))?;
    let asked = Asked::new(&state, tenant, &params, matcher_sets, limit)?;
    let cancel = asked.context.cancel.clone();
    let work = {
        let state = Arc::clone(&state);
        move || {
            let mut found = find_series(&state, &asked)?;
            let annotations = asked.cut(&mut found);
            Ok::<_, ApiError>((found, annotations))
        }
    };
    let (found, annotations) = blocking(&state, cancel, work).await??;
    Ok(success_list(found, annotations, write_labels))
}

fn find_series(state: &State, asked: &Asked) -> Result<Vec<Labels>, ApiError> {
    /// Memory of one result beside its text, which storage holds anyway.
    const EACH_BYTES: u64 = size_of::<Labels>() as u64;
    let querier = &state.backends()?.querier;
    let mut held = asked.context.budget.reserve_none();
    let mut found = Vec::new();
    for matchers in &asked.matcher_sets {
        let hints =
            SelectHints { function: "series", series_max: asked.limit_hint(), ..SelectHints::default() };
        let request = SelectRequest { matchers, start_ms: asked.start_ms, end_ms: asked.end_ms, hints };
        let set = querier.select(&asked.tenant, &request, &asked.context)?;
        held.grow(set.len() as u64 * EACH_BYTES).map_err(storage::Error::from)?;
        found.extend((0..set.len()).map(|at| set.labels(at).clone()));
    }
    if asked.matcher_sets.len() > 1 {
        found.sort_unstable();
        found.dedup();
    }
    Ok(found)
}

pub(crate) async fn label_names(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit()?;
    let matcher_sets = params.matcher_sets().map_err(ApiError::bad_data)?;
    let asked = Asked::new(&state, tenant, &params, matcher_sets, limit)?;
    list(&state, asked, |state, asked| {
        Ok(state.backends()?.querier.label_names(&asked.tenant, &asked.label_request(), &asked.context)?)
    })
    .await
}

pub(crate) async fn label_values(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let name = unescape(&name).into_owned();
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {}", quoted(&name))));
    }
    let limit = params.limit()?;
    let matcher_sets = params.matcher_sets().map_err(ApiError::bad_data)?;
    let asked = Asked::new(&state, tenant, &params, matcher_sets, limit)?;
    list(&state, asked, move |state, asked| {
        let querier = &state.backends()?.querier;
        Ok(querier.label_values(&asked.tenant, &name, &asked.label_request(), &asked.context)?)
    })
    .await
}

async fn list(
    state: &Arc<State>,
    asked: Asked,
    find: impl FnOnce(&State, &Asked) -> Result<Vec<String>, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let cancel = asked.context.cancel.clone();
    let work = {
        let state = Arc::clone(state);
        move || {
            let mut found = find(&state, &asked)?;
            let annotations = asked.cut(&mut found);
            Ok::<_, ApiError>((found, annotations))
        }
    };
    let (found, annotations) = blocking(state, cancel, work).await??;
    Ok(success_list(found, annotations, write_text))
}
