//! One object, and those it refers to, made a target group with Prometheus' meta labels.

use std::collections::BTreeMap;

use model::Labels;

use super::Attach;
use super::objects::{Ingress, Kind, Metadata, Node, Object, Pod, Service};
use super::store::Objects;
use crate::group::{ADDRESS_LABEL, TargetGroup};
use crate::meta::{INSTANCE_LABEL, Meta, host_port, sanitized};

mod endpoints;

const PREFIX: &str = "__meta_kubernetes_";

/// Where targets are reached if a node has several addresses, best first.
const NODE_ADDRESSES: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// The group of an object; `None` if it has no targets to give and never will as it is.
pub(super) fn group(object: &Object, attach: Attach, others: &mut Objects) -> Option<TargetGroup> {
    match object {
        Object::Node(node) => node_group(node),
        Object::Service(service) => Some(service_group(service, attach, others)),
        Object::Pod(pod) => pod_group(pod, attach, others),
        Object::Ingress(ingress) => Some(ingress_group(ingress, attach, others)),
        Object::Endpoints(endpoints) => Some(self::endpoints::of_endpoints(endpoints, attach, others)),
        Object::EndpointSlice(slice) => self::endpoints::of_slice(slice, attach, others),
        Object::Other(_) => None,
    }
}

fn meta() -> Meta {
    Meta::new(PREFIX)
}

/// Labels and annotations of an object, each with a label that says that it is there.
fn set_labels(meta: &mut Meta, role: &str, metadata: &Metadata) {
    let mut set = |what: &str, pairs: &Option<BTreeMap<String, String>>| {
        for (name, value) in pairs.iter().flatten() {
            let name = sanitized(name);
            meta.set(format_args!("{role}_{what}_{name}"), value);
            meta.set(format_args!("{role}_{what}present_{name}"), "true");
        }
    };
    set("label", &metadata.labels);
    set("annotation", &metadata.annotations);
}

fn set_metadata(meta: &mut Meta, role: &str, metadata: &Metadata) {
    meta.set(format_args!("{role}_name"), &metadata.name);
    set_labels(meta, role, metadata);
}

/// Labels of the namespace, if they are wanted.
fn attach_namespace(meta: &mut Meta, name: &str, attach: Attach, others: &mut Objects) {
    if attach.namespace
        && let Some(namespace) = others.find(Kind::Namespace, "", name)
    {
        set_labels(meta, "namespace", namespace.metadata());
    }
}

/// Labels of a node, if they are wanted.
fn attach_node(meta: &mut Meta, name: &str, attach: Attach, others: &mut Objects) {
    if attach.node
        && let Some(node) = others.find(Kind::Node, "", name)
    {
        set_metadata(meta, "node", node.metadata());
    }
}

fn node_group(node: &Node) -> Option<TargetGroup> {
    let mut labels = meta();
    labels.set("node_provider_id", &node.spec.provider_id);
    for condition in node.status.conditions.iter().flatten() {
        let kind = sanitized(&condition.kind.to_lowercase());
        labels.set(format_args!("node_condition_{kind}"), condition.status.to_lowercase());
    }
    set_metadata(&mut labels, "node", &node.metadata);
    let mut addresses: BTreeMap<&str, &str> = BTreeMap::new();
    for address in node.status.addresses.iter().flatten() {
        addresses.entry(&address.kind).or_insert(&address.address);
    }
    let Some(host) = NODE_ADDRESSES.iter().find_map(|kind| addresses.get(kind)) else {
        tracing::warn!(node = node.metadata.name, "a Kubernetes node has no address");
        return None;
    };
    let mut target = meta();
    target.address(host, node.status.daemon_endpoints.kubelet_endpoint.port);
    target.plain(INSTANCE_LABEL, &node.metadata.name).set_each("node_address_", &addresses);
    let source = format!("node/{}", node.metadata.name);
    Some(TargetGroup { source, targets: vec![target.build()], labels: labels.build() })
}

/// The labels that all targets of a service have, wherever they were found.
fn service_labels(service: &Service) -> Labels {
    let mut labels = meta();
    labels.set("namespace", &service.metadata.namespace);
    set_metadata(&mut labels, "service", &service.metadata);
    labels.build()
}

fn service_group(service: &Service, attach: Attach, others: &mut Objects) -> TargetGroup {
    let Metadata { name, namespace, .. } = &service.metadata;
    let mut labels = meta();
    labels.merge(&service_labels(service));
    attach_namespace(&mut labels, namespace, attach, others);
    let spec = &service.spec;
    let mut targets = Vec::new();
    for port in spec.ports.iter().flatten() {
        let mut target = meta();
        target
            .address(&format!("{name}.{namespace}.svc"), port.port)
            .set("service_port_name", &port.name)
            .set("service_port_number", port.port)
            .set("service_port_protocol", &port.protocol)
            .set("service_type", &spec.kind);
        if spec.kind == "ExternalName" {
            target.set("service_external_name", &spec.external_name);
        } else {
            target.set("service_cluster_ip", &spec.cluster_ip);
        }
        if spec.kind == "LoadBalancer" {
            target.set("service_loadbalancer_ip", &spec.load_balancer_ip);
        }
        targets.push(target.build());
    }
    TargetGroup { source: format!("svc/{namespace}/{name}"), targets, labels: labels.build() }
}

/// The labels that all targets of a pod have, wherever they were found.
fn pod_labels(pod: &Pod, attach: Attach, others: &mut Objects) -> Labels {
    let (metadata, status) = (&pod.metadata, &pod.status);
    let ready = status.conditions.iter().flatten().find(|condition| condition.kind == "Ready");
    let mut labels = meta();
    labels
        .set("pod_ip", &status.pod_ip)
        .set("pod_ready", ready.map_or("unknown".to_owned(), |ready| ready.status.to_lowercase()))
        .set("pod_phase", &status.phase)
        .set("pod_node_name", &pod.spec.node_name)
        .set("pod_host_ip", &status.host_ip)
        .set("pod_uid", &metadata.uid);
    set_metadata(&mut labels, "pod", metadata);
    let Some(controller) = metadata.controller() else { return labels.build() };
    labels.set("pod_controller_kind", &controller.kind).set("pod_controller_name", &controller.name);
    let mut maker_of = |kind: Kind, wanted: &str| {
        let maker = others.find(kind, &metadata.namespace, &controller.name)?.metadata().controller()?;
        (maker.kind == wanted).then(|| maker.name.clone())
    };
    if controller.kind == "ReplicaSet" && attach.deployment {
        labels.set_some("pod_deployment_name", maker_of(Kind::ReplicaSet, "Deployment"));
    }
    if controller.kind == "Job" {
        if attach.cronjob {
            labels.set_some("pod_cronjob_name", maker_of(Kind::Job, "CronJob"));
        }
        if attach.job {
            labels.set("pod_job_name", &controller.name);
        }
    }
    labels.build()
}

fn pod_group(pod: &Pod, attach: Attach, others: &mut Objects) -> Option<TargetGroup> {
    let Metadata { name, namespace, .. } = &pod.metadata;
    let ip = &pod.status.pod_ip;
    // A pod that starts or was evicted. A selector of nodes leaves out the pods of the others.
    if ip.is_empty() || (attach.node && others.find(Kind::Node, "", &pod.spec.node_name).is_none()) {
        return None;
    }
    let mut labels = meta();
    labels.merge(&pod_labels(pod, attach, others)).set("namespace", namespace);
    attach_node(&mut labels, &pod.spec.node_name, attach, others);
    attach_namespace(&mut labels, namespace, attach, others);
    let mut targets = Vec::new();
    let (usual, init) = (&pod.spec.containers, &pod.spec.init_containers);
    let (usual_status, init_status) = (&pod.status.container_statuses, &pod.status.init_container_statuses);
    for (containers, statuses, is_init) in [(usual, usual_status, false), (init, init_status, true)] {
        for container in containers.iter().flatten() {
            let status = statuses.iter().flatten().find(|status| status.name == container.name);
            let mut common = meta();
            common
                .set("pod_container_name", &container.name)
                .set_some("pod_container_id", status.map(|status| &status.container_id))
                .set("pod_container_image", &container.image)
                .set("pod_container_init", is_init);
            let ports: Vec<_> = container.ports.iter().flatten().collect();
            // One without ports is a target, too: rules may add a port.
            if ports.is_empty() {
                targets.push(common.plain(ADDRESS_LABEL, ip).build());
            }
            for port in ports {
                let mut target = common.clone();
                target
                    .address(ip, port.container_port)
                    .set("pod_container_port_number", port.container_port)
                    .set("pod_container_port_name", &port.name)
                    .set("pod_container_port_protocol", &port.protocol);
                targets.push(target.build());
            }
        }
    }
    Some(TargetGroup { source: format!("pod/{namespace}/{name}"), targets, labels: labels.build() })
}

fn ingress_group(ingress: &Ingress, attach: Attach, others: &mut Objects) -> TargetGroup {
    let Metadata { name, namespace, .. } = &ingress.metadata;
    let mut labels = meta();
    labels
        .set("namespace", namespace)
        .set_some("ingress_class_name", ingress.spec.ingress_class_name.as_ref());
    set_metadata(&mut labels, "ingress", &ingress.metadata);
    attach_namespace(&mut labels, namespace, attach, others);
    let tls = || ingress.spec.tls.iter().flatten().flat_map(|tls| tls.hosts.iter().flatten());
    let mut targets = Vec::new();
    for rule in ingress.spec.rules.iter().flatten() {
        let scheme = if tls().any(|pattern| is_host(pattern, &rule.host)) { "https" } else { "http" };
        let paths = rule.http.as_ref().and_then(|http| http.paths.as_ref());
        let paths: Vec<&str> = paths.map_or(vec!["/"], |paths| {
            paths.iter().map(|path| if path.path.is_empty() { "/" } else { path.path.as_str() }).collect()
        });
        for path in paths {
            let mut target = meta();
            target
                .plain(ADDRESS_LABEL, &rule.host)
                .set("ingress_scheme", scheme)
                .set("ingress_host", &rule.host)
                .set("ingress_path", path);
            targets.push(target.build());
        }
    }
    TargetGroup { source: format!("ingress/{namespace}/{name}"), targets, labels: labels.build() }
}

/// Whether a host is the pattern, whose first part may be `*`.
fn is_host(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(wanted), Some((_, rest))) => wanted == rest,
        _ => false,
    }
}

/// The address of a container's port.
fn pod_address(pod: &Pod, port: i64) -> String {
    host_port(&pod.status.pod_ip, port)
}
