//! Who pushes: for the page of push sources, `/api/v1/status/push_sources`.
//!
//! Bounded: beyond [`SOURCES_MAX`] the one that was silent for longest is forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::response::Response;
use http::header;
use model::TenantId;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Arrival, Protocol, Refusals};
use crate::asker::PeerAddress;
use crate::error::ApiError;
use crate::governance::concerned;
use crate::json::write_tree;
use crate::params::{Params, format_time};
use crate::respond::success;
use crate::state::State;
use crate::tenancy::Tenant;

/// How many sources are remembered.
const SOURCES_MAX: usize = 1_000;
/// What is remembered of a user agent or an error at most.
const TEXT_BYTES_MAX: usize = 300;
/// The rate is a mean in which what is this long ago counts 1/e.
const RATE_SPAN_S: f64 = 60.0;

/// Who pushes by which protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Source {
    pub(crate) protocol: Protocol,
    pub(crate) tenant: TenantId,
    /// `None` for what has no address, such as a Unix socket.
    pub(crate) address: Option<IpAddr>,
    /// What the client calls itself; empty if it does not.
    pub(crate) agent: String,
}

impl Source {
    /// What does not come as a request.
    pub(crate) fn of_listener(protocol: Protocol, tenant: TenantId) -> Self {
        Self { protocol, tenant, address: None, agent: String::new() }
    }

    pub(super) fn of_request(arrival: &Arrival, request: &Request) -> Self {
        let agent = request.headers().get(header::USER_AGENT);
        let agent = agent.map(|value| shown(&String::from_utf8_lossy(value.as_bytes()))).unwrap_or_default();
        let address = request.extensions().get::<PeerAddress>().map(|peer| peer.0.ip().to_canonical());
        Self { protocol: arrival.protocol, tenant: arrival.tenant.clone(), address, agent }
    }
}

/// What one push amounted to.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) bytes: usize,
    pub(crate) samples: usize,
    pub(crate) refusals: &'a Refusals,
    pub(crate) error: Option<&'a ApiError>,
}

impl<'a> Seen<'a> {
    pub(crate) fn of(
        bytes: usize,
        samples: usize,
        refusals: &'a Refusals,
        error: Option<&'a ApiError>,
    ) -> Self {
        Self { bytes, samples, refusals, error }
    }

    /// A word for metrics' labels.
    pub(crate) fn result(&self) -> &'static str {
        match self.error {
            Some(error) if error.status().is_server_error() || error.status().as_u16() == 429 => "failed",
            Some(_) => "refused",
            None if self.refusals.is_empty() => "ok",
            None => "partial",
        }
    }

    fn error_text(&self) -> Option<&str> {
        let refused = || self.refusals.shown().first().map(String::as_str);
        self.error.map(ApiError::message).or_else(refused)
    }
}

/// What is known of a source.
#[derive(Debug, Clone, Default)]
struct Known {
    first_seen_ms: i64,
    last_seen_ms: i64,
    requests: u64,
    samples: u64,
    refused: u64,
    bytes: u64,
    /// Requests that failed as a whole.
    errors: u64,
    samples_per_s: f64,
    last_error: Option<(i64, String)>,
}

impl Known {
    /// The rate as it has faded since the last push.
    fn rate_at(&self, now_ms: i64) -> f64 {
        let silent_s = (now_ms - self.last_seen_ms).max(0) as f64 / 1000.0;
        self.samples_per_s * (-silent_s / RATE_SPAN_S).exp()
    }

    fn record(&mut self, seen: &Seen<'_>, now_ms: i64) {
        self.samples_per_s = self.rate_at(now_ms) + seen.samples as f64 / RATE_SPAN_S;
        self.last_seen_ms = now_ms;
        self.requests += 1;
        self.samples += seen.samples as u64;
        self.refused += seen.refusals.count() as u64;
        self.bytes += seen.bytes as u64;
        self.errors += u64::from(seen.error.is_some());
        if let Some(error) = seen.error_text() {
            self.last_error = Some((now_ms, shown(error)));
        }
    }
}

/// All that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<HashMap<Source, Known>>);

impl Sources {
    pub(crate) fn record(&self, source: Source, seen: &Seen<'_>, now_ms: i64) {
        let mut known = self.0.lock();
        if let Some(known) = known.get_mut(&source) {
            known.record(seen, now_ms);
            return;
        }
        if known.len() >= SOURCES_MAX {
            let silent =
                known.iter().min_by_key(|(_, known)| known.last_seen_ms).map(|(source, _)| source.clone());
            silent.map(|silent| known.remove(&silent));
        }
        let entry = known.entry(source).or_default();
        (entry.first_seen_ms, entry.last_seen_ms) = (now_ms, now_ms);
        entry.record(seen, now_ms);
    }

    /// Those of a tenant, or all, in order of protocol, tenant and address.
    fn list(&self, tenant: Option<&TenantId>) -> Vec<(Source, Known)> {
        let known = self.0.lock();
        let wanted = known.iter().filter(|(source, _)| tenant.is_none_or(|tenant| source.tenant == *tenant));
        let mut list: Vec<_> = wanted.map(|(source, known)| (source.clone(), known.clone())).collect();
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
        list
    }
}

/// Cut where somebody sends a book, without control characters.
fn shown(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    cut.chars().filter(|c| !c.is_control()).collect()
}

/// A tenant sees its own sources. With `--enable-admin-api`, `all_tenants=1` shows those of all.
pub(crate) async fn push_sources(
    Extract(state): Extract<Arc<State>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Response, ApiError> {
    let list = state.intake.sources.list(concerned(&state, &tenant, &params)?);
    let now_ms = state.deps.clock.now_ms();
    let list: Vec<Value> = list.iter().map(|(source, known)| as_json(source, known, now_ms)).collect();
    Ok(success(|out| write_tree(out, &Value::from(list))))
}

fn as_json(source: &Source, known: &Known, now_ms: i64) -> Value {
    let mut tree = json!({
        "protocol": source.protocol.as_str(),
        "tenant": source.tenant.as_str(),
        "address": source.address.map(|address| address.to_string()).unwrap_or_default(),
        "userAgent": source.agent,
        "firstSeen": format_time(known.first_seen_ms),
        "lastSeen": format_time(known.last_seen_ms),
        "requests": known.requests,
        "samples": known.samples,
        "refused": known.refused,
        "errors": known.errors,
        "bytes": known.bytes,
        "samplesPerSecond": (known.rate_at(now_ms) * 1000.0).round() / 1000.0,
    });
    if let Some((at_ms, error)) = &known.last_error {
        tree["lastError"] = error.as_str().into();
        tree["lastErrorTime"] = format_time(*at_ms).into();
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(agent: &str) -> Source {
        Source {
            protocol: Protocol::Influx,
            tenant: TenantId::anonymous(),
            address: None,
            agent: agent.to_owned(),
        }
    }

    #[test]
    fn the_rate_follows_what_comes_and_fades_when_nothing_does() {
        let (sources, refusals) = (Sources::default(), Refusals::default());
        for second in 0..600 {
            sources.record(source("a"), &Seen::of(10, 50, &refusals, None), second * 1_000);
        }
        let (_, known) = &sources.list(None)[0];
        assert!((known.rate_at(600_000) - 50.0).abs() < 2.0, "{}", known.rate_at(600_000));
        assert!(known.rate_at(1_200_000) < 0.01);
        assert_eq!((known.requests, known.samples, known.bytes), (600, 30_000, 6_000));
    }

    #[test]
    fn the_most_silent_source_is_forgotten_first() {
        let (sources, refusals) = (Sources::default(), Refusals::default());
        for at in 0..=SOURCES_MAX {
            sources.record(source(&at.to_string()), &Seen::of(1, 1, &refusals, None), at as i64);
        }
        let list = sources.list(Some(&TenantId::anonymous()));
        assert_eq!(list.len(), SOURCES_MAX);
        assert!(list.iter().all(|(source, _)| source.agent != "0"));
        assert!(sources.list(Some(&TenantId::new("other").expect("a name"))).is_empty());
    }

    #[test]
    fn the_last_error_stays() {
        let sources = Sources::default();
        let mut refusals = Refusals::default();
        refusals.add("invalid", 2, || "line 3: no fields".to_owned());
        sources.record(source("a"), &Seen::of(1, 1, &refusals, None), 5);
        sources.record(source("a"), &Seen::of(1, 1, &Refusals::default(), None), 9);
        let known = &sources.list(None)[0].1;
        assert_eq!(known.last_error, Some((5, "line 3: no fields".to_owned())));
        assert_eq!((known.errors, known.refused), (0, 2));
    }
}
