//! Amazon SNS: `Publish` of the query API, signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use http_client::aws::{self, Provider};
use http_client::{Client, InvalidSettings, Url};
use parking_lot::Mutex;
use serde::Deserialize;

use super::send::{self, truncate, truncate_bytes};
use super::{Kind, Notification, SendError, Sending, fault, http_kind};
use crate::config::Global;

/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const MESSAGE_BYTES_MAX: usize = 256 << 10;
const SMS_CHARS_MAX: usize = 1600;
const SUBJECT_CHARS_MAX: usize = 100;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sns {
    send_resolved: bool,
    http_config: Option<http_client::Settings>,
    api_url: String,
    sigv4: aws::Settings,
    topic_arn: String,
    phone_number: String,
    target_arn: String,
    subject: String,
    message: String,
    attributes: BTreeMap<String, String>,
    #[serde(skip)]
    provider: Arc<Mutex<Option<Arc<Provider>>>>,
}

impl Default for Sns {
    fn default() -> Self {
        Self {
            send_resolved: true,
            http_config: None,
            api_url: String::new(),
            sigv4: aws::Settings::default(),
            topic_arn: String::new(),
            phone_number: String::new(),
            target_arn: String::new(),
            subject: "{{ template \"sns.default.subject\" . }}".to_owned(),
            message: "{{ template \"sns.default.message\" . }}".to_owned(),
            attributes: BTreeMap::new(),
            provider: Arc::default(),
        }
    }
}

impl Sns {
    fn provider(&self, notification: &Notification<'_>) -> Result<Arc<Provider>, SendError> {
        let mut provider = self.provider.lock();
        if let Some(provider) = &*provider {
            return Ok(Arc::clone(provider));
        }
        let environment: aws::Environment = Arc::new(|name| std::env::var(name).ok());
        let made = Provider::new(self.sigv4.clone(), environment, Arc::clone(notification.clock))
            .map_err(|error| SendError::lasting(error.to_string()))?;
        Ok(Arc::clone(provider.insert(Arc::new(made))))
    }

    /// The parameters of `Publish`.
    fn form(&self, notification: &Notification<'_>) -> Result<String, SendError> {
        let text = |template: &str| notification.text(template);
        let mut attributes = BTreeMap::new();
        for (name, template) in &self.attributes {
            attributes.insert(text(name)?, text(template)?);
        }
        let message = text(&self.message)?;
        let cut = match self.phone_number.is_empty() {
            true => truncate_bytes(&message, MESSAGE_BYTES_MAX),
            false => truncate(&message, SMS_CHARS_MAX),
        };
        if cut != message {
            attributes.insert("truncated".to_owned(), "true".to_owned());
        }
        let topic = text(&self.topic_arn)?;
        let mut url =
            Url::parse("http://form.invalid/").map_err(|error| SendError::lasting(error.to_string()))?;
        let mut form = url.query_pairs_mut();
        form.append_pair("Action", "Publish").append_pair("Version", "2010-03-31");
        for (name, value) in [
            ("TopicArn", topic.as_str()),
            ("PhoneNumber", &text(&self.phone_number)?),
            ("TargetArn", &text(&self.target_arn)?),
            ("Message", &cut),
            ("Subject", &truncate(&text(&self.subject)?, SUBJECT_CHARS_MAX)),
        ] {
            if !value.is_empty() {
                form.append_pair(name, value);
            }
        }
        // What is ordered needs to know what belongs together, and what is the same.
        if topic.ends_with(".fifo") {
            let key = notification.key_hash();
            form.append_pair("MessageDeduplicationId", &key).append_pair("MessageGroupId", &key);
        }
        for (at, (name, value)) in attributes.iter().enumerate() {
            let entry = format!("MessageAttributes.entry.{}", at + 1);
            form.append_pair(&format!("{entry}.Name"), name)
                .append_pair(&format!("{entry}.Value.DataType"), "String")
                .append_pair(&format!("{entry}.Value.StringValue"), value);
        }
        drop(form);
        Ok(url.query().unwrap_or_default().to_owned())
    }
}

impl Kind for Sns {
    http_kind!("sns");

    fn check(&self) -> Result<(), InvalidSettings> {
        let set = [&self.target_arn, &self.topic_arn, &self.phone_number];
        if set.into_iter().filter(|text| !text.is_empty()).count() % 2 == 0 {
            return fault("must provide either a Target ARN, Topic ARN, or Phone Number for SNS config");
        }
        self.sigv4.check().map_err(|error| error.within("sigv4"))
    }

    fn inherit(&mut self, _: &Global) -> Result<(), InvalidSettings> {
        Ok(())
    }

    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let provider = self.provider(notification)?;
            let refused = |error: aws::CredentialsError| SendError::passing(error.to_string());
            let url = match notification.text(&self.api_url)?.as_str() {
                "" => format!("https://sns.{}.amazonaws.com/", provider.region().await.map_err(refused)?),
                url => url.to_owned(),
            };
            let url =
                Url::parse(&url).map_err(|_| SendError::lasting(format!("api_url {url:?} is not a URL")))?;
            let mut request = client.post_form(url, self.form(notification)?);
            provider.sign(&mut request, "sns").await.map_err(refused)?;
            send::send(client, request).await.map(|_| ())
        })
    }
}
