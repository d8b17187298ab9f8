//! The role `ecs` of `aws_sd_configs`: tasks of services of Elastic Container Service.
//!
//! Map: here clusters, services, tasks · [`hosts`] the machines and network interfaces that tasks run on.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use model::Labels;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::hosts::Hosts;
use super::unified::Settings;
use super::{Access, Who, who};
use crate::fetch::{Fault, PAGES_MAX};
use crate::group::TargetGroup;
use crate::meta::Meta;
use crate::place::Shared;
use crate::refresh::Refresh;

mod hosts;

/// Requests at a time, if the section does not say.
const CONCURRENCY: usize = 20;
/// How many of a kind may be asked about at once.
const CLUSTERS_MAX: usize = 100;
const SERVICES_MAX: usize = 10;
const TASKS_MAX: usize = 100;

#[derive(Debug)]
pub(super) struct Source {
    ecs: Access,
    ec2: Access,
    clusters: Vec<String>,
    concurrency: usize,
    port: u16,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tag {
    key: String,
    value: String,
}

fn pairs(tags: &[Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Cluster {
    cluster_arn: String,
    cluster_name: String,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Service {
    cluster_arn: String,
    service_arn: String,
    service_name: String,
    status: String,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Task {
    task_arn: String,
    task_definition_arn: String,
    group: String,
    availability_zone: String,
    desired_status: String,
    last_status: String,
    health_status: String,
    launch_type: String,
    platform_family: String,
    platform_version: String,
    container_instance_arn: String,
    attachments: Vec<Attachment>,
    tags: Vec<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attachment {
    #[serde(rename = "type")]
    kind: String,
    details: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    name: String,
    value: String,
}

impl Task {
    /// What is known of its own network interface; `None` if it shares that of its machine.
    fn interface(&self) -> Option<&Attachment> {
        self.attachments.iter().find(|attachment| attachment.kind == "ElasticNetworkInterface")
    }
}

impl Attachment {
    fn detail(&self, name: &str) -> &str {
        self.details.iter().find(|detail| detail.name == name).map_or("", |detail| detail.value.as_str())
    }
}

impl Source {
    pub(super) fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let ecs = Access::new(&who!(settings), &settings.http, settings.refresh_interval, shared)?;
        // A section's endpoint is that of ECS.
        let endpoint = shared.environment.get("AWS_ENDPOINT_URL_EC2").unwrap_or_default();
        let who = Who { endpoint: &endpoint, ..who!(settings) };
        let ec2 = Access::new(&who, &settings.http, settings.refresh_interval, shared)?;
        let concurrency = match settings.request_concurrency {
            0 => CONCURRENCY,
            set => usize::try_from(set).unwrap_or(CONCURRENCY),
        };
        Ok(Self { ecs, ec2, clusters: settings.clusters.clone(), concurrency, port: settings.port })
    }

    async fn ask(&self, target: &'static str, body: &Value) -> Result<BTreeMap<String, Value>, Fault> {
        let answer =
            self.ecs.send("ecs", "application/x-amz-json-1.1", Some(target), body.to_string()).await?;
        answer.json()
    }

    /// All pages of a list of names.
    async fn list(&self, target: &'static str, key: &str, mut body: Value) -> Result<Vec<String>, Fault> {
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let mut page = self.ask(target, &body).await?;
            let names = page.remove(key).unwrap_or(Value::Array(Vec::new()));
            let names: Vec<String> = understood(target, names)?;
            all.extend(names);
            match page.remove("nextToken") {
                Some(next) => body["nextToken"] = next,
                None => break,
            }
        }
        Ok(all)
    }

    /// What is known of things by their names, so many at a time. The names go under the key that the answer has.
    async fn describe<T: DeserializeOwned>(
        &self,
        target: &'static str,
        key: &str,
        names: &[String],
        most: usize,
        mut body: Value,
    ) -> Result<Vec<T>, Fault> {
        let mut all = Vec::new();
        for names in names.chunks(most) {
            body[key] = names.into();
            let mut answer = self.ask(target, &body).await?;
            let items = answer.remove(key).unwrap_or(Value::Array(Vec::new()));
            let items: Vec<T> = understood(target, items)?;
            all.extend(items);
        }
        Ok(all)
    }

    async fn tasks(&self, cluster: &str, service: &str) -> Result<Vec<Task>, Fault> {
        let body = json!({ "cluster": cluster, "serviceName": service });
        let names = self.list("AmazonEC2ContainerServiceV20141113.ListTasks", "taskArns", body).await?;
        let body = json!({ "cluster": cluster, "include": ["TAGS"] });
        let target = "AmazonEC2ContainerServiceV20141113.DescribeTasks";
        self.describe(target, "tasks", &names, TASKS_MAX, body).await
    }

    /// Services of a cluster, each with its tasks.
    async fn services(&self, cluster: &str) -> Result<Vec<(Service, Vec<Task>)>, Fault> {
        let target = "AmazonEC2ContainerServiceV20141113.ListServices";
        let names = self.list(target, "serviceArns", json!({ "cluster": cluster })).await?;
        let body = json!({ "cluster": cluster, "include": ["TAGS"] });
        let target = "AmazonEC2ContainerServiceV20141113.DescribeServices";
        let services: Vec<Service> = self.describe(target, "services", &names, SERVICES_MAX, body).await?;
        let mut asks = Vec::new();
        for service in &services {
            asks.push(self.tasks(cluster, &service.service_name));
        }
        let tasks: Vec<Vec<Task>> = stream::iter(asks).buffered(self.concurrency).try_collect().await?;
        Ok(services.into_iter().zip(tasks).collect())
    }

    /// A task without an address is no target.
    fn target(
        &self,
        region: &str,
        cluster: Option<&Cluster>,
        service: &Service,
        task: &Task,
        hosts: &Hosts,
    ) -> Option<Labels> {
        let mut meta = Meta::new("__meta_ecs_");
        let host = hosts.of(task);
        let (address, subnet, public, mode) = match (task.interface(), host) {
            (Some(own), _) => {
                let public = hosts.public_ip(own.detail("networkInterfaceId"));
                (own.detail("privateIPv4Address"), own.detail("subnetId"), public, "awsvpc")
            }
            (None, Some(host)) => (
                host.private_ip_address.as_str(),
                host.subnet_id.as_str(),
                host.ip_address.as_str(),
                "bridge",
            ),
            (None, None) => return None,
        };
        if address.is_empty() {
            return None;
        }
        meta.address(address, self.port)
            .set("cluster_arn", &service.cluster_arn)
            .set("service", &service.service_name)
            .set("service_arn", &service.service_arn)
            .set("service_status", &service.status)
            .set("task_group", &task.group)
            .set("task_arn", &task.task_arn)
            .set("task_definition", &task.task_definition_arn)
            .set("ip_address", address)
            .set("region", region)
            .set("launch_type", &task.launch_type)
            .set("availability_zone", &task.availability_zone)
            .set("desired_status", &task.desired_status)
            .set("last_status", &task.last_status)
            .set("health_status", &task.health_status)
            .set("network_mode", mode)
            .set("subnet_id", subnet)
            .set("public_ip", public)
            .set("container_instance_arn", &task.container_instance_arn)
            .set("platform_family", &task.platform_family)
            .set("platform_version", &task.platform_version)
            .set_each("tag_service_", pairs(&service.tags))
            .set_each("tag_task_", pairs(&task.tags));
        if let Some(cluster) = cluster {
            meta.set("cluster", &cluster.cluster_name).set_each("tag_cluster_", pairs(&cluster.tags));
        }
        if let Some(host) = host {
            host.set(&mut meta);
        }
        Some(meta.build())
    }
}

fn understood<T: DeserializeOwned>(target: &str, value: Value) -> Result<T, Fault> {
    serde_json::from_value(value)
        .map_err(|error| Fault::Other(format!("cannot understand the answer to {target}: {error}")))
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        let region = self.ecs.region().await?;
        let mut names = self.clusters.clone();
        if names.is_empty() {
            let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
            names = self.list(target, "clusterArns", json!({})).await?;
        }
        let target = "AmazonEC2ContainerServiceV20141113.DescribeClusters";
        let body = json!({ "include": ["TAGS"] });
        let clusters: Vec<Cluster> = self.describe(target, "clusters", &names, CLUSTERS_MAX, body).await?;
        let mut targets = Vec::new();
        for name in &names {
            let services = self.services(name).await?;
            let tasks = services.iter().flat_map(|(_, tasks)| tasks);
            let hosts = self.hosts(name, &tasks.collect::<Vec<&Task>>()).await?;
            for (service, tasks) in &services {
                let cluster = clusters.iter().find(|cluster| cluster.cluster_arn == service.cluster_arn);
                let own =
                    tasks.iter().filter_map(|task| self.target(&region, cluster, service, task, &hosts));
                targets.extend(own);
            }
        }
        Ok(vec![TargetGroup::of_targets(region, targets)])
    }
}

#[cfg(test)]
mod tests;
