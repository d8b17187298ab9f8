//! Objects as Kubernetes shows them, and the meta labels that Prometheus' documentation promises for them.

use super::super::objects::{Kind, Object};
use super::super::store::Objects;
use super::super::{Attach, targets};
use crate::testing::check_targets;

fn object(kind: Kind, json: &str) -> Object {
    let event = format!("{{\"type\": \"ADDED\", \"object\": {json}}}");
    kind.read_event(event.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
}

const ALL: Attach = Attach { node: true, namespace: true, deployment: true, job: true, cronjob: true };

#[track_caller]
fn check(kind: Kind, json: &str, attach: Attach, others: &[(Kind, &str)], want: &str) {
    let mut objects = Objects::default();
    for (kind, json) in others {
        objects.insert(*kind, object(*kind, json));
    }
    let group = targets::group(&object(kind, json), attach, &mut objects);
    check_targets(&group, want);
}

const NODE: &str = r#"{"metadata": {"name": "n1", "labels": {"zone/x": "eu"}, "annotations": {"a.b": "c"}},
    "spec": {"providerID": "aws:///eu/i-1"},
    "status": {"addresses": [{"type": "Hostname", "address": "n1.local"}, {"type": "InternalIP", "address": "1.2.3.4"},
      {"type": "InternalIP", "address": "1.2.3.5"}],
      "conditions": [{"type": "Ready", "status": "True"}],
      "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}}"#;

#[test]
fn nodes() {
    check(
        Kind::Node,
        NODE,
        Attach::default(),
        &[],
        "__address__=1.2.3.4:10250
         __meta_kubernetes_node_address_Hostname=n1.local
         __meta_kubernetes_node_address_InternalIP=1.2.3.4
         __meta_kubernetes_node_annotation_a_b=c
         __meta_kubernetes_node_annotationpresent_a_b=true
         __meta_kubernetes_node_condition_ready=true
         __meta_kubernetes_node_label_zone_x=eu
         __meta_kubernetes_node_labelpresent_zone_x=true
         __meta_kubernetes_node_name=n1
         __meta_kubernetes_node_provider_id=aws:///eu/i-1
         instance=n1",
    );
    check(Kind::Node, r#"{"metadata": {"name": "n"}, "status": {}}"#, Attach::default(), &[], "");
}

#[test]
fn services() {
    let service = |kind: &str| {
        format!(
            r#"{{"metadata": {{"name": "web", "namespace": "d", "labels": {{"app": "x"}}}},
              "spec": {{"type": "{kind}", "clusterIP": "10.0.0.1", "externalName": "e.example", "loadBalancerIP": "9.9.9.9",
              "ports": [{{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web"}}]}}}}"#
        )
    };
    let common = "__address__=web.d.svc:80
         __meta_kubernetes_namespace=d";
    let rest = "__meta_kubernetes_service_label_app=x
         __meta_kubernetes_service_labelpresent_app=true";
    let port = "__meta_kubernetes_service_name=web
         __meta_kubernetes_service_port_name=http
         __meta_kubernetes_service_port_number=80
         __meta_kubernetes_service_port_protocol=TCP";
    let ip = "__meta_kubernetes_service_cluster_ip=10.0.0.1";
    for (kind, want) in [
        ("ClusterIP", format!("{common}\n{ip}\n{rest}\n{port}")),
        (
            "LoadBalancer",
            format!("{common}\n{ip}\n{rest}\n__meta_kubernetes_service_loadbalancer_ip=9.9.9.9\n{port}"),
        ),
        (
            "ExternalName",
            format!("{common}\n__meta_kubernetes_service_external_name=e.example\n{rest}\n{port}"),
        ),
    ] {
        let want = format!("{want}\n__meta_kubernetes_service_type={kind}");
        check(Kind::Service, &service(kind), Attach::default(), &[], &want);
    }
}

const POD: &str = r#"{"metadata": {"name": "p", "namespace": "d", "uid": "u1", "labels": {"app": "x"},
      "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": true}]},
    "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "c:1",
        "ports": [{"name": "http", "protocol": "TCP", "containerPort": 80}, {"protocol": "UDP", "containerPort": 53}]}],
      "initContainers": [{"name": "i", "image": "i:1"}]},
    "status": {"podIP": "4.3.2.1", "hostIP": "1.2.3.4", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
      "containerStatuses": [{"name": "c", "containerID": "containerd://a1"}], "initContainerStatuses": null}}"#;

/// Labels that every target of the pod has, in two parts between which those of containers stand.
const POD_LABELS: &str = "__meta_kubernetes_pod_controller_kind=ReplicaSet
    __meta_kubernetes_pod_controller_name=web-1
    __meta_kubernetes_pod_host_ip=1.2.3.4
    __meta_kubernetes_pod_ip=4.3.2.1
    __meta_kubernetes_pod_label_app=x
    __meta_kubernetes_pod_labelpresent_app=true
    __meta_kubernetes_pod_name=p
    __meta_kubernetes_pod_node_name=n1
    __meta_kubernetes_pod_phase=Running
    __meta_kubernetes_pod_ready=true
    __meta_kubernetes_pod_uid=u1";

#[test]
fn pods() {
    let want = format!(
        "__address__=4.3.2.1:80
         __meta_kubernetes_namespace=d
         __meta_kubernetes_pod_container_id=containerd://a1
         __meta_kubernetes_pod_container_image=c:1
         __meta_kubernetes_pod_container_init=false
         __meta_kubernetes_pod_container_name=c
         __meta_kubernetes_pod_container_port_name=http
         __meta_kubernetes_pod_container_port_number=80
         __meta_kubernetes_pod_container_port_protocol=TCP
         {POD_LABELS}

         __address__=4.3.2.1:53
         __meta_kubernetes_namespace=d
         __meta_kubernetes_pod_container_id=containerd://a1
         __meta_kubernetes_pod_container_image=c:1
         __meta_kubernetes_pod_container_init=false
         __meta_kubernetes_pod_container_name=c
         __meta_kubernetes_pod_container_port_number=53
         __meta_kubernetes_pod_container_port_protocol=UDP
         {POD_LABELS}

         __address__=4.3.2.1
         __meta_kubernetes_namespace=d
         __meta_kubernetes_pod_container_image=i:1
         __meta_kubernetes_pod_container_init=true
         __meta_kubernetes_pod_container_name=i
         {POD_LABELS}"
    );
    check(Kind::Pod, POD, Attach::default(), &[], &want);
    let starting = r#"{"metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": [{"name": "c"}]}, "status": {}}"#;
    check(Kind::Pod, starting, Attach::default(), &[], "");
}

#[test]
fn what_is_attached_to_pods() {
    let simple = r#"{"metadata": {"name": "p", "namespace": "d",
          "ownerReferences": [{"kind": "KIND", "name": "owner", "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}]}, "status": {"podIP": "4.3.2.1"}}"#;
    let namespace = r#"{"metadata": {"name": "d", "labels": {"team": "x"}}}"#;
    let owned = |kind: &str| {
        format!(
            r#"{{"metadata": {{"name": "owner", "namespace": "d",
              "ownerReferences": [{{"kind": "{kind}", "name": "whole", "controller": true}}]}}}}"#
        )
    };
    let (replicas, job) = (owned("Deployment"), owned("CronJob"));
    let others = [
        (Kind::Node, r#"{"metadata": {"name": "n1", "labels": {"zone": "eu"}}}"#),
        (Kind::Namespace, namespace),
        (Kind::ReplicaSet, replicas.as_str()),
        (Kind::Job, job.as_str()),
    ];
    let want = |cron: &str, kind: &str, last: &str| {
        format!(
            "__address__=4.3.2.1
             __meta_kubernetes_namespace=d
             __meta_kubernetes_namespace_label_team=x
             __meta_kubernetes_namespace_labelpresent_team=true
             __meta_kubernetes_node_label_zone=eu
             __meta_kubernetes_node_labelpresent_zone=true
             __meta_kubernetes_node_name=n1
             __meta_kubernetes_pod_container_init=false
             __meta_kubernetes_pod_container_name=c
             __meta_kubernetes_pod_controller_kind={kind}
             __meta_kubernetes_pod_controller_name=owner
             {cron}
             __meta_kubernetes_pod_ip=4.3.2.1
             {last}
             __meta_kubernetes_pod_name=p
             __meta_kubernetes_pod_node_name=n1
             __meta_kubernetes_pod_ready=unknown"
        )
    };
    let lines =
        |text: String| text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n");
    let job_want = lines(want(
        "__meta_kubernetes_pod_cronjob_name=whole",
        "Job",
        "__meta_kubernetes_pod_job_name=owner",
    ));
    check(Kind::Pod, &simple.replace("KIND", "Job"), ALL, &others, &job_want);
    let deployment = "__meta_kubernetes_pod_deployment_name=whole";
    let deployed = lines(want(deployment, "ReplicaSet", ""));
    check(Kind::Pod, &simple.replace("KIND", "ReplicaSet"), ALL, &others, &deployed);
    // A selector of nodes leaves out the pods of others.
    check(Kind::Pod, &simple.replace("KIND", "ReplicaSet"), ALL, &others[1..], "");
}

#[test]
fn ingresses() {
    let ingress = r#"{"metadata": {"name": "i", "namespace": "d"}, "spec": {"ingressClassName": "nginx",
        "tls": [{"hosts": ["*.example.com"]}],
        "rules": [{"host": "a.example.com", "http": {"paths": [{"path": "/x"}, {"path": ""}]}},
          {"host": "b.a.example.com", "http": null}]}}"#;
    let target = |host: &str, scheme: &str, path: &str| {
        format!(
            "__address__={host}
             __meta_kubernetes_ingress_class_name=nginx
             __meta_kubernetes_ingress_host={host}
             __meta_kubernetes_ingress_name=i
             __meta_kubernetes_ingress_path={path}
             __meta_kubernetes_ingress_scheme={scheme}
             __meta_kubernetes_namespace=d"
        )
    };
    let want = [
        target("a.example.com", "https", "/x"),
        target("a.example.com", "https", "/"),
        target("b.a.example.com", "http", "/"),
    ];
    check(Kind::Ingress, ingress, Attach::default(), &[], &want.join("\n\n"));
}

const SERVICE: &str =
    r#"{"metadata": {"name": "web", "namespace": "d", "labels": {"s": "1"}}, "spec": {"type": "ClusterIP"}}"#;

#[test]
fn endpoints_with_their_service_and_the_other_ports_of_their_pods() {
    let endpoints = r#"{"metadata": {"name": "web", "namespace": "d", "labels": {"e": "1"}}, "subsets": [
        {"addresses": [{"ip": "4.3.2.1", "hostname": "h1", "nodeName": "n1",
            "targetRef": {"kind": "Pod", "namespace": "d", "name": "p"}}],
          "notReadyAddresses": [{"ip": "5.5.5.5"}],
          "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}]}"#;
    let service = "__meta_kubernetes_service_label_s=1
         __meta_kubernetes_service_labelpresent_s=true
         __meta_kubernetes_service_name=web";
    let endpoints_labels = "__meta_kubernetes_endpoints_label_e=1
         __meta_kubernetes_endpoints_labelpresent_e=true
         __meta_kubernetes_endpoints_name=web
         __meta_kubernetes_namespace=d";
    let want = format!(
        "__address__=4.3.2.1:80
         __meta_kubernetes_endpoint_address_target_kind=Pod
         __meta_kubernetes_endpoint_address_target_name=p
         __meta_kubernetes_endpoint_hostname=h1
         __meta_kubernetes_endpoint_node_name=n1
         __meta_kubernetes_endpoint_port_name=http
         __meta_kubernetes_endpoint_port_protocol=TCP
         __meta_kubernetes_endpoint_ready=true
         {endpoints_labels}
         __meta_kubernetes_pod_container_image=c:1
         __meta_kubernetes_pod_container_name=c
         __meta_kubernetes_pod_container_port_name=http
         __meta_kubernetes_pod_container_port_number=80
         __meta_kubernetes_pod_container_port_protocol=TCP
         {POD_LABELS}
         {service}

         __address__=5.5.5.5:80
         __meta_kubernetes_endpoint_port_name=http
         __meta_kubernetes_endpoint_port_protocol=TCP
         __meta_kubernetes_endpoint_ready=false
         {endpoints_labels}
         {service}

         __address__=4.3.2.1:53
         {endpoints_labels}
         __meta_kubernetes_pod_container_image=c:1
         __meta_kubernetes_pod_container_name=c
         __meta_kubernetes_pod_container_port_number=53
         __meta_kubernetes_pod_container_port_protocol=UDP
         {POD_LABELS}
         {service}"
    );
    check(
        Kind::Endpoints,
        endpoints,
        Attach::default(),
        &[(Kind::Service, SERVICE), (Kind::Pod, POD)],
        &want,
    );
}

#[test]
fn slices_with_conditions_zones_and_nodes() {
    let slice = r#"{"metadata": {"name": "web-x", "namespace": "d", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 80, "protocol": "TCP", "appProtocol": "h2c"}],
        "endpoints": [{"addresses": ["4.3.2.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
          "hostname": "h1", "nodeName": "n1", "zone": "eu-a", "deprecatedTopology": {"kubernetes.io/hostname": "n1"},
          "targetRef": {"kind": "Node", "name": "n1"}}]}"#;
    let want = "__address__=4.3.2.1:80
         __meta_kubernetes_endpointslice_address_target_kind=Node
         __meta_kubernetes_endpointslice_address_target_name=n1
         __meta_kubernetes_endpointslice_address_type=IPv4
         __meta_kubernetes_endpointslice_endpoint_conditions_ready=true
         __meta_kubernetes_endpointslice_endpoint_conditions_serving=true
         __meta_kubernetes_endpointslice_endpoint_conditions_terminating=false
         __meta_kubernetes_endpointslice_endpoint_hostname=h1
         __meta_kubernetes_endpointslice_endpoint_node_name=n1
         __meta_kubernetes_endpointslice_endpoint_topology_kubernetes_io_hostname=n1
         __meta_kubernetes_endpointslice_endpoint_topology_present_kubernetes_io_hostname=true
         __meta_kubernetes_endpointslice_endpoint_zone=eu-a
         __meta_kubernetes_endpointslice_label_kubernetes_io_service_name=web
         __meta_kubernetes_endpointslice_labelpresent_kubernetes_io_service_name=true
         __meta_kubernetes_endpointslice_name=web-x
         __meta_kubernetes_endpointslice_port=80
         __meta_kubernetes_endpointslice_port_app_protocol=h2c
         __meta_kubernetes_endpointslice_port_name=http
         __meta_kubernetes_endpointslice_port_protocol=TCP
         __meta_kubernetes_namespace=d
         __meta_kubernetes_node_annotation_a_b=c
         __meta_kubernetes_node_annotationpresent_a_b=true
         __meta_kubernetes_node_label_zone_x=eu
         __meta_kubernetes_node_labelpresent_zone_x=true
         __meta_kubernetes_node_name=n1
         __meta_kubernetes_service_label_s=1
         __meta_kubernetes_service_labelpresent_s=true
         __meta_kubernetes_service_name=web";
    let attach = Attach { node: true, ..Attach::default() };
    check(Kind::EndpointSlice, slice, attach, &[(Kind::Service, SERVICE), (Kind::Node, NODE)], want);
    // The second family of a service with both has no targets of its own.
    let dual = r#"{"metadata": {"name": "web", "namespace": "d"},
        "spec": {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]}}"#;
    check(Kind::EndpointSlice, slice, attach, &[(Kind::Service, dual), (Kind::Node, NODE)], "");
    let empty = r#"{"metadata": {"name": "e", "namespace": "d"}, "addressType": "IPv4", "endpoints": null, "ports": null}"#;
    check(Kind::EndpointSlice, empty, attach, &[], "");
}
