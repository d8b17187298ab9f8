//! AWS: machines of EC2 (`ec2_sd_configs`) and Lightsail (`lightsail_sd_configs`), and both, tasks of ECS and nodes of MSK, by role
//! (`aws_sd_configs`).
//!
//! Map: here who we are to AWS, and requests signed with it · [`ec2`] · [`ecs`] · [`lightsail`] · [`msk`] · [`unified`] by role.

use std::sync::Arc;

use http_client::aws::Provider;
use http_client::header::{CONTENT_TYPE, HeaderValue};
use http_client::{Method, Request, Secret, aws};

use crate::fetch::{Answer, Api, Fault, parse_url};
use crate::place::Shared;
use crate::refresh::interval;

pub(crate) mod ec2;
mod ecs;
pub(crate) mod lightsail;
mod msk;
pub(crate) mod unified;

/// Who we are to AWS, and where its services are.
#[derive(Debug)]
struct Access {
    api: Api,
    provider: Provider,
    endpoint: String,
}

/// The keys of a section that say who we are.
struct Who<'a> {
    region: &'a str,
    access_key: &'a str,
    secret_key: &'a Secret,
    profile: &'a str,
    role_arn: &'a str,
    external_id: &'a str,
    endpoint: &'a str,
}

/// The fields of [`Who`], from a section that has them all.
macro_rules! who {
    ($settings:expr) => {
        crate::mechanism::aws::Who {
            region: &$settings.region,
            access_key: &$settings.access_key,
            secret_key: &$settings.secret_key,
            profile: &$settings.profile,
            role_arn: &$settings.role_arn,
            external_id: &$settings.external_id,
            endpoint: &$settings.endpoint,
        }
    };
}
use who;

impl Access {
    fn new(
        who: &Who<'_>,
        http: &http_client::Settings,
        refresh_interval: model::time::DurationMs,
        shared: &Shared,
    ) -> Result<Self, Fault> {
        let settings = aws::Settings {
            region: who.region.to_owned(),
            access_key: who.access_key.to_owned(),
            secret_key: who.secret_key.clone(),
            profile: who.profile.to_owned(),
            role_arn: who.role_arn.to_owned(),
            external_id: who.external_id.to_owned(),
            use_fips_sts_endpoint: false,
        };
        let environment = Arc::clone(&shared.environment.0);
        let provider = Provider::new(settings, environment, Arc::clone(&shared.clock))?;
        let api = Api::new(http, interval(refresh_interval))?;
        Ok(Self { api, provider, endpoint: who.endpoint.to_owned() })
    }

    async fn region(&self) -> Result<String, Fault> {
        Ok(self.provider.region().await?)
    }

    /// Where a service is.
    async fn url(&self, service: &str) -> Result<String, Fault> {
        if !self.endpoint.is_empty() {
            let scheme = if self.endpoint.contains("://") { "" } else { "https://" };
            return Ok(format!("{scheme}{}", self.endpoint));
        }
        let region = self.region().await?;
        let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(format!("https://{service}.{region}.{end}/"))
    }

    /// A `GET` of a path with its parameters, encoded.
    async fn get(&self, service: &str, path: &str) -> Result<Answer, Fault> {
        let base = self.url(service).await?;
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        let mut request = Request::new(Method::GET, parse_url(&url)?);
        self.provider.sign(&mut request, service).await?;
        self.api.send(request).await
    }

    async fn send(
        &self,
        service: &str,
        content_type: &'static str,
        target: Option<&'static str>,
        body: String,
    ) -> Result<Answer, Fault> {
        let mut request = Request::new(Method::POST, parse_url(&self.url(service).await?)?);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(target) = target {
            request.headers_mut().insert("x-amz-target", HeaderValue::from_static(target));
        }
        *request.body_mut() = Some(body.into());
        self.provider.sign(&mut request, service).await?;
        self.api.send(request).await
    }
}

#[cfg(test)]
mod tests;
