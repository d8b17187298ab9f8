//! Email: one message over SMTP, in HTML and, if wanted, plain text.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http_client::settings::{TlsSettings, TlsVersion};
use http_client::{Client, InvalidSettings, Secret};
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailboxes, MultiPart, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Identity, Tls, TlsParameters, TlsVersion as SmtpTlsVersion,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::Deserialize;

use super::send;
use super::{Kind, Notification, SendError, Sending, at_most_one, fault};
use crate::config::Global;
use crate::config::values::HostPort;

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Email {
    send_resolved: bool,
    to: String,
    from: String,
    hello: String,
    smarthost: HostPort,
    auth_username: String,
    auth_password: Secret,
    auth_password_file: String,
    auth_secret: Secret,
    auth_secret_file: String,
    auth_identity: String,
    headers: BTreeMap<String, String>,
    html: String,
    text: String,
    require_tls: Option<bool>,
    tls_config: Option<TlsSettings>,
    force_implicit_tls: Option<bool>,
    threading: Threading,
}

/// Whether mail programs show the messages of a group as one conversation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Threading {
    enabled: bool,
    thread_by_date: String,
}

impl Default for Email {
    fn default() -> Self {
        Self {
            send_resolved: false,
            to: String::new(),
            from: String::new(),
            hello: String::new(),
            smarthost: HostPort::default(),
            auth_username: String::new(),
            auth_password: Secret::default(),
            auth_password_file: String::new(),
            auth_secret: Secret::default(),
            auth_secret_file: String::new(),
            auth_identity: String::new(),
            headers: BTreeMap::new(),
            html: "{{ template \"email.default.html\" . }}".to_owned(),
            text: String::new(),
            require_tls: None,
            tls_config: None,
            force_implicit_tls: None,
            threading: Threading::default(),
        }
    }
}

/// `x-my-header` to `X-My-Header`: names of headers do not know case.
fn canonical(name: &str) -> String {
    let mut at_start = true;
    let change = |c: char| {
        let changed = if at_start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        at_start = c == '-';
        changed
    };
    name.chars().map(change).collect()
}

fn set_if_empty(value: &mut String, default: &str) {
    if value.is_empty() {
        default.clone_into(value);
    }
}

fn lasting(error: impl std::fmt::Display) -> SendError {
    SendError::lasting(error.to_string())
}

impl Email {
    /// Every header but those of the body.
    fn headers(&self, notification: &Notification<'_>) -> Result<Vec<(String, String)>, SendError> {
        let mut templates: BTreeMap<String, &str> = BTreeMap::from([
            ("From".to_owned(), self.from.as_str()),
            ("To".to_owned(), self.to.as_str()),
            ("Subject".to_owned(), "{{ template \"email.default.subject\" . }}"),
        ]);
        templates.extend(self.headers.iter().map(|(name, text)| (canonical(name), text.as_str())));
        let fill = |(name, template): (String, &str)| {
            let value = notification.text(template);
            let value =
                value.map_err(|error| error.within(format_args!("executing {name:?} header template")))?;
            // A value with a line end would add headers of its own.
            Ok((name, value.replace(['\r', '\n'], " ").trim().to_owned()))
        };
        let mut headers = templates.into_iter().map(fill).collect::<Result<Vec<_>, SendError>>()?;
        if self.threading.enabled {
            let day = match self.threading.thread_by_date.as_str() {
                "none" => String::new(),
                _ => format!("-{}", crate::text::day(notification.now_ms)),
            };
            let thread = format!("<alert-{}{day}@alertmanager>", notification.key_hash());
            headers.extend(["References", "In-Reply-To"].map(|name| (name.to_owned(), thread.clone())));
        }
        Ok(headers)
    }

    fn envelope(&self, notification: &Notification<'_>) -> Result<Envelope, SendError> {
        let read = |what: &str, template: &str| {
            let text = notification.text(template)?;
            let boxes: Result<Mailboxes, _> = text.parse();
            boxes.map_err(|error| SendError::lasting(format!("parsing {what} addresses: {text:?}: {error}")))
        };
        let mut from = read("from", &self.from)?.into_iter();
        let (Some(sender), None) = (from.next(), from.next()) else {
            return Err(SendError::lasting("must be exactly one from address"));
        };
        let to = read("to", &self.to)?.into_iter().map(|mailbox| mailbox.email).collect();
        Envelope::new(Some(sender.email), to).map_err(lasting)
    }

    fn message(&self, notification: &Notification<'_>) -> Result<Message, SendError> {
        let mut builder = Message::builder().envelope(self.envelope(notification)?).message_id(None);
        for (name, value) in self.headers(notification)? {
            let header = HeaderName::new_from_ascii(name.clone())
                .map_err(|_| SendError::lasting(format!("{name:?} is no name of a header")))?;
            builder = builder.raw_header(HeaderValue::new(header, value));
        }
        let part = |kind: ContentType, body: String| {
            SinglePart::builder().header(ContentTransferEncoding::QuotedPrintable).header(kind).body(body)
        };
        // What is preferred stands last (RFC 2046, 5.1.4).
        let text = notification.text(&self.text)?;
        let html = notification.html(&self.html)?;
        let body = MultiPart::alternative();
        let body = match (self.text.is_empty(), self.html.is_empty()) {
            (false, true) => body.singlepart(part(ContentType::TEXT_PLAIN, text)),
            (false, false) => body
                .singlepart(part(ContentType::TEXT_PLAIN, text))
                .singlepart(part(ContentType::TEXT_HTML, html)),
            (true, _) => body.singlepart(part(ContentType::TEXT_HTML, html)),
        };
        builder.multipart(body).map_err(lasting)
    }

    async fn tls(&self) -> Result<Tls, SendError> {
        let implicit = self.force_implicit_tls.unwrap_or(self.smarthost.port == "465");
        if !implicit && !self.require_tls.unwrap_or(true) {
            return Ok(Tls::None);
        }
        let settings = self.tls_config.clone().unwrap_or_default();
        let name = if settings.server_name.is_empty() { &self.smarthost.host } else { &settings.server_name };
        let mut builder = TlsParameters::builder(name.clone());
        let pem = async |key: &str, inline: &str, file: &str| {
            if !inline.is_empty() || file.is_empty() {
                return Ok(inline.to_owned());
            }
            let read = tokio::fs::read_to_string(file).await;
            read.map_err(|error| SendError::lasting(format!("cannot read {key} {file}: {error}")))
        };
        let ca = pem("ca_file", &settings.ca, &settings.ca_file).await?;
        if !ca.is_empty() {
            builder = builder.certificate_store(CertificateStore::None);
            builder = builder.add_root_certificate(Certificate::from_pem(ca.as_bytes()).map_err(lasting)?);
        }
        let cert = pem("cert_file", &settings.cert, &settings.cert_file).await?;
        if !cert.is_empty() {
            let key = pem("key_file", settings.key.reveal(), &settings.key_file).await?;
            builder =
                builder.identify_with(Identity::from_pem(cert.as_bytes(), key.as_bytes()).map_err(lasting)?);
        }
        if settings.min_version == Some(TlsVersion::Tls13) {
            builder = builder.set_min_tls_version(SmtpTlsVersion::Tlsv13);
        }
        builder = builder.dangerous_accept_invalid_certs(settings.insecure_skip_verify);
        builder = builder.dangerous_accept_invalid_hostnames(settings.insecure_skip_verify);
        let parameters = builder.build().map_err(lasting)?;
        Ok(if implicit { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
    }

    async fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
        let port = match self.smarthost.port.as_str() {
            "smtp" => 25,
            "submission" => 587,
            port => port
                .parse()
                .map_err(|_| SendError::lasting(format!("invalid address: {}", self.smarthost)))?,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.smarthost.host)
            .port(port)
            .timeout(Some(TIMEOUT))
            .tls(self.tls().await?);
        if !self.hello.is_empty() {
            builder = builder.hello_name(ClientId::Domain(self.hello.clone()));
        }
        if !self.auth_username.is_empty() {
            let password =
                send::secret_or_file("auth_password_file", &self.auth_password, &self.auth_password_file)
                    .await?;
            if password.is_empty() && (!self.auth_secret.is_empty() || !self.auth_secret_file.is_empty()) {
                return Err(SendError::lasting(
                    "the auth mechanism CRAM-MD5 (auth_secret) is not supported; set auth_password",
                ));
            }
            let credentials = Credentials::new(self.auth_username.clone(), password);
            builder =
                builder.credentials(credentials).authentication(vec![Mechanism::Plain, Mechanism::Login]);
        }
        Ok(builder.build())
    }
}

/// A refusal for good (5xx) stays one; everything else may pass.
fn failed(error: &smtp::Error) -> SendError {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !message.contains(&inner_text) {
            message = format!("{message}: {inner_text}");
        }
        cause = inner.source();
    }
    SendError { retry: !error.is_permanent(), ..SendError::lasting(message) }
}

impl Kind for Email {
    const NAME: &'static str = "email";

    fn check(&self) -> Result<(), InvalidSettings> {
        if self.to.is_empty() {
            return fault("missing to address in email config");
        }
        let mut seen = BTreeMap::new();
        for name in self.headers.keys() {
            let canonical = canonical(name);
            if seen.insert(canonical.clone(), name).is_some() {
                let message = format!("duplicate header {canonical:?} in email config");
                return Err(InvalidSettings::at(["headers", name], message));
            }
        }
        let password = !self.auth_password.is_empty();
        at_most_one("auth_password", password, "auth_password_file", &self.auth_password_file)?;
        if let Some(tls) = &self.tls_config {
            tls.check().map_err(|error| error.within("tls_config"))?;
        }
        Ok(())
    }

    fn inherit(&mut self, global: &Global) -> Result<(), InvalidSettings> {
        self.tls_config.get_or_insert_with(|| global.smtp_tls_config.clone());
        if self.smarthost.is_empty() {
            self.smarthost = global.smtp_smarthost.clone();
        }
        if self.smarthost.is_empty() {
            return fault("no global SMTP smarthost set");
        }
        set_if_empty(&mut self.from, &global.smtp_from);
        if self.from.is_empty() {
            return fault("no global SMTP from set");
        }
        set_if_empty(&mut self.hello, &global.smtp_hello);
        set_if_empty(&mut self.auth_username, &global.smtp_auth_username);
        if self.auth_password.is_empty() && self.auth_password_file.is_empty() {
            self.auth_password = global.smtp_auth_password.clone();
            self.auth_password_file.clone_from(&global.smtp_auth_password_file);
        }
        if self.auth_secret.is_empty() && self.auth_secret_file.is_empty() {
            self.auth_secret = global.smtp_auth_secret.clone();
            self.auth_secret_file.clone_from(&global.smtp_auth_secret_file);
        }
        set_if_empty(&mut self.auth_identity, &global.smtp_auth_identity);
        self.require_tls.get_or_insert(global.smtp_require_tls);
        self.force_implicit_tls = self.force_implicit_tls.or(global.smtp_force_implicit_tls);
        Ok(())
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }

    fn http_config(&mut self) -> Option<&mut Option<http_client::Settings>> {
        None
    }

    fn http(&self) -> Option<&http_client::Settings> {
        None
    }

    fn set_directory(&mut self, directory: &Path) {
        if let Some(tls) = &mut self.tls_config {
            tls.set_directory(directory);
        }
    }

    fn send<'a>(&'a self, _: &'a Client, notification: &'a Notification<'a>) -> Sending<'a> {
        Box::pin(async move {
            let message = self.message(notification)?;
            let transport = self.transport().await?;
            transport.send(message).await.map(|_| ()).map_err(|error| failed(&error))
        })
    }
}
