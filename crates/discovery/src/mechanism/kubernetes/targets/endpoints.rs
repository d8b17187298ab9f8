//! Endpoints and endpoint slices: addresses of services, with what is known of the pods behind them.

use std::collections::BTreeMap;

use super::super::Attach;
use super::super::objects::{
    EndpointAddress, EndpointSlice, Endpoints, Key, Kind, Metadata, Object, Pod, Reference, ServicePort,
    SliceEndpoint, SlicePort,
};
use super::super::store::Objects;
use super::{attach_namespace, attach_node, meta, pod_address, pod_labels, service_labels, set_metadata};
use crate::group::{ADDRESS_LABEL, TargetGroup};
use crate::meta::{Meta, host_port};

/// The label by which a slice names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label by which Kubernetes says that an object holds not all endpoints.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// Pods that were met, each with the ports that have a target.
#[derive(Default)]
struct Seen(BTreeMap<Key, (Pod, Vec<Option<i64>>)>);

impl Seen {
    /// Adds what is known of the pod behind a target, if it is one.
    fn add_pod(
        &mut self,
        target: &mut Meta,
        reference: Option<&Reference>,
        port: Option<i64>,
        protocol: Option<&str>,
        attach: Attach,
        others: &mut Objects,
    ) {
        let Some(reference) = reference.filter(|reference| reference.kind == "Pod") else { return };
        let Some(Object::Pod(pod)) = others.find(Kind::Pod, &reference.namespace, &reference.name) else {
            return;
        };
        let pod = pod.as_ref().clone();
        target.merge(&pod_labels(&pod, attach, others));
        let matching = |container_port: i64| port == Some(container_port);
        for container in pod.spec.containers.iter().flatten() {
            let found = container.ports.iter().flatten().find(|own| matching(own.container_port));
            if let Some(own) = found {
                target
                    .set("pod_container_name", &container.name)
                    .set("pod_container_image", &container.image)
                    .set("pod_container_port_name", &own.name)
                    .set("pod_container_port_number", own.container_port)
                    .set("pod_container_port_protocol", protocol.unwrap_or(&own.protocol));
            }
        }
        let key = Key::new(&pod.metadata.namespace, &pod.metadata.name);
        self.0.entry(key).or_insert_with(|| (pod, Vec::new())).1.push(port);
    }

    /// Targets for the ports of these pods that no endpoint has.
    fn other_ports(self, attach: Attach, others: &mut Objects, targets: &mut Vec<model::Labels>) {
        for (pod, ports) in self.0.into_values() {
            if pod.status.pod_ip.is_empty() {
                continue;
            }
            for container in pod.spec.containers.iter().flatten() {
                for own in container.ports.iter().flatten() {
                    if ports.contains(&Some(own.container_port)) {
                        continue;
                    }
                    let mut target = meta();
                    target
                        .plain(ADDRESS_LABEL, pod_address(&pod, own.container_port))
                        .set("pod_container_name", &container.name)
                        .set("pod_container_image", &container.image)
                        .set("pod_container_port_name", &own.name)
                        .set("pod_container_port_number", own.container_port)
                        .set("pod_container_port_protocol", &own.protocol)
                        .merge(&pod_labels(&pod, attach, others));
                    targets.push(target.build());
                }
            }
        }
    }
}

fn attach_service(labels: &mut Meta, namespace: &str, name: &str, others: &mut Objects) {
    if let Some(Object::Service(service)) = others.find(Kind::Service, namespace, name) {
        labels.merge(&service_labels(service));
    }
}

pub(super) fn of_endpoints(endpoints: &Endpoints, attach: Attach, others: &mut Objects) -> TargetGroup {
    let metadata = &endpoints.metadata;
    let Metadata { name, namespace, .. } = metadata;
    let mut labels = meta();
    labels.set("namespace", namespace);
    attach_service(&mut labels, namespace, name, others);
    set_metadata(&mut labels, "endpoints", metadata);
    attach_namespace(&mut labels, namespace, attach, others);
    let mut targets = Vec::new();
    let mut seen = Seen::default();
    for subset in endpoints.subsets.iter().flatten() {
        for port in subset.ports.iter().flatten() {
            let ready = subset.addresses.iter().flatten().map(|address| (address, true));
            let waiting = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
            for (address, is_ready) in ready.chain(waiting) {
                let mut target = endpoint(address, port, is_ready, attach, others);
                let reference = address.target_ref.as_ref();
                let (number, protocol) = (Some(port.port), Some(port.protocol.as_str()));
                seen.add_pod(&mut target, reference, number, protocol, attach, others);
                targets.push(target.build());
            }
        }
    }
    if metadata.label(OVER_CAPACITY).is_some() {
        tracing::warn!(
            namespace,
            endpoints = name,
            "more than 1000 endpoints in one Endpoints object, others may be missing; use role: endpointslice"
        );
    }
    seen.other_ports(attach, others, &mut targets);
    TargetGroup { source: format!("endpoints/{namespace}/{name}"), targets, labels: labels.build() }
}

fn endpoint(
    address: &EndpointAddress,
    port: &ServicePort,
    is_ready: bool,
    attach: Attach,
    others: &mut Objects,
) -> Meta {
    let mut target = meta();
    target
        .address(&address.ip, port.port)
        .set("endpoint_port_name", &port.name)
        .set("endpoint_port_protocol", &port.protocol)
        .set("endpoint_ready", is_ready)
        .set_some("endpoint_node_name", address.node_name.as_ref())
        .set("endpoint_hostname", &address.hostname);
    let reference = address.target_ref.as_ref();
    set_reference(&mut target, "endpoint", reference);
    let of_reference =
        reference.filter(|reference| reference.kind == "Node").map(|reference| &reference.name);
    if let Some(node) = address.node_name.as_ref().or(of_reference) {
        attach_node(&mut target, node, attach, others);
    }
    target
}

fn set_reference(target: &mut Meta, role: &str, reference: Option<&Reference>) {
    if let Some(reference) = reference {
        target.set(format_args!("{role}_address_target_kind"), &reference.kind);
        target.set(format_args!("{role}_address_target_name"), &reference.name);
    }
}

pub(super) fn of_slice(slice: &EndpointSlice, attach: Attach, others: &mut Objects) -> Option<TargetGroup> {
    let metadata = &slice.metadata;
    let Metadata { name, namespace, .. } = metadata;
    let mut labels = meta();
    labels.set("namespace", namespace).set("endpointslice_address_type", &slice.address_type);
    set_metadata(&mut labels, "endpointslice", metadata);
    if let Some(service) = metadata.label(SERVICE_NAME) {
        if is_second_family(slice, service, others) {
            return None;
        }
        attach_service(&mut labels, namespace, service, others);
    }
    attach_namespace(&mut labels, namespace, attach, others);
    let mut targets = Vec::new();
    let mut seen = Seen::default();
    for endpoint in slice.endpoints.iter().flatten() {
        for port in slice.ports.iter().flatten() {
            for address in endpoint.addresses.iter().flatten() {
                let mut target = slice_endpoint(address, endpoint, port, attach, others);
                seen.add_pod(&mut target, endpoint.target_ref.as_ref(), port.port, None, attach, others);
                targets.push(target.build());
            }
        }
    }
    seen.other_ports(attach, others, &mut targets);
    Some(TargetGroup { source: format!("endpointslice/{namespace}/{name}"), targets, labels: labels.build() })
}

/// A service with addresses of both families has a slice for each; one is enough to reach every pod once.
fn is_second_family(slice: &EndpointSlice, service: &str, others: &mut Objects) -> bool {
    let Some(Object::Service(service)) = others.find(Kind::Service, &slice.metadata.namespace, service)
    else {
        return false;
    };
    let spec = &service.spec;
    if !matches!(spec.ip_family_policy.as_str(), "PreferDualStack" | "RequireDualStack") {
        return false;
    }
    let first = spec.ip_families.as_ref().and_then(|families| families.first());
    first.is_some_and(|first| *first != slice.address_type)
}

fn slice_endpoint(
    address: &str,
    endpoint: &SliceEndpoint,
    port: &SlicePort,
    attach: Attach,
    others: &mut Objects,
) -> Meta {
    let mut target = meta();
    let whole = port.port.map_or_else(|| address.to_owned(), |port| host_port(address, port));
    target
        .plain(ADDRESS_LABEL, whole)
        .set_some("endpointslice_port_name", port.name.as_ref())
        .set_some("endpointslice_port_protocol", port.protocol.as_ref())
        .set_some("endpointslice_port", port.port)
        .set_some("endpointslice_port_app_protocol", port.app_protocol.as_ref())
        .set_some("endpointslice_endpoint_conditions_ready", endpoint.conditions.ready)
        .set_some("endpointslice_endpoint_conditions_serving", endpoint.conditions.serving)
        .set_some("endpointslice_endpoint_conditions_terminating", endpoint.conditions.terminating)
        .set_some("endpointslice_endpoint_hostname", endpoint.hostname.as_ref())
        .set_some("endpointslice_endpoint_node_name", endpoint.node_name.as_ref())
        .set_some("endpointslice_endpoint_zone", endpoint.zone.as_ref());
    let reference = endpoint.target_ref.as_ref();
    set_reference(&mut target, "endpointslice", reference);
    let topology = || endpoint.deprecated_topology.iter().flatten();
    target
        .set_each("endpointslice_endpoint_topology_", topology())
        .set_each("endpointslice_endpoint_topology_present_", topology().map(|(name, _)| (name, "true")));
    let of_reference =
        reference.filter(|reference| reference.kind == "Node").map(|reference| &reference.name);
    if let Some(node) = of_reference.or(endpoint.node_name.as_ref()) {
        attach_node(&mut target, node, attach, others);
    }
    target
}
