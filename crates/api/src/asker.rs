//! Who asks a query, and what for: from the request's headers.
//!
//! The class decides who goes first when there is too much to do. It is what the client says (`class`, or the header
//! `X-Kymo-Query-Class`), else what Grafana's headers tell, else an ad hoc query.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{FromRequestParts, OriginalUri};
use http::HeaderMap;
use http::request::Parts;
use promql::{AskedBy, Class, Origin};

use crate::error::ApiError;
use crate::params::Params;

const CLASS_HEADER: &str = "x-kymo-query-class";
/// What is shown of a header at most.
const SHOWN_BYTES_MAX: usize = 200;

/// The address at the other end of a connection, put beside each of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) SocketAddr);

/// What the headers of a request say about who asks.
#[derive(Debug)]
pub(crate) struct Asker {
    class_header: Option<String>,
    class_by_grafana: Option<Class>,
    pub(crate) origin: Origin,
}

impl<S: Sync> FromRequestParts<S> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<PeerAddress>().copied();
        let mut asker = Self::new(&parts.headers, peer);
        asker.origin.asked_by = AskedBy::Http {
            client_ip: peer.map(|PeerAddress(address)| address.ip().to_string()).unwrap_or_default(),
            method: parts.method.to_string(),
            // The router takes off what it has matched.
            path: parts
                .extensions
                .get::<OriginalUri>()
                .map_or(&parts.uri, |original| &original.0)
                .path()
                .to_owned(),
        };
        Ok(asker)
    }
}

impl Asker {
    fn new(headers: &HeaderMap, peer: Option<PeerAddress>) -> Self {
        let header =
            |name: &str| headers.get(name).map(|value| shown(&String::from_utf8_lossy(value.as_bytes())));
        let dashboard = header("x-dashboard-uid");
        // Grafana marks the queries of its own alert rules.
        let is_alert = header("fromalert").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let class_by_grafana = match (is_alert, &dashboard) {
            (true, _) => Some(Class::Alert),
            (false, Some(_)) => Some(Class::Dashboard),
            (false, None) => None,
        };
        let mut source = match dashboard {
            Some(dashboard) => match header("x-panel-id") {
                Some(panel) => format!("dashboard {dashboard}, panel {panel}"),
                None => format!("dashboard {dashboard}"),
            },
            None => header("user-agent").unwrap_or_default(),
        };
        if let Some(PeerAddress(address)) = peer {
            let gap = if source.is_empty() { "" } else { " " };
            source.push_str(&format!("{gap}from {}", address.ip()));
        }
        let user = header("x-grafana-user").unwrap_or_default();
        let origin = Origin { user, source, asked_by: AskedBy::Unknown };
        Self { class_header: header(CLASS_HEADER), class_by_grafana, origin }
    }

    /// What the query is for.
    ///
    /// # Errors
    /// If there is no class of that name.
    pub(crate) fn class(&self, params: &Params) -> Result<Class, ApiError> {
        let asked = match params.get("class") {
            "" => self.class_header.as_deref().unwrap_or(""),
            asked => asked,
        };
        if asked.is_empty() {
            return Ok(self.class_by_grafana.unwrap_or_default());
        }
        Class::from_name(asked).ok_or_else(|| {
            let names = Class::ALL.map(Class::as_str).join(", ");
            ApiError::invalid_parameter("class", format_args!("no class {asked:?}: write one of {names}"))
        })
    }
}

/// Cut where somebody sends a book, without control characters.
fn shown(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
    cut.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], want_class: Class, want_source: &str) {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        let peer = PeerAddress(SocketAddr::from(([10, 0, 0, 7], 999)));
        let asker = Asker::new(&headers.collect(), Some(peer));
        assert_eq!(asker.class(&Params::default()), Ok(want_class));
        assert_eq!(asker.origin.source, want_source);
    }

    #[test]
    fn headers_tell_the_class_and_the_source() {
        check(&[("user-agent", "curl/8")], Class::AdHoc, "curl/8 from 10.0.0.7");
        check(&[], Class::AdHoc, "from 10.0.0.7");
        let grafana = [("x-dashboard-uid", "abc"), ("x-panel-id", "4"), ("user-agent", "Grafana/12")];
        check(&grafana, Class::Dashboard, "dashboard abc, panel 4 from 10.0.0.7");
        check(
            &[("fromalert", "true"), ("user-agent", "Grafana/12")],
            Class::Alert,
            "Grafana/12 from 10.0.0.7",
        );
        check(
            &[("x-dashboard-uid", "abc"), ("x-kymo-query-class", "batch")],
            Class::Batch,
            "dashboard abc from 10.0.0.7",
        );
    }

    #[test]
    fn an_unknown_class_is_an_error() {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(CLASS_HEADER),
            http::HeaderValue::from_static("urgent"),
        )]);
        let error = Asker::new(&headers, None).class(&Params::default()).expect_err("no such class");
        assert!(
            error.message().contains("write one of alert, dashboard, adhoc, batch"),
            "{}",
            error.message()
        );
    }
}
