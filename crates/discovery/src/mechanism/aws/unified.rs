//! `aws_sd_configs`: EC2, ECS, Lightsail and MSK by role. Prometheus' other roles load, and fail when they are asked.

use http_client::{InvalidSettings, Secret};
use model::time::DurationMs;
use serde::Deserialize;

use super::{ec2, ecs, lightsail, msk};
use crate::fetch::Fault;
use crate::group::TargetGroup;
use crate::mechanism::{Configured, fault_at};
use crate::place::Shared;
use crate::refresh::Refresh;

const ROLES: [&str; 7] = ["ec2", "ecs", "elasticache", "lightsail", "mq", "msk", "rds"];

/// A section of `aws_sd_configs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(super) role: String,
    pub(super) region: String,
    pub(super) endpoint: String,
    pub(super) access_key: String,
    pub(super) secret_key: Secret,
    pub(super) profile: String,
    pub(super) role_arn: String,
    pub(super) external_id: String,
    pub(super) clusters: Vec<String>,
    pub(super) request_concurrency: u32,
    pub(super) refresh_interval: DurationMs,
    pub(super) port: u16,
    pub(super) filters: Vec<ec2::Filter>,
    #[serde(rename = "*")]
    pub(super) http: http_client::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role: String::new(),
            region: String::new(),
            endpoint: String::new(),
            access_key: String::new(),
            secret_key: Secret::default(),
            profile: String::new(),
            role_arn: String::new(),
            external_id: String::new(),
            clusters: Vec::new(),
            request_concurrency: 0,
            refresh_interval: DurationMs(60_000),
            port: 80,
            filters: Vec::new(),
            http: http_client::Settings::default(),
        }
    }
}

impl Configured for Settings {
    fn check(&self) -> Result<(), InvalidSettings> {
        if !ROLES.contains(&self.role.as_str()) {
            let known = ROLES.join(", ");
            return match self.role.as_str() {
                "" => fault_at("role", format!("role missing (one of: {known})")),
                other => fault_at("role", format!("unknown AWS SD role {other:?}; use one of: {known}")),
            };
        }
        ec2::check_filters(&self.filters, "AWS")?;
        self.http.check()
    }

    asked_at_intervals!();
}

#[derive(Debug)]
enum Source {
    Ec2(Box<ec2::Source>),
    Ecs(Box<ecs::Source>),
    Lightsail(Box<lightsail::Source>),
    Msk(Box<msk::Source>),
}

impl Source {
    fn new(settings: &Settings, shared: &Shared) -> Result<Self, Fault> {
        let own = settings.clone();
        let Settings { region, endpoint, access_key, secret_key, profile, role_arn, external_id, .. } = own;
        let (refresh_interval, port, http) = (own.refresh_interval, own.port, own.http);
        match own.role.as_str() {
            "ec2" => {
                let filters = own.filters;
                let settings = ec2::Settings {
                    endpoint,
                    region,
                    access_key,
                    secret_key,
                    profile,
                    role_arn,
                    external_id,
                    refresh_interval,
                    port,
                    filters,
                    http,
                };
                Ok(Self::Ec2(Box::new(ec2::Source::new(&settings, shared)?)))
            }
            "ecs" => Ok(Self::Ecs(Box::new(ecs::Source::new(settings, shared)?))),
            "lightsail" => {
                let settings = lightsail::Settings {
                    endpoint,
                    region,
                    access_key,
                    secret_key,
                    profile,
                    role_arn,
                    external_id,
                    refresh_interval,
                    port,
                    http,
                };
                Ok(Self::Lightsail(Box::new(lightsail::Source::new(&settings, shared)?)))
            }
            "msk" => Ok(Self::Msk(Box::new(msk::Source::new(settings, shared)?))),
            other => Err(Fault::Other(format!(
                "role {other:?} is not supported yet; use ec2, ecs, lightsail or msk"
            ))),
        }
    }
}

impl Refresh for Source {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, Fault> {
        match self {
            Self::Ec2(source) => source.refresh().await,
            Self::Ecs(source) => source.refresh().await,
            Self::Lightsail(source) => source.refresh().await,
            Self::Msk(source) => source.refresh().await,
        }
    }
}
