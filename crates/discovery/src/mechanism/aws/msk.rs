//! The role `msk` of `aws_sd_configs`: nodes of Kafka clusters (Managed Streaming for Apache Kafka), a target an endpoint.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use model::Labels;
use serde::Deserialize;

use super::unified::Settings;
use super::{Access, who};
use crate::fetch::{Fault, PAGES_MAX};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::Refresh;

/// The name of the service in its host and in signatures.
const SERVICE: &str = "kafka";
/// Requests at a time, if the section does not say.
const CONCURRENCY: usize = 10;
/// Only such clusters have nodes.
const PROVISIONED: &str = "PROVISIONED";

#[derive(Debug)]
pub(super) struct Source {
    access: Access,
    clusters: Vec<String>,
    concurrency: usize,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Clusters {
    cluster_info_list: Vec<Cluster>,
    next_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Described {
    cluster_info: Cluster,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Cluster {
    cluster_arn: String,
    cluster_name: String,
    cluster_type: String,
    current_version: String,
    state: String,
    tags: BTreeMap<String, String>,
    provisioned: Provisioned,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Provisioned {
    current_broker_software_info: Software,
    open_monitoring: OpenMonitoring,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Software {
    kafka_version: String,
    configuration_arn: Option<String>,
    configuration_revision: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OpenMonitoring {
    prometheus: Exporters,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exporters {
    jmx_exporter: Option<Exporter>,
    node_exporter: Option<Exporter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exporter {
    enabled_in_broker: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Nodes {
    node_info_list: Vec<Node>,
    next_token: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Node {
    #[serde(rename = "nodeARN")]
    arn: String,
    added_to_cluster_time: String,
    instance_type: String,
    broker_node_info: Option<Broker>,
    controller_node_info: Option<Controller>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Broker {
    #[serde(rename = "attachedENIId")]
    attached_eni: String,
    broker_id: f64,
    client_subnet: String,
    client_vpc_ip_address: String,
    endpoints: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Controller {
    endpoints: Vec<String>,
}

impl Source {
    pub(super) fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let access = Access::new(&who!(settings), &settings.http, settings.refresh_interval, shared)?;
        let concurrency = match settings.request_concurrency {
            0 => CONCURRENCY,
            set => usize::try_from(set).unwrap_or(CONCURRENCY),
        };
        Ok(Self { access, clusters: settings.clusters.clone(), concurrency, port: settings.port })
    }

    /// Those of the section, or all.
    async fn clusters(&self) -> Result<Vec<Cluster>, Fault> {
        if !self.clusters.is_empty() {
            let describe = |arn: &String| {
                let path = format!("api/v2/clusters/{}", escaped(arn));
                async move { self.access.get(SERVICE, &path).await?.json::<Described>() }
            };
            let asks: Vec<_> = self.clusters.iter().map(describe).collect();
            let all: Vec<Described> = stream::iter(asks).buffered(self.concurrency).try_collect().await?;
            let clusters = all.into_iter().map(|described| described.cluster_info);
            return Ok(clusters.filter(|cluster| cluster.cluster_type == PROVISIONED).collect());
        }
        let (mut all, mut next) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let path = format!("api/v2/clusters?clusterTypeFilter={PROVISIONED}&maxResults=100{next}");
            let page: Clusters = self.access.get(SERVICE, &path).await?.json()?;
            all.extend(page.cluster_info_list);
            if page.next_token.is_empty() {
                break;
            }
            next = format!("&nextToken={}", escaped(&page.next_token));
        }
        Ok(all)
    }

    async fn nodes(&self, cluster: &Cluster) -> Result<Vec<Node>, Fault> {
        let (mut all, mut next) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let path = format!("v1/clusters/{}/nodes?maxResults=100{next}", escaped(&cluster.cluster_arn));
            let page: Nodes = self.access.get(SERVICE, &path).await?.json()?;
            all.extend(page.node_info_list);
            if page.next_token.is_empty() {
                break;
            }
            next = format!("&nextToken={}", escaped(&page.next_token));
        }
        Ok(all)
    }

    fn targets(&self, cluster: &Cluster, node: &Node) -> Vec<Labels> {
        let Provisioned { current_broker_software_info: software, open_monitoring } = &cluster.provisioned;
        let exporters = &open_monitoring.prometheus;
        let enabled = |exporter: &Option<Exporter>| exporter.as_ref().map(|it| it.enabled_in_broker);
        let mut meta = Meta::new("__meta_msk_");
        meta.set("cluster_name", &cluster.cluster_name)
            .set("cluster_arn", &cluster.cluster_arn)
            .set("cluster_state", &cluster.state)
            .set("cluster_type", &cluster.cluster_type)
            .set("cluster_version", &cluster.current_version)
            .set("cluster_kafka_version", &software.kafka_version)
            .set_some("cluster_configuration_arn", software.configuration_arn.as_ref())
            .set_some("cluster_configuration_revision", software.configuration_revision)
            .set_some("cluster_jmx_exporter_enabled", enabled(&exporters.jmx_exporter))
            .set_each("cluster_tag_", &cluster.tags)
            .set("node_arn", &node.arn)
            .set("node_added_time", &node.added_to_cluster_time)
            .set("node_instance_type", &node.instance_type);
        let (endpoints, index) = match (&node.broker_node_info, &node.controller_node_info) {
            (Some(broker), _) => {
                meta.set("node_type", "BROKER")
                    .set("node_attached_eni", &broker.attached_eni)
                    .set("broker_id", format_args!("{:.0}", broker.broker_id))
                    .set("broker_client_subnet", &broker.client_subnet)
                    .set("broker_client_vpc_ip", &broker.client_vpc_ip_address)
                    .set_some("broker_node_exporter_enabled", enabled(&exporters.node_exporter));
                (&broker.endpoints, "broker_endpoint_index")
            }
            (None, Some(controller)) => {
                meta.set("node_type", "CONTROLLER");
                (&controller.endpoints, "controller_endpoint_index")
            }
            (None, None) => return Vec::new(),
        };
        let target = |(at, endpoint): (usize, &String)| {
            let mut meta = meta.clone();
            meta.address(endpoint, self.port).set(index, at);
            meta.build()
        };
        endpoints.iter().enumerate().map(target).collect()
    }
}

/// As one part of a path, or the value of a parameter.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let region = self.access.region().await?;
        let clusters = self.clusters().await?;
        let asks: Vec<_> = clusters.iter().map(|cluster| self.nodes(cluster)).collect();
        let nodes: Vec<Vec<Node>> = stream::iter(asks).buffered(self.concurrency).try_collect().await?;
        let mut targets = Vec::new();
        for (cluster, nodes) in clusters.iter().zip(&nodes) {
            targets.extend(nodes.iter().flat_map(|node| self.targets(cluster, node)));
        }
        Ok(vec![TargetGroup::of_targets(region, targets)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, check_targets, settings, shared};

    #[tokio::test]
    async fn endpoints_of_nodes_of_all_clusters_or_of_those_named() {
        let (server, recorded) = Server::recorded(include_str!("../../../testdata/msk.txt")).await;
        for clusters in ["[]", "['arn:aws:kafka:eu-central-1:1:cluster/logs/a-1', 'arn:serverless']"] {
            let text = format!(
                "{{role: msk, region: eu-central-1, access_key: A, secret_key: s, port: 11001, clusters: {clusters}, endpoint: '{}'}}",
                server.url
            );
            let settings: Settings = settings(&text);
            let mut source = Source::new(&settings, &shared(&[])).unwrap();
            check_targets(&source.refresh().await.unwrap(), recorded.targets("msk"));
        }
    }
}
