//! `consul_sd_configs`: services of a Consul catalog with their health.
//!
//! All requests are blocking queries: Consul answers when something changed, or after two minutes. One watch is on the
//! list of services (unless the section names them), one on each service. A service that does not answer keeps its last
//! targets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_client::header::HeaderValue;
use http_client::settings::BasicAuth;
use http_client::{InvalidSettings, Secret, Url};
use model::time::DurationMs;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::{Configured, fault, fault_at};
use crate::fetch::{Answer, Api, Fault, parse_url};
use crate::group::TargetGroup;
use crate::meta::{Meta, surrounded};
use crate::place::{Publisher, Shared};
use crate::refresh::{interval, jittered};

/// How long Consul may hold an answer back.
const WATCH: Duration = Duration::from_secs(120);
/// Consul adds up to a sixteenth of the wait.
const TIMEOUT: Duration = Duration::from_secs(135);
/// Wait after a failure.
const RETRY: Duration = Duration::from_secs(15);
/// Changes that come this close together are published together.
const SETTLE: Duration = Duration::from_secs(1);

/// A section of `consul_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    server: String,
    path_prefix: String,
    token: Secret,
    datacenter: String,
    namespace: String,
    partition: String,
    tag_separator: String,
    scheme: String,
    username: String,
    password: Secret,
    allow_stale: bool,
    refresh_interval: DurationMs,
    services: Vec<String>,
    tags: Vec<String>,
    node_meta: BTreeMap<String, String>,
    filter: String,
    health_filter: String,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: "localhost:8500".to_owned(),
            path_prefix: String::new(),
            token: Secret::default(),
            datacenter: String::new(),
            namespace: String::new(),
            partition: String::new(),
            tag_separator: ",".to_owned(),
            scheme: "http".to_owned(),
            username: String::new(),
            password: Secret::default(),
            allow_stale: true,
            refresh_interval: DurationMs(30_000),
            services: Vec::new(),
            tags: Vec::new(),
            node_meta: BTreeMap::new(),
            filter: String::new(),
            health_filter: String::new(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.server.trim().is_empty() {
            return fault_at("server", "consul SD configuration requires a server address");
        }
        let has_user = !self.username.is_empty() || !self.password.is_empty();
        if has_user && self.http.basic_auth.is_some() {
            return fault(
                "at most one of consul SD configuration username and password and basic auth can be configured",
            );
        }
        if !self.token.is_empty() && (self.http.authorization.is_some() || self.http.oauth2.is_some()) {
            return fault("at most one of consul SD token, authorization, or oauth2 can be configured");
        }
        self.http.check()
    }

    fn set_directory(&mut self, directory: &Path) {
        self.http.set_directory(directory);
    }

    async fn run(self, shared: Shared, mut publisher: Publisher) {
        let catalog = loop {
            match Catalog::new(&self, &shared).await {
                Ok(catalog) => break Arc::new(catalog),
                Err(fault) => publisher.failed(&fault.to_string()),
            }
            tokio::time::sleep(jittered(retry(&self), &shared)).await;
        };
        Services::new(catalog, publisher).run().await;
    }
}

fn retry(settings: &Settings) -> Duration {
    RETRY.min(interval(settings.refresh_interval))
}

/// How Consul is asked.
#[derive(Debug)]
struct Catalog {
    settings: Settings,
    api: Api,
    base: String,
    datacenter: String,
    shared: Shared,
}

/// What a watch tells.
#[derive(Debug)]
enum Event {
    /// Names of all services that are wanted.
    Names(BTreeSet<String>),
    Service(String, TargetGroup),
    /// A watch works; empty: that on the list.
    Works(String),
    Fails(String, String),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Agent {
    config: AgentConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentConfig {
    datacenter: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
    checks: Vec<Check>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Node {
    node: String,
    address: String,
    tagged_addresses: BTreeMap<String, String>,
    meta: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    tags: Vec<String>,
    address: String,
    port: i64,
    meta: BTreeMap<String, String>,
    namespace: String,
    partition: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Check {
    #[serde(rename = "CheckID")]
    check_id: String,
    status: String,
}

impl Catalog {
    async fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let mut http = settings.http.clone();
        if !settings.username.is_empty() || !settings.password.is_empty() {
            let (username, password) = (settings.username.clone(), settings.password.clone());
            http.basic_auth = Some(BasicAuth { username, password, ..BasicAuth::default() });
        }
        let api = Api::new(&http, TIMEOUT)?;
        let server = match settings.server.contains("://") {
            true => settings.server.clone(),
            false => format!("{}://{}", settings.scheme, settings.server),
        };
        let prefix = settings.path_prefix.trim_matches('/');
        let base = format!("{}/{prefix}", server.trim_end_matches('/'));
        let base = base.trim_end_matches('/').to_owned();
        let datacenter = settings.datacenter.clone();
        let mut catalog = Self { settings: settings.clone(), api, base, datacenter, shared: shared.clone() };
        if catalog.datacenter.is_empty() {
            let url = catalog.url(&["agent", "self"])?;
            let agent: Agent = catalog.send(url).await?.json()?;
            catalog.datacenter = agent.config.datacenter;
        }
        Ok(catalog)
    }

    fn url(&self, path: &[&str]) -> Result<Url, Fault> {
        let mut url = parse_url(&self.base)?;
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().push("v1").extend(path),
            Err(()) => return Err(Fault::Other(format!("{:?} is not a valid URL", self.base))),
        };
        Ok(url)
    }

    async fn send(&self, url: Url) -> Result<Answer, Fault> {
        let mut request = self.api.client().get(url);
        if !self.settings.token.is_empty() {
            let token = HeaderValue::from_str(self.settings.token.reveal());
            let mut token = token.map_err(|_| Fault::Other("token cannot stand in a header".to_owned()))?;
            token.set_sensitive(true);
            request.headers_mut().insert("x-consul-token", token);
        }
        self.api.send(request).await
    }

    /// Asks for something that is newer than `index`; waits for it.
    async fn watch(&self, path: &[&str], filter: &str, index: u64) -> Result<(Answer, u64), Fault> {
        let settings = &self.settings;
        let mut url = self.url(path)?;
        {
            let mut query = url.query_pairs_mut();
            if index > 0 {
                query.append_pair("index", &index.to_string());
                query.append_pair("wait", &format!("{}ms", WATCH.as_millis()));
            }
            if settings.allow_stale {
                query.append_key_only("stale");
            }
            for (key, value) in [
                ("dc", &settings.datacenter),
                ("ns", &settings.namespace),
                ("partition", &settings.partition),
            ] {
                if !value.is_empty() {
                    query.append_pair(key, value);
                }
            }
            for (key, value) in &settings.node_meta {
                query.append_pair("node-meta", &format!("{key}:{value}"));
            }
            if !filter.is_empty() {
                query.append_pair("filter", filter);
            }
            if path.first() == Some(&"health") {
                for tag in &settings.tags {
                    query.append_pair("tag", tag);
                }
            }
        }
        let answer = self.send(url).await?;
        let next = answer.header("x-consul-index").parse().unwrap_or(0);
        // An index that goes back means that Consul lost its state: begin anew.
        let next = if next < index { 0 } else { next };
        Ok((answer, next))
    }

    fn is_wanted(&self, name: &str, tags: &[String]) -> bool {
        let settings = &self.settings;
        let named = settings.services.is_empty() || settings.services.iter().any(|service| service == name);
        named && settings.tags.iter().all(|tag| tags.contains(tag))
    }

    /// Asks for one thing again and again, and sends what `event` makes of each new answer.
    async fn follow(
        &self,
        watch: &str,
        path: &[&str],
        filter: &str,
        events: mpsc::Sender<Event>,
        event: impl Fn(&Answer) -> Result<Event, Fault> + Send,
    ) {
        let mut index = 0;
        loop {
            let next_at = Instant::now() + interval(self.settings.refresh_interval);
            let told = match self.watch(path, filter, index).await {
                Ok((_, next)) if next == index && index > 0 => Ok(Event::Works(watch.to_owned())),
                Ok((answer, next)) => event(&answer).inspect(|_| index = next),
                Err(fault) => Err(fault),
            };
            let failed = told.is_err();
            let told = told.unwrap_or_else(|fault| Event::Fails(watch.to_owned(), fault.to_string()));
            if events.send(told).await.is_err() {
                return;
            }
            if failed {
                tokio::time::sleep(jittered(retry(&self.settings), &self.shared)).await;
            } else {
                tokio::time::sleep_until(next_at).await;
            }
        }
    }

    async fn follow_names(self: Arc<Self>, events: mpsc::Sender<Event>) {
        let names = |answer: &Answer| {
            let all: BTreeMap<String, Vec<String>> = answer.json()?;
            let wanted = all.into_iter().filter(|(name, tags)| self.is_wanted(name, tags));
            Ok(Event::Names(wanted.map(|(name, _)| name).collect()))
        };
        self.follow("", &["catalog", "services"], &self.settings.filter, events, names).await;
    }

    async fn follow_service(self: Arc<Self>, name: String, events: mpsc::Sender<Event>) {
        let service = |answer: &Answer| {
            Ok(Event::Service(name.clone(), self.group(&name, &answer.json::<Vec<Entry>>()?)))
        };
        self.follow(&name, &["health", "service", &name], &self.settings.health_filter, events, service)
            .await;
    }

    fn group(&self, name: &str, entries: &[Entry]) -> TargetGroup {
        let mut labels = Meta::new("__meta_consul_");
        labels.set("service", name).set("dc", &self.datacenter);
        let targets = entries.iter().map(|entry| self.target(entry)).collect();
        TargetGroup { source: name.to_owned(), targets, labels: labels.build() }
    }

    fn target(&self, Entry { node, service, checks }: &Entry) -> model::Labels {
        let mut meta = Meta::new("__meta_consul_");
        let host = if service.address.is_empty() { &node.address } else { &service.address };
        meta.address(host, service.port)
            .set("address", &node.address)
            .set("node", &node.node)
            .set("namespace", &service.namespace)
            .set("partition", &service.partition)
            .set("tags", surrounded(&self.settings.tag_separator, &service.tags))
            .set("service_address", &service.address)
            .set("service_port", service.port)
            .set("service_id", &service.id)
            .set("health", aggregated(checks))
            .set_each("metadata_", &node.meta)
            .set_each("service_metadata_", &service.meta)
            .set_each("tagged_address_", &node.tagged_addresses);
        meta.build()
    }
}

/// The worst of all checks, as Consul's own client sums them up.
fn aggregated(checks: &[Check]) -> &'static str {
    let maintained = |check: &&Check| {
        check.check_id == "_node_maintenance" || check.check_id.starts_with("_service_maintenance:")
    };
    let any = |status: &str| checks.iter().any(|check| check.status == status);
    if checks.iter().any(|check| maintained(&check)) {
        "maintenance"
    } else if any("critical") {
        "critical"
    } else if any("warning") {
        "warning"
    } else if checks.iter().all(|check| check.status == "passing") {
        "passing"
    } else {
        ""
    }
}

/// The services that are watched, and what is known about each.
struct Services {
    catalog: Arc<Catalog>,
    publisher: Publisher,
    groups: BTreeMap<String, Option<TargetGroup>>,
    failing: BTreeMap<String, String>,
    watches: BTreeMap<String, AbortHandle>,
    tasks: JoinSet<()>,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
}

impl Services {
    fn new(catalog: Arc<Catalog>, publisher: Publisher) -> Self {
        Self {
            catalog,
            publisher,
            groups: BTreeMap::new(),
            failing: BTreeMap::new(),
            watches: BTreeMap::new(),
            tasks: JoinSet::new(),
            events: mpsc::channel(64),
        }
    }

    async fn run(mut self) {
        let settings = &self.catalog.settings;
        if settings.services.is_empty() || !settings.tags.is_empty() {
            let names = Arc::clone(&self.catalog).follow_names(self.events.0.clone());
            self.tasks.spawn(names);
        } else {
            let names = settings.services.iter().cloned().collect();
            self.watch_only(names);
        }
        let mut publish_at: Option<Instant> = None;
        loop {
            let due = publish_at;
            tokio::select! {
                event = self.events.1.recv() => {
                    let Some(event) = event else { return };
                    if self.take(event) {
                        publish_at.get_or_insert_with(|| Instant::now() + SETTLE);
                    }
                    if publish_at.is_some() && self.groups.values().all(Option::is_some) {
                        publish_at = Some(Instant::now());
                    }
                    while self.tasks.try_join_next().is_some() {}
                }
                () = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    publish_at = None;
                    let groups = self.groups.values().flatten().cloned().collect();
                    self.publisher.set(groups);
                    self.report();
                }
            }
        }
    }

    /// Whether there is anything to publish.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Names(names) => {
                self.failing.remove("");
                self.watch_only(names);
            }
            Event::Service(name, group) => {
                self.failing.remove(&name);
                // A last word of a service that is not wanted any more counts for nothing.
                if let Some(known) = self.groups.get_mut(&name) {
                    *known = Some(group);
                }
            }
            Event::Works(watch) => {
                self.failing.remove(&watch);
                self.report();
                return false;
            }
            Event::Fails(watch, reason) => {
                self.failing.insert(watch, reason);
                self.report();
                return false;
            }
        }
        true
    }

    fn report(&mut self) {
        match self.failing.values().next() {
            Some(reason) => self.publisher.failed(reason),
            None => self.publisher.recovered(),
        }
    }

    fn watch_only(&mut self, names: BTreeSet<String>) {
        self.groups.retain(|name, _| names.contains(name));
        self.failing.retain(|name, _| name.is_empty() || names.contains(name));
        self.watches.retain(|name, watch| {
            let keep = names.contains(name);
            if !keep {
                watch.abort();
            }
            keep
        });
        for name in names {
            if !self.watches.contains_key(&name) {
                self.groups.insert(name.clone(), None);
                let service = Arc::clone(&self.catalog).follow_service(name.clone(), self.events.0.clone());
                let watch = self.tasks.spawn(service);
                self.watches.insert(name, watch);
            }
        }
    }
}

#[cfg(test)]
mod tests;
