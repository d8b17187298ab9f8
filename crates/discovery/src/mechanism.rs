//! Mechanisms that ask others: one file or folder each, and here the list of them.
//!
//! A mechanism is a type that serde reads from its section, with what it checks, and a task that runs until it is
//! aborted. Most are asked at an interval ([`crate::refresh`]); some watch.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use http_client::InvalidSettings;
use serde::de::MapAccess;

use crate::place::{Publisher, Shared};

/// The parts of [`Configured`] that are the same for most: settings with the fields `refresh_interval` and `http`, and a
/// `Source` that is made of them.
macro_rules! asked_at_intervals {
    () => {
        fn set_directory(&mut self, directory: &std::path::Path) {
            self.http.set_directory(directory);
        }

        async fn run(self, shared: crate::place::Shared, publisher: crate::place::Publisher) {
            let make = |shared: &crate::place::Shared| Source::new(&self, shared);
            crate::refresh::run(self.refresh_interval, shared, publisher, make).await;
        }
    };
}

mod aws;
mod azure;
mod consul;
mod digitalocean;
mod dns;
mod docker;
mod eureka;
mod gce;
mod hetzner;
mod http;
mod ionos;
mod kubernetes;
mod kuma;
mod linode;
mod marathon;
mod nomad;
mod openstack;
mod outscale;
mod ovhcloud;
mod puppetdb;
mod scaleway;
mod stackit;
mod triton;
mod uyuni;
mod vultr;

/// What each mechanism's settings can do.
pub(crate) trait Configured: Clone + Send + 'static {
    /// Checks what a type cannot. Texts are Prometheus' where it has any.
    fn check(&self) -> Result<(), InvalidSettings>;

    /// Makes relative paths relative to `directory`.
    fn set_directory(&mut self, directory: &Path);

    /// Publishes until it is aborted.
    fn run(self, shared: Shared, publisher: Publisher) -> impl Future<Output = ()> + Send;
}

/// The settings of one mechanism, whichever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mechanism(Kind);

macro_rules! mechanisms {
    ($($variant:ident($settings:ty) = $key:literal,)*) => {
        #[derive(Debug, Clone, PartialEq, Eq)]
        enum Kind {
            $($variant(Box<$settings>),)*
        }

        /// The keys of the configuration.
        pub(crate) const KEYS: &[&str] = &[$($key),*];

        /// Reads the list of sections under a key; `None` if it is no mechanism's.
        pub(crate) fn read<'de, A: MapAccess<'de>>(
            key: &str,
            map: &mut A,
        ) -> Result<Option<Vec<Mechanism>>, A::Error> {
            match key {
                $($key => {
                    let sections: Vec<$settings> = map.next_value()?;
                    let mechanism = |settings| Mechanism(Kind::$variant(Box::new(settings)));
                    Ok(Some(sections.into_iter().map(mechanism).collect()))
                })*
                _ => Ok(None),
            }
        }

        impl Mechanism {
            /// The key of the configuration under which it stands.
            pub fn key(&self) -> &'static str {
                match &self.0 {
                    $(Kind::$variant(_) => $key,)*
                }
            }

            pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
                match &self.0 {
                    $(Kind::$variant(settings) => settings.check(),)*
                }
            }

            pub(crate) fn set_directory(&mut self, directory: &Path) {
                match &mut self.0 {
                    $(Kind::$variant(settings) => settings.set_directory(directory),)*
                }
            }

            pub(crate) fn run(
                self,
                shared: Shared,
                publisher: Publisher,
            ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
                match self.0 {
                    $(Kind::$variant(settings) => Box::pin((*settings).run(shared, publisher)),)*
                }
            }
        }
    };
}

mechanisms! {
    Aws(aws::unified::Settings) = "aws_sd_configs",
    Azure(azure::Settings) = "azure_sd_configs",
    Consul(consul::Settings) = "consul_sd_configs",
    DigitalOcean(digitalocean::Settings) = "digitalocean_sd_configs",
    Dns(dns::Settings) = "dns_sd_configs",
    Docker(docker::engine::Settings) = "docker_sd_configs",
    DockerSwarm(docker::swarm::Settings) = "dockerswarm_sd_configs",
    Ec2(aws::ec2::Settings) = "ec2_sd_configs",
    Eureka(eureka::Settings) = "eureka_sd_configs",
    Gce(gce::Settings) = "gce_sd_configs",
    Hetzner(hetzner::Settings) = "hetzner_sd_configs",
    Http(http::Settings) = "http_sd_configs",
    Ionos(ionos::Settings) = "ionos_sd_configs",
    Kubernetes(kubernetes::Settings) = "kubernetes_sd_configs",
    Kuma(kuma::Settings) = "kuma_sd_configs",
    Lightsail(aws::lightsail::Settings) = "lightsail_sd_configs",
    Linode(linode::Settings) = "linode_sd_configs",
    Marathon(marathon::Settings) = "marathon_sd_configs",
    Nomad(nomad::Settings) = "nomad_sd_configs",
    OpenStack(openstack::Settings) = "openstack_sd_configs",
    Outscale(outscale::Settings) = "outscale_sd_configs",
    OvhCloud(ovhcloud::Settings) = "ovhcloud_sd_configs",
    PuppetDb(puppetdb::Settings) = "puppetdb_sd_configs",
    Scaleway(scaleway::Settings) = "scaleway_sd_configs",
    Stackit(stackit::Settings) = "stackit_sd_configs",
    Triton(triton::Settings) = "triton_sd_configs",
    Uyuni(uyuni::Settings) = "uyuni_sd_configs",
    Vultr(vultr::Settings) = "vultr_sd_configs",
}

/// A fault of the section itself.
pub(crate) fn fault(message: impl Into<String>) -> Result<(), InvalidSettings> {
    Err(InvalidSettings::at([""; 0], message))
}

/// A fault of one key.
pub(crate) fn fault_at(key: &str, message: impl Into<String>) -> Result<(), InvalidSettings> {
    Err(InvalidSettings::at([key], message))
}

/// Checks a URL that a user wrote.
pub(crate) fn check_url(key: &str, url: &str) -> Result<(), InvalidSettings> {
    if url.is_empty() {
        return fault_at(key, "URL is missing");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return fault_at(key, format!("URL scheme must be 'http' or 'https', and {url:?} has none"));
    };
    if !matches!(scheme, "http" | "https") {
        return fault_at(key, "URL scheme must be 'http' or 'https'");
    }
    if rest.split(['/', '?', '#']).next().is_none_or(str::is_empty) {
        return fault_at(key, "host is missing in URL");
    }
    match http_client::Url::parse(url) {
        Ok(_) => Ok(()),
        Err(error) => fault_at(key, format!("{url:?} is not a valid URL: {error}")),
    }
}
