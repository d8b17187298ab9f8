//! What we read of Kubernetes' objects. All else is skipped while reading.
//!
//! Source: the OpenAPI of Kubernetes 1.33 (`core/v1`, `discovery.k8s.io/v1`, `networking.k8s.io/v1`, `apps/v1`, `batch/v1`).
//! Go writes an empty list as null, hence the options.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Node,
    Service,
    Pod,
    Endpoints,
    EndpointSlice,
    Ingress,
    Namespace,
    ReplicaSet,
    Job,
}

impl Kind {
    /// Below which path its group is, and its name there.
    pub(super) fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Node => ("api/v1", "nodes"),
            Self::Service => ("api/v1", "services"),
            Self::Pod => ("api/v1", "pods"),
            Self::Endpoints => ("api/v1", "endpoints"),
            Self::Namespace => ("api/v1", "namespaces"),
            Self::EndpointSlice => ("apis/discovery.k8s.io/v1", "endpointslices"),
            Self::Ingress => ("apis/networking.k8s.io/v1", "ingresses"),
            Self::ReplicaSet => ("apis/apps/v1", "replicasets"),
            Self::Job => ("apis/batch/v1", "jobs"),
        }
    }

    pub(super) fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node | Self::Namespace)
    }

    /// Reads a page of a list of this kind.
    pub(super) fn read_list(self, json: &[u8]) -> Result<(ListMetadata, Vec<Object>), serde_json::Error> {
        fn of<T: DeserializeOwned>(
            json: &[u8],
            object: fn(Box<T>) -> Object,
        ) -> Result<(ListMetadata, Vec<Object>), serde_json::Error> {
            let list: List<T> = serde_json::from_slice(json)?;
            let items = list.items.into_iter().flatten();
            Ok((list.metadata, items.map(|item| object(Box::new(item))).collect()))
        }
        match self {
            Self::Node => of(json, Object::Node),
            Self::Service => of(json, Object::Service),
            Self::Pod => of(json, Object::Pod),
            Self::Endpoints => of(json, Object::Endpoints),
            Self::EndpointSlice => of(json, Object::EndpointSlice),
            Self::Ingress => of(json, Object::Ingress),
            Self::Namespace | Self::ReplicaSet | Self::Job => of(json, Object::Other),
        }
    }

    /// Reads the object of an event that tells of one.
    pub(super) fn read_event(self, json: &[u8]) -> Result<Object, serde_json::Error> {
        fn of<T: DeserializeOwned>(
            json: &[u8],
            object: fn(Box<T>) -> Object,
        ) -> Result<Object, serde_json::Error> {
            serde_json::from_slice(json).map(|event: WatchEvent<T>| object(Box::new(event.object)))
        }
        match self {
            Self::Node => of(json, Object::Node),
            Self::Service => of(json, Object::Service),
            Self::Pod => of(json, Object::Pod),
            Self::Endpoints => of(json, Object::Endpoints),
            Self::EndpointSlice => of(json, Object::EndpointSlice),
            Self::Ingress => of(json, Object::Ingress),
            Self::Namespace | Self::ReplicaSet | Self::Job => of(json, Object::Other),
        }
    }
}

#[derive(Debug, Deserialize)]
struct List<T> {
    metadata: ListMetadata,
    items: Option<Vec<T>>,
}

/// Where a list, an object or a bookmark stands, and what follows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMetadata {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) more: String,
}

/// A line of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct WatchEvent<T> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) object: T,
}

/// Names an object among those of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// Empty for what is in no namespace.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    Node(Box<Node>),
    Service(Box<Service>),
    Pod(Box<Pod>),
    Endpoints(Box<Endpoints>),
    EndpointSlice(Box<EndpointSlice>),
    Ingress(Box<Ingress>),
    /// One of which only the metadata count.
    Other(Box<Other>),
}

impl Object {
    pub(super) fn metadata(&self) -> &Metadata {
        match self {
            Self::Node(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::Pod(object) => &object.metadata,
            Self::Endpoints(object) => &object.metadata,
            Self::EndpointSlice(object) => &object.metadata,
            Self::Ingress(object) => &object.metadata,
            Self::Other(object) => &object.metadata,
        }
    }

    pub(super) fn key(&self) -> Key {
        let metadata = self.metadata();
        Key::new(&metadata.namespace, &metadata.name)
    }
}

macro_rules! objects {
    ($($(#[$about:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $of:ty,)* })*) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
            #[serde(default, rename_all = "camelCase")]
            pub(super) struct $name {
                $($(#[$attribute])* pub(super) $field: $of,)*
            }
        )*
    };
}

objects! {
    Metadata {
        name: String,
        namespace: String,
        uid: String,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<Owner>>,
    }
    /// Who made an object.
    Owner {
        kind: String,
        name: String,
        controller: Option<bool>,
    }
    /// What another object is called.
    Reference {
        kind: String,
        namespace: String,
        name: String,
    }
    Condition {
        #[serde(rename = "type")]
        kind: String,
        status: String,
    }
    Other {
        metadata: Metadata,
    }
    Node {
        metadata: Metadata,
        spec: NodeSpec,
        status: NodeStatus,
    }
    NodeSpec {
        #[serde(rename = "providerID")]
        provider_id: String,
    }
    NodeStatus {
        addresses: Option<Vec<NodeAddress>>,
        conditions: Option<Vec<Condition>>,
        daemon_endpoints: DaemonEndpoints,
    }
    NodeAddress {
        #[serde(rename = "type")]
        kind: String,
        address: String,
    }
    DaemonEndpoints {
        kubelet_endpoint: KubeletEndpoint,
    }
    KubeletEndpoint {
        #[serde(rename = "Port")]
        port: i64,
    }
    Service {
        metadata: Metadata,
        spec: ServiceSpec,
    }
    ServiceSpec {
        #[serde(rename = "type")]
        kind: String,
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        external_name: String,
        #[serde(rename = "loadBalancerIP")]
        load_balancer_ip: String,
        ports: Option<Vec<ServicePort>>,
        ip_families: Option<Vec<String>>,
        ip_family_policy: String,
    }
    ServicePort {
        name: String,
        protocol: String,
        port: i64,
    }
    Pod {
        metadata: Metadata,
        spec: PodSpec,
        status: PodStatus,
    }
    PodSpec {
        node_name: String,
        containers: Option<Vec<Container>>,
        init_containers: Option<Vec<Container>>,
    }
    Container {
        name: String,
        image: String,
        ports: Option<Vec<ContainerPort>>,
    }
    ContainerPort {
        name: String,
        protocol: String,
        container_port: i64,
    }
    PodStatus {
        phase: String,
        #[serde(rename = "podIP")]
        pod_ip: String,
        #[serde(rename = "hostIP")]
        host_ip: String,
        conditions: Option<Vec<Condition>>,
        container_statuses: Option<Vec<ContainerStatus>>,
        init_container_statuses: Option<Vec<ContainerStatus>>,
    }
    ContainerStatus {
        name: String,
        #[serde(rename = "containerID")]
        container_id: String,
    }
    Endpoints {
        metadata: Metadata,
        subsets: Option<Vec<Subset>>,
    }
    Subset {
        addresses: Option<Vec<EndpointAddress>>,
        not_ready_addresses: Option<Vec<EndpointAddress>>,
        ports: Option<Vec<ServicePort>>,
    }
    EndpointAddress {
        ip: String,
        hostname: String,
        node_name: Option<String>,
        target_ref: Option<Reference>,
    }
    EndpointSlice {
        metadata: Metadata,
        address_type: String,
        endpoints: Option<Vec<SliceEndpoint>>,
        ports: Option<Vec<SlicePort>>,
    }
    SliceEndpoint {
        addresses: Option<Vec<String>>,
        conditions: SliceConditions,
        hostname: Option<String>,
        node_name: Option<String>,
        zone: Option<String>,
        target_ref: Option<Reference>,
        deprecated_topology: Option<BTreeMap<String, String>>,
    }
    SliceConditions {
        ready: Option<bool>,
        serving: Option<bool>,
        terminating: Option<bool>,
    }
    SlicePort {
        name: Option<String>,
        protocol: Option<String>,
        port: Option<i64>,
        app_protocol: Option<String>,
    }
    Ingress {
        metadata: Metadata,
        spec: IngressSpec,
    }
    IngressSpec {
        ingress_class_name: Option<String>,
        rules: Option<Vec<IngressRule>>,
        tls: Option<Vec<IngressTls>>,
    }
    IngressRule {
        host: String,
        http: Option<IngressHttp>,
    }
    IngressHttp {
        paths: Option<Vec<IngressPath>>,
    }
    IngressPath {
        path: String,
    }
    IngressTls {
        hosts: Option<Vec<String>>,
    }
}

impl Metadata {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// The one owner that made the object and looks after it.
    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
    }
}
