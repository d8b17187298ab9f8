//! Receivers: who is told, and how each kind of them wants it. A file a kind, its settings beside its sender.
//!
//! Map: here what all share · [`send`] requests, answers, and which failures are worth another try · [`notification`] what is told ·
//! the other modules one kind each.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use http_client::{Client, InvalidSettings};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::Global;

mod discord;
mod email;
mod incidentio;
mod jira;
mod mattermost;
mod msteams;
mod msteamsv2;
pub(crate) mod notification;
mod opsgenie;
mod pagerduty;
mod pushover;
mod rocketchat;
pub(crate) mod send;
mod slack;
mod sns;
mod telegram;
mod victorops;
mod webex;
mod webhook;
mod wechat;

pub(crate) use notification::Notification;
pub(crate) use send::SendError;

/// What is being sent, until it is.
pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// A kind of receiver.
pub(crate) trait Kind: DeserializeOwned + fmt::Debug + Send + Sync + 'static {
    /// As metrics and the notification log call it.
    const NAME: &'static str;

    /// What an element without content means.
    ///
    /// # Errors
    /// If it means nothing.
    fn from_nothing() -> Result<Self, InvalidSettings> {
        Err(InvalidSettings::at::<&str>([], format!("missing {} config", Self::NAME)))
    }

    /// Checks what a type cannot, in Alertmanager's words.
    fn check(&self) -> Result<(), InvalidSettings>;

    /// Takes what it does not say itself from `global`.
    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings>;

    /// Whether the end of an alert is told, too.
    fn send_resolved(&self) -> bool;

    /// How requests are sent; nothing where there are none.
    fn http_config(&mut self) -> Option<&mut Option<http_client::Settings>>;

    /// The same once inherited.
    fn http(&self) -> Option<&http_client::Settings>;

    /// Makes relative paths of certificates and of the client's secrets relative to the file's folder.
    fn set_directory(&mut self, directory: &Path) {
        if let Some(Some(http)) = self.http_config() {
            http.set_directory(directory);
        }
    }

    /// Tells it.
    fn send<'a>(&'a self, client: &'a Client, notification: &'a Notification<'a>) -> Sending<'a>;
}

/// One way to tell a receiver.
pub(crate) trait Integration: fmt::Debug + Send + Sync {
    /// Its kind.
    fn kind(&self) -> &'static str;
    /// Its place among those of its kind in the receiver.
    fn index(&self) -> usize;
    /// Whether the end of an alert is told, too.
    fn send_resolved(&self) -> bool;
    /// Tells it once.
    fn send<'a>(&'a self, notification: &'a Notification<'a>) -> Sending<'a>;
}

/// Who is told, in how many ways.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub(crate) name: Arc<str>,
    pub(crate) integrations: Vec<Arc<dyn Integration>>,
}

impl Receiver {
    pub(crate) fn new(section: ReceiverSection) -> Self {
        Self { name: section.name.as_str().into(), integrations: section.integrations() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kinds of its ways, in the order in which they are told.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.integrations.iter().map(|integration| integration.kind())
    }
}

/// One element of a receiver's lists.
#[derive(Debug)]
struct Configured<K> {
    settings: K,
    index: usize,
    /// Made when it is needed first: certificates may come later than the configuration.
    client: Mutex<Option<Arc<Client>>>,
}

impl<K: Kind> Configured<K> {
    fn client(&self) -> Result<Arc<Client>, SendError> {
        let mut client = self.client.lock();
        if let Some(client) = &*client {
            return Ok(Arc::clone(client));
        }
        let settings = self.settings.http().cloned().unwrap_or_default();
        let made = Arc::new(Client::new(settings).map_err(|error| SendError::lasting(error.to_string()))?);
        *client = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl<K: Kind> Integration for Configured<K> {
    fn kind(&self) -> &'static str {
        K::NAME
    }

    fn index(&self) -> usize {
        self.index
    }

    fn send_resolved(&self) -> bool {
        self.settings.send_resolved()
    }

    fn send<'a>(&'a self, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let client = self.client()?;
            self.settings.send(&client, notification).await
        })
    }
}

/// Null is what its kind makes of nothing; then everything is checked.
fn check_all<K: Kind>(key: &str, list: &mut [Option<K>]) -> Result<(), InvalidSettings> {
    for (at, element) in list.iter_mut().enumerate() {
        let mut check = || {
            let settings = match element {
                Some(settings) => settings,
                None => element.insert(K::from_nothing()?),
            };
            if let Some(http) = settings.http() {
                http.check().map_err(|error| error.within("http_config"))?;
            }
            settings.check()
        };
        check().map_err(|error| error.within(at).within(key))?;
    }
    Ok(())
}

fn inherit_all<K: Kind>(key: &str, list: &mut [Option<K>], global: &Global) -> Result<(), InvalidSettings> {
    for (at, settings) in list.iter_mut().enumerate() {
        let Some(settings) = settings else { continue };
        settings.inherit(global).map_err(|error| error.within(at).within(key))?;
        if let Some(http) = settings.http_config() {
            http.get_or_insert_with(|| global.http_config.clone());
        }
    }
    Ok(())
}

fn configure_all<K: Kind>(list: Vec<Option<K>>, out: &mut Vec<Arc<dyn Integration>>) {
    for (index, settings) in list.into_iter().flatten().enumerate() {
        out.push(Arc::new(Configured { settings, index, client: Mutex::new(None) }));
    }
}

macro_rules! section {
    ($($key:ident $type:ty;)*) => {
        /// A receiver as the file has it.
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct ReceiverSection {
            name: String,
            $($key: Vec<Option<$type>>,)*
        }

        impl ReceiverSection {
            pub(crate) fn name(&self) -> &str {
                &self.name
            }

            pub(crate) fn check(&mut self) -> Result<(), InvalidSettings> {
                if self.name.is_empty() {
                    return Err(InvalidSettings::at(["name"], "missing name in receiver"));
                }
                $(check_all(stringify!($key), &mut self.$key)?;)*
                Ok(())
            }

            pub(crate) fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
                $(inherit_all(stringify!($key), &mut self.$key, global)?;)*
                Ok(())
            }

            pub(crate) fn set_directory(&mut self, directory: &Path) {
                $(self.$key.iter_mut().flatten().for_each(|settings| settings.set_directory(directory));)*
            }

            fn integrations(self) -> Vec<Arc<dyn Integration>> {
                let mut all = Vec::new();
                $(configure_all(self.$key, &mut all);)*
                all
            }
        }
    };
}

// In the order in which Alertmanager tells them.
section! {
    webhook_configs webhook::Webhook;
    email_configs email::Email;
    pagerduty_configs pagerduty::PagerDuty;
    opsgenie_configs opsgenie::OpsGenie;
    wechat_configs wechat::WeChat;
    slack_configs slack::Slack;
    victorops_configs victorops::VictorOps;
    pushover_configs pushover::Pushover;
    sns_configs sns::Sns;
    telegram_configs telegram::Telegram;
    discord_configs discord::Discord;
    webex_configs webex::Webex;
    msteams_configs msteams::MsTeams;
    msteamsv2_configs msteamsv2::MsTeamsWorkflow;
    jira_configs jira::Jira;
    rocketchat_configs rocketchat::RocketChat;
    mattermost_configs mattermost::Mattermost;
    incidentio_configs incidentio::IncidentIo;
}

/// `a` and `b` are two ways to say one thing.
pub(crate) fn at_most_one(
    key: &str,
    is_set: bool,
    file_key: &str,
    file: &str,
) -> Result<(), InvalidSettings> {
    if is_set && !file.is_empty() {
        let message = format!("at most one of {key} & {file_key} must be configured");
        return Err(InvalidSettings::at([file_key], message));
    }
    Ok(())
}

/// One of both must be there, and only one.
pub(crate) fn exactly_one(
    key: &str,
    is_set: bool,
    file_key: &str,
    file: &str,
) -> Result<(), InvalidSettings> {
    if !is_set && file.is_empty() {
        return fault(format!("one of {key} or {file_key} must be configured"));
    }
    at_most_one(key, is_set, file_key, file)
}

/// A fault of the whole section.
pub(crate) fn fault<T>(message: impl Into<String>) -> Result<T, InvalidSettings> {
    Err(InvalidSettings::at::<&str>([], message))
}

/// The methods of [`Kind`] that all with requests have in common.
macro_rules! http_kind {
    ($name:literal) => {
        const NAME: &'static str = $name;

        fn send_resolved(&self) -> bool {
            self.send_resolved
        }

        fn http_config(&mut self) -> Option<&mut Option<http_client::Settings>> {
            Some(&mut self.http_config)
        }

        fn http(&self) -> Option<&http_client::Settings> {
            self.http_config.as_ref()
        }
    };
}
pub(crate) use http_kind;

#[cfg(test)]
mod tests;
