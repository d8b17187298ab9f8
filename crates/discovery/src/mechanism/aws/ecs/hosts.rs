//! Machines and network interfaces of EC2 that tasks run on.

use std::collections::{BTreeMap, BTreeSet};

use http_client::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Source, Task};
use crate::fetch::Fault;
use crate::mechanism::aws::ec2::{Items, VERSION};
use crate::meta::Meta;

/// How many of a kind are asked about at once.
const ASKED_MAX: usize = 100;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// By the name of the container instance.
    machines: BTreeMap<String, Machine>,
    /// Public addresses by the id of the interface.
    public: BTreeMap<String, String>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Machine {
    instance_id: String,
    instance_type: String,
    pub(super) subnet_id: String,
    pub(super) private_ip_address: String,
    pub(super) ip_address: String,
    tag_set: Items<Tag>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Tag {
    key: String,
    value: String,
}

impl Machine {
    pub(super) fn set(&self, meta: &mut Meta) {
        meta.set("ec2_instance_id", &self.instance_id)
            .set("ec2_instance_type", &self.instance_type)
            .set("ec2_instance_private_ip", &self.private_ip_address)
            .set("ec2_instance_public_ip", &self.ip_address)
            .set_each("tag_ec2_", self.tag_set.item.iter().map(|tag| (&tag.key, &tag.value)));
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerInstance {
    container_instance_arn: String,
    ec2_instance_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Machines {
    reservation_set: Items<Reservation>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reservation {
    instances_set: Items<Machine>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Interfaces {
    network_interface_set: Items<Interface>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Interface {
    network_interface_id: String,
    association: Association,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Association {
    public_ip: String,
}

impl Hosts {
    pub(super) fn of(&self, task: &Task) -> Option<&Machine> {
        self.machines.get(&task.container_instance_arn)
    }

    /// Empty if there is none.
    pub(super) fn public_ip(&self, interface: &str) -> &str {
        self.public.get(interface).map_or("", String::as_str)
    }
}

/// What needs permissions of its own may be refused: then its labels are missing.
fn unless_refused<T: Default>(found: Result<T, Fault>) -> Result<T, Fault> {
    match found {
        Err(fault) if fault.status().is_some_and(|status| status.is_client_error()) => {
            tracing::warn!(%fault, "what tasks run on cannot be had");
            Ok(T::default())
        }
        other => other,
    }
}

impl Source {
    /// Asks EC2 about things by their ids.
    async fn ask_ec2<T: DeserializeOwned>(
        &self,
        action: &str,
        name: &str,
        ids: &BTreeSet<&str>,
    ) -> Result<Vec<T>, Fault> {
        let ids: Vec<&str> = ids.iter().copied().collect();
        let mut all = Vec::new();
        for ids in ids.chunks(ASKED_MAX) {
            let mut form = Url::parse("http://form/").map_err(|error| Fault::Other(error.to_string()))?;
            form.query_pairs_mut().append_pair("Action", action).append_pair("Version", VERSION);
            for (i, id) in ids.iter().enumerate() {
                form.query_pairs_mut().append_pair(&format!("{name}.{}", i + 1), id);
            }
            let body = form.query().unwrap_or("").to_owned();
            let kind = "application/x-www-form-urlencoded; charset=utf-8";
            all.push(self.ec2.send("ec2", kind, None, body).await?.xml()?);
        }
        Ok(all)
    }

    async fn machines(&self, cluster: &str, tasks: &[&Task]) -> Result<BTreeMap<String, Machine>, Fault> {
        let names: BTreeSet<&str> = tasks.iter().map(|task| task.container_instance_arn.as_str()).collect();
        let names: Vec<String> =
            names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let target = "AmazonEC2ContainerServiceV20141113.DescribeContainerInstances";
        let key = "containerInstances";
        let body = json!({ "cluster": cluster });
        let instances: Vec<ContainerInstance> = self.describe(target, key, &names, ASKED_MAX, body).await?;
        let ids =
            instances.iter().map(|own| own.ec2_instance_id.as_str()).filter(|id| !id.is_empty()).collect();
        let pages: Vec<Machines> = self.ask_ec2("DescribeInstances", "InstanceId", &ids).await?;
        let reservations = pages.into_iter().flat_map(|page| page.reservation_set.item);
        let machines = reservations.flat_map(|reservation| reservation.instances_set.item);
        let machines: BTreeMap<String, Machine> =
            machines.map(|machine| (machine.instance_id.clone(), machine)).collect();
        let known = instances.into_iter().filter_map(|own| {
            let machine = machines.get(&own.ec2_instance_id)?.clone();
            Some((own.container_instance_arn, machine))
        });
        Ok(known.collect())
    }

    async fn public(&self, tasks: &[&Task]) -> Result<BTreeMap<String, String>, Fault> {
        let ids = tasks.iter().filter_map(|task| Some(task.interface()?.detail("networkInterfaceId")));
        let ids = ids.filter(|id| !id.is_empty()).collect();
        let pages: Vec<Interfaces> =
            self.ask_ec2("DescribeNetworkInterfaces", "NetworkInterfaceId", &ids).await?;
        let interfaces = pages.into_iter().flat_map(|page| page.network_interface_set.item);
        Ok(interfaces.map(|own| (own.network_interface_id, own.association.public_ip)).collect())
    }

    pub(super) async fn hosts(&self, cluster: &str, tasks: &[&Task]) -> Result<Hosts, Fault> {
        let machines = unless_refused(self.machines(cluster, tasks).await)?;
        let public = unless_refused(self.public(tasks).await)?;
        Ok(Hosts { machines, public })
    }
}
