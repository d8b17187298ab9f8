//! `kubernetes_sd_configs`: nodes, services, pods, endpoints and ingresses of a Kubernetes cluster.
//!
//! Map: here the settings · `access` where the API server is, and who we are to it · `objects` what we read of
//! Kubernetes' objects · `reflector` list, then watch · `store` all objects that are known, and the groups made of them ·
//! `targets` one object, and those it refers to, made a group.
//!
//! A list+watch client of our own: of the API we need one read-only pattern on ten kinds of objects, and a few fields
//! of each.

use std::path::Path;

use http_client::InvalidSettings;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Configured, fault, fault_at};
use crate::fetch::Fault;
use crate::place::{Publisher, Shared};
use crate::refresh::jittered;

mod access;
mod objects;
mod reflector;
mod store;
mod targets;

use access::Access;
use objects::Kind;
use reflector::{Reflector, Scope};
use store::Store;

/// Changes that wait for the store; lists count as one.
const EVENTS_MAX: usize = 256;

/// A section of `kubernetes_sd_configs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    api_server: String,
    role: String,
    kubeconfig_file: String,
    namespaces: Namespaces,
    selectors: Vec<Selector>,
    attach_metadata: Attach,
    #[serde(rename = "*")]
    http: http_client::Settings,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Namespaces {
    own_namespace: bool,
    names: Vec<String>,
}

/// Limits what is listed and watched of one kind of object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Selector {
    role: String,
    label: String,
    field: String,
}

/// What is attached to targets beside their own metadata.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Attach {
    node: bool,
    namespace: bool,
    deployment: bool,
    job: bool,
    cronjob: bool,
}

/// What targets are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Node,
    Service,
    Pod,
    Endpoints,
    EndpointSlice,
    Ingress,
}

/// Names of the roles, and for each those which its selectors may have.
const ROLES: [(Role, &str, &[&str]); 6] = [
    (Role::Pod, "pod", &["pod", "node"]),
    (Role::Service, "service", &["service"]),
    (Role::Endpoints, "endpoints", &["pod", "service", "endpoints"]),
    (Role::EndpointSlice, "endpointslice", &["pod", "service", "endpointslice"]),
    (Role::Node, "node", &["node"]),
    (Role::Ingress, "ingress", &["ingress"]),
];

impl Role {
    fn parse(name: &str) -> Option<Self> {
        ROLES.iter().find(|(_, known, _)| *known == name).map(|(role, ..)| *role)
    }

    /// The object that a group is made of.
    fn kind(self) -> Kind {
        match self {
            Self::Node => Kind::Node,
            Self::Service => Kind::Service,
            Self::Pod => Kind::Pod,
            Self::Endpoints => Kind::Endpoints,
            Self::EndpointSlice => Kind::EndpointSlice,
            Self::Ingress => Kind::Ingress,
        }
    }

    /// All kinds of objects that groups are made from.
    fn kinds(self, attach: Attach) -> Vec<Kind> {
        let mut kinds = vec![self.kind()];
        let endpoints = matches!(self, Self::Endpoints | Self::EndpointSlice);
        if endpoints {
            kinds.extend([Kind::Service, Kind::Pod]);
        }
        if endpoints || self == Self::Pod {
            kinds.extend(attach.node.then_some(Kind::Node));
            kinds.extend(attach.deployment.then_some(Kind::ReplicaSet));
            kinds.extend(attach.cronjob.then_some(Kind::Job));
        }
        if self != Self::Node {
            kinds.extend(attach.namespace.then_some(Kind::Namespace));
        }
        kinds
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if self.role.is_empty() {
            return fault("role missing (one of: pod, service, endpoints, endpointslice, node, ingress)");
        }
        let Some((_, role, selectors)) = ROLES.iter().find(|(_, name, _)| *name == self.role) else {
            return fault_at("role", format!("unknown Kubernetes SD role {:?}", self.role));
        };
        self.check_access()?;
        let mut seen: Vec<&str> = Vec::new();
        for Selector { role: selector, .. } in &self.selectors {
            if seen.contains(&selector.as_str()) {
                return fault_at("selectors", format!("duplicated selector role: {selector}"));
            }
            seen.push(selector);
            if !selectors.contains(&selector.as_str()) {
                let known = selectors.join(", ");
                return fault_at("selectors", format!("{role} role supports only {known} selectors"));
            }
        }
        Ok(())
    }

    fn set_directory(&mut self, directory: &Path) {
        self.http.set_directory(directory);
        if !self.kubeconfig_file.is_empty() {
            self.kubeconfig_file = directory.join(&self.kubeconfig_file).to_string_lossy().into_owned();
        }
    }

    async fn run(self, shared: Shared, mut publisher: Publisher) {
        loop {
            match Access::new(&self, &shared) {
                Ok(access) => return self.watch(access, shared, publisher).await,
                Err(fault) => publisher.failed(&fault.to_string()),
            }
            tokio::time::sleep(jittered(reflector::BACKOFF_MAX, &shared)).await;
        }
    }
}

impl Settings {
    fn check_access(&self) -> Result<(), InvalidSettings> {
        self.http.check()?;
        let has_server = !self.api_server.is_empty();
        let has_kubeconfig = !self.kubeconfig_file.is_empty();
        let has_client = self.http != http_client::Settings::default();
        let own_namespace = self.namespaces.own_namespace;
        if has_kubeconfig && has_server {
            return fault("cannot use 'kubeconfig_file' and 'api_server' simultaneously");
        }
        if has_kubeconfig && has_client {
            return fault("cannot use a custom HTTP client configuration together with 'kubeconfig_file'");
        }
        if !has_server && has_client {
            return fault(
                "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
            );
        }
        if has_server && own_namespace {
            return fault("cannot use 'api_server' and 'namespaces.own_namespace' simultaneously");
        }
        if has_kubeconfig && own_namespace {
            return fault("cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously");
        }
        if has_server && let Err(error) = http_client::Url::parse(&self.api_server) {
            return fault_at("api_server", format!("{:?} is not a valid URL: {error}", self.api_server));
        }
        Ok(())
    }

    /// What is listed and watched: each kind of object in each namespace.
    fn scopes(&self, role: Role, access: &Access) -> Vec<Scope> {
        let mut namespaces = self.namespaces.names.clone();
        if self.namespaces.own_namespace {
            namespaces.extend(access.namespace.clone());
        }
        if namespaces.is_empty() {
            namespaces.push(String::new());
        }
        namespaces.sort();
        namespaces.dedup();
        let mut scopes = Vec::new();
        for kind in role.kinds(self.attach_metadata) {
            let selector = self.selectors.iter().find(|s| Role::parse(&s.role).map(Role::kind) == Some(kind));
            let selector = selector.cloned().unwrap_or_default();
            let everywhere = [String::new()];
            let within = if kind.is_namespaced() { &namespaces[..] } else { &everywhere[..] };
            for namespace in within {
                let namespace = namespace.clone();
                scopes.push(Scope {
                    kind,
                    namespace,
                    label: selector.label.clone(),
                    field: selector.field.clone(),
                });
            }
        }
        scopes
    }

    async fn watch(self, access: Access, shared: Shared, publisher: Publisher) {
        let Some(role) = Role::parse(&self.role) else { return };
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let mut reflectors = JoinSet::new();
        let scopes = self.scopes(role, &access);
        for scope in &scopes {
            let reflector = Reflector::new(access.clone(), scope.clone(), sender.clone(), shared.clone());
            reflectors.spawn(reflector.run());
        }
        drop(sender);
        Store::new(role, self.attach_metadata, scopes, shared, publisher).run(receiver).await;
    }
}

/// What a file that we need is about, if it cannot be read.
fn unreadable(path: &str, error: &std::io::Error) -> Fault {
    Fault::Other(format!("cannot read {path}: {error}"))
}

#[cfg(test)]
mod tests;
