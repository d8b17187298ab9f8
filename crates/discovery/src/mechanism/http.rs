//! `http_sd_configs`: target groups from a URL, as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use http_client::InvalidSettings;
use http_client::header::{ACCEPT, HeaderValue};
use model::time::DurationMs;
use serde::Deserialize;

use super::{Configured, check_url};
use crate::fetch::{Answer, Api, Fault};
use crate::group::TargetGroup;
use crate::place::{Publisher, Shared};
use crate::refresh::{self, Refresh, interval};

/// Where a target came from.
const URL_LABEL: &str = "__meta_url";
/// Tells the server how often it will be asked.
const INTERVAL_HEADER: &str = "x-prometheus-refresh-interval-seconds";

/// A section of `http_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    url: String,
    refresh_interval: DurationMs,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: String::new(),
            refresh_interval: DurationMs(60_000),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        check_url("url", &self.url)?;
        self.http.check()
    }

    fn set_directory(&mut self, directory: &Path) {
        self.http.set_directory(directory);
    }

    async fn run(self, shared: Shared, publisher: Publisher) {
        refresh::run(self.refresh_interval, shared, publisher, |_| Source::new(&self)).await;
    }
}

#[derive(Debug)]
struct Source {
    api: Api,
    url: String,
    interval: String,
}

/// A group as servers have it; an absent or null part is empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    targets: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

impl Source {
    fn new(settings: &Settings) -> Result<Self, Fault> {
        let interval = interval(settings.refresh_interval);
        let api = Api::new(&settings.http, interval)?;
        let interval = interval.as_secs_f64().to_string();
        Ok(Self { api, url: settings.url.clone(), interval })
    }

    fn groups(&self, answer: &Answer) -> Result<Vec<TargetGroup>, Fault> {
        let media = answer.header("content-type").trim().to_ascii_lowercase();
        let media: String = media.replace("charset=\"utf-8\"", "charset=utf-8").split_whitespace().collect();
        if !matches!(media.as_str(), "application/json" | "application/json;charset=utf-8") {
            return Err(Fault::Other(format!(
                "{} answered with unsupported content type {:?}",
                answer.url,
                answer.header("content-type")
            )));
        }
        let groups: Option<Vec<Option<Group>>> =
            serde_json::from_slice(&answer.body).map_err(|error| answer.syntax(error.to_string()))?;
        let mut found = Vec::new();
        for (i, group) in groups.unwrap_or_default().into_iter().enumerate() {
            let group = group.ok_or_else(|| answer.syntax("nil target group item found".to_owned()))?;
            let mut labels = group.labels.unwrap_or_default();
            if labels.contains_key("") {
                return Err(answer.syntax("\"\" is not a valid label name".to_owned()));
            }
            labels.insert(URL_LABEL.to_owned(), self.url.clone());
            let targets = group.targets.unwrap_or_default();
            found.push(TargetGroup::of_addresses(format!("{}:{i}", self.url), targets, &labels));
        }
        Ok(found)
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let mut request = self.api.get(&self.url)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(interval) = HeaderValue::from_str(&self.interval) {
            request.headers_mut().insert(INTERVAL_HEADER, interval);
        }
        let answer = self.api.send(request).await?;
        self.groups(&answer)
    }
}

#[cfg(test)]
mod tests;
