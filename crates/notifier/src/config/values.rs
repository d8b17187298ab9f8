//! Values of the configuration with a syntax of their own: addresses, URLs, Go's durations, matchers.

use std::collections::BTreeMap;
use std::fmt;

use http_client::{Secret, Url};
use model::{MatchOp, Matcher};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::matchers;

/// An `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// A URL of ours.
    pub(crate) fn known(text: &str) -> Self {
        Self(Url::parse(text).expect("BUG: a URL written in this crate cannot be read"))
    }

    /// Reads one.
    ///
    /// # Errors
    /// In Alertmanager's words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(_) if !text.contains("://") => return Err("unsupported scheme \"\" for URL".to_owned()),
            Err(error) => {
                let no_host = text.split_once("://").is_some_and(|(_, rest)| rest.is_empty());
                let text = if no_host { "missing host for URL".to_owned() } else { error.to_string() };
                return Err(text);
            }
        };
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            other => Err(format!("unsupported scheme {other:?} for URL")),
        }
    }

    /// The URL.
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// Its text without a slash at the end, for what is appended.
    pub(crate) fn base(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The same, its path ended by a slash, with `path` behind it.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let joined = format!("{}/{path}", self.0.path().trim_end_matches('/'));
        url.set_path(&joined);
        url
    }
}

impl<'de> Deserialize<'de> for HttpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

/// A URL that nobody may see. What a shown configuration has in its place, `<secret>`, is read as no URL.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(Option<HttpUrl>);

impl SecretUrl {
    /// The URL.
    pub(crate) fn url(&self) -> Option<&Url> {
        self.0.as_ref().map(HttpUrl::url)
    }
}

impl From<HttpUrl> for SecretUrl {
    fn from(url: HttpUrl) -> Self {
        Self(Some(url))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(deserializer)?;
        if secret.reveal() == "<secret>" {
            return Ok(Self(None));
        }
        HttpUrl::parse(secret.reveal()).map(Into::into).map_err(D::Error::custom)
    }
}

/// `host:port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPort {
    /// A name or address.
    pub host: String,
    /// A number or name.
    pub port: String,
}

impl HostPort {
    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.host.is_empty() && self.port.is_empty()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let fault = |what: &str| Err(format!("address {text}: {what}"));
        let Some((host, port)) = text.rsplit_once(':') else { return fault("missing port in address") };
        let host = match host.strip_prefix('[').map(|host| host.strip_suffix(']')) {
            Some(Some(host)) => host,
            Some(None) => return fault("missing ']' in address"),
            None if host.contains(':') => return fault("too many colons in address"),
            None => host,
        };
        if port.is_empty() {
            return Err(format!("address {text:?}: port cannot be empty"));
        }
        Ok(Self { host: host.to_owned(), port: port.to_owned() })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.is_empty(), self.host.contains(':')) {
            (true, _) => Ok(()),
            (_, true) => write!(f, "[{}]:{}", self.host, self.port),
            (_, false) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "" => Ok(Self::default()),
            text => Self::parse(text).map_err(D::Error::custom),
        }
    }
}

/// A duration as Go writes it, `1m30s` or `1.5h`; a plain number counts nanoseconds. Kept in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GoDuration(pub i64);

impl GoDuration {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(nanoseconds) = text.parse::<i64>() {
            return Some(Self(nanoseconds / 1_000_000));
        }
        let (negative, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut total_ms = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let number: f64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
            let factor_ms = match &rest[..unit] {
                "ns" => 1e-6,
                "us" | "µs" => 1e-3,
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 6e4,
                "h" => 3.6e6,
                _ => return None,
            };
            total_ms += number * factor_ms;
            rest = &rest[unit..];
        }
        let total_ms = total_ms as i64;
        Some(Self(if negative { -total_ms } else { total_ms }))
    }

    /// For waiting; what is negative waits for nothing.
    pub(crate) fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(Self::default()) };
        Self::parse(&text).ok_or_else(|| D::Error::custom(format_args!("time: invalid duration {text:?}")))
    }
}

/// `matchers`, `source_matchers`, `target_matchers`: each line may hold several.
#[derive(Debug, Clone, Default)]
pub struct MatcherLines(pub Vec<Matcher>);

impl<'de> Deserialize<'de> for MatcherLines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Vec::new();
        for line in Vec::<String>::deserialize(deserializer)? {
            all.extend(matchers::parse(&line).map_err(D::Error::custom)?);
        }
        matchers::sort(&mut all);
        Ok(Self(all))
    }
}

/// `match` and `match_re`: a value or an expression for each name.
#[derive(Debug, Clone, Default)]
pub struct MatchMap<const REGEX: bool>(pub Vec<Matcher>);

impl<'de, const REGEX: bool> Deserialize<'de> for MatchMap<REGEX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Vec::new();
        for (name, value) in BTreeMap::<String, Option<String>>::deserialize(deserializer)? {
            if !model::labels::is_legacy_label_name(&name) {
                return Err(D::Error::custom(format_args!("invalid label name {name:?}")));
            }
            all.push(match (REGEX, value) {
                (true, None) => {
                    return Err(D::Error::custom(format_args!("invalid regexp value for {name:?}")));
                }
                (true, Some(value)) => {
                    Matcher::new(MatchOp::Regex, &name, &value).map_err(D::Error::custom)?
                }
                (false, value) => Matcher::equal(&name, &value.unwrap_or_default()),
            });
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let ms = |text: &str| GoDuration::parse(text).map(|duration| duration.0);
        assert_eq!(ms("1m30s"), Some(90_000));
        assert_eq!(ms("1.5h"), Some(5_400_000));
        assert_eq!(ms("-2s"), Some(-2_000));
        assert_eq!(ms("1000000000"), Some(1_000));
        assert_eq!(ms("0"), Some(0));
        for bad in ["1d", "s", "1", "1x", "1.2.3s"] {
            assert!(ms(bad).is_none_or(|ms| bad == "1" && ms == 0), "{bad}");
        }
    }

    #[test]
    fn addresses_need_a_port() {
        assert_eq!(HostPort::parse("localhost:25").map(|hp| hp.to_string()), Ok("localhost:25".to_owned()));
        assert_eq!(HostPort::parse("[::1]:25").map(|hp| hp.to_string()), Ok("[::1]:25".to_owned()));
        assert_eq!(
            HostPort::parse("localhost"),
            Err("address localhost: missing port in address".to_owned())
        );
        assert_eq!(HostPort::parse("::1:25"), Err("address ::1:25: too many colons in address".to_owned()));
        assert_eq!(HostPort::parse("host:"), Err("address \"host:\": port cannot be empty".to_owned()));
    }

    #[test]
    fn urls_are_http() {
        assert!(HttpUrl::parse("https://example.com/x").is_ok());
        assert_eq!(HttpUrl::parse("ftp://x"), Err("unsupported scheme \"ftp\" for URL".to_owned()));
        assert_eq!(HttpUrl::parse("http://"), Err("missing host for URL".to_owned()));
        assert_eq!(HttpUrl::parse("foo"), Err("unsupported scheme \"\" for URL".to_owned()));
        assert_eq!(HttpUrl::known("https://a/b").join("c/d").as_str(), "https://a/b/c/d");
    }
}
