//! Which format is asked for, and which one came.
//!
//! Source: Prometheus' `config.ScrapeProtocolsHeaders`, `scrape.acceptHeader` and `textparse.New`.

use std::fmt;
use std::str::FromStr;

/// How an answer is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `text/plain`, every version.
    PrometheusText,
    /// `application/openmetrics-text`, every version.
    OpenMetricsText,
    /// `application/vnd.google.protobuf`, delimited.
    Protobuf,
}

/// A format with its version, as `scrape_protocols` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// Delimited protobuf messages.
    PrometheusProto,
    /// OpenMetrics before its first stable version.
    OpenMetricsText0_0_1,
    /// OpenMetrics 1.0.
    OpenMetricsText1_0_0,
    /// Prometheus text.
    PrometheusText0_0_4,
    /// Prometheus text with quoted UTF-8 names.
    PrometheusText1_0_0,
}

/// Asked for when the configuration names none, the most wanted first.
pub const DEFAULT_SCRAPE_PROTOCOLS: [ScrapeProtocol; 4] = [
    ScrapeProtocol::OpenMetricsText1_0_0,
    ScrapeProtocol::OpenMetricsText0_0_1,
    ScrapeProtocol::PrometheusText1_0_0,
    ScrapeProtocol::PrometheusText0_0_4,
];

const ALL: [ScrapeProtocol; 5] = [
    ScrapeProtocol::PrometheusProto,
    ScrapeProtocol::OpenMetricsText0_0_1,
    ScrapeProtocol::OpenMetricsText1_0_0,
    ScrapeProtocol::PrometheusText0_0_4,
    ScrapeProtocol::PrometheusText1_0_0,
];

impl ScrapeProtocol {
    /// The name in configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PrometheusProto => "PrometheusProto",
            Self::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            Self::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
            Self::PrometheusText0_0_4 => "PrometheusText0.0.4",
            Self::PrometheusText1_0_0 => "PrometheusText1.0.0",
        }
    }

    /// The media type with its version.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
            Self::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            Self::PrometheusText1_0_0 => "text/plain;version=1.0.0",
        }
    }

    /// How an answer in this protocol is parsed.
    pub fn format(self) -> Format {
        match self {
            Self::PrometheusProto => Format::Protobuf,
            Self::OpenMetricsText0_0_1 | Self::OpenMetricsText1_0_0 => Format::OpenMetricsText,
            Self::PrometheusText0_0_4 | Self::PrometheusText1_0_0 => Format::PrometheusText,
        }
    }

    fn names_can_be_quoted(self) -> bool {
        matches!(self, Self::OpenMetricsText1_0_0 | Self::PrometheusText1_0_0)
    }
}

impl fmt::Display for ScrapeProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no protocol's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scrape protocol {name:?}: use one of {}", ALL.map(ScrapeProtocol::as_str).join(", "))]
pub struct UnknownProtocol {
    name: String,
}

impl FromStr for ScrapeProtocol {
    type Err = UnknownProtocol;

    fn from_str(name: &str) -> Result<Self, UnknownProtocol> {
        ALL.into_iter()
            .find(|protocol| protocol.as_str() == name)
            .ok_or_else(|| UnknownProtocol { name: name.to_owned() })
    }
}

/// What an exporter is asked to do with names that are not `[a-zA-Z0-9_:]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EscapingScheme {
    /// Send them in quotes.
    #[default]
    AllowUtf8,
    /// Replace each such character by `_`.
    Underscores,
    /// Write dots as `_dot_`, underscores twice.
    Dots,
    /// Prefix `U__`, each such character as its code point.
    Values,
}

impl EscapingScheme {
    /// The word in headers and configuration files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

/// The Accept header that asks for `protocols`, the most wanted first.
pub fn accept_header(protocols: &[ScrapeProtocol], escaping: EscapingScheme) -> String {
    let mut header = String::with_capacity(256);
    // Prometheus counts down from one more than the protocols it knows, whichever are asked for.
    let mut weight = ALL.len() + 1;
    for protocol in protocols.iter().take(ALL.len()) {
        header.push_str(protocol.media_type());
        if protocol.names_can_be_quoted() {
            header.push_str(";escaping=");
            header.push_str(escaping.as_str());
        }
        header.push_str(&format!(";q=0.{weight},"));
        weight -= 1;
    }
    header.push_str(&format!("*/*;q=0.{weight}"));
    header
}

/// What an answer's Content-Type came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// How to parse the answer.
    pub format: Format,
    /// Why the fallback was used; tell an operator.
    pub warning: Option<String>,
}

/// An answer that nobody can parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnsupportedContentType(String);

impl Format {
    /// The format of an answer with this Content-Type (empty if there was none). `fallback` is the target's
    /// `fallback_scrape_protocol`.
    ///
    /// # Errors
    /// If the type is missing, malformed or not supported, and there is no fallback.
    pub fn from_content_type(
        content_type: &str,
        fallback: Option<ScrapeProtocol>,
    ) -> Result<Negotiated, UnsupportedContentType> {
        let problem = match media_type(content_type).as_deref() {
            _ if content_type.is_empty() => {
                "non-compliant scrape target sending blank Content-Type".to_owned()
            }
            Some("text/plain") => return Ok(Negotiated { format: Self::PrometheusText, warning: None }),
            Some("application/openmetrics-text") => {
                return Ok(Negotiated { format: Self::OpenMetricsText, warning: None });
            }
            Some("application/vnd.google.protobuf") => {
                return Ok(Negotiated { format: Self::Protobuf, warning: None });
            }
            Some(_) => format!("received unsupported Content-Type {content_type:?}"),
            None => format!("cannot parse Content-Type {content_type:?}"),
        };
        match fallback {
            Some(protocol) => Ok(Negotiated {
                format: protocol.format(),
                warning: Some(format!("{problem}, using fallback_scrape_protocol {:?}", protocol.as_str())),
            }),
            None => Err(UnsupportedContentType(format!(
                "{problem} and no fallback_scrape_protocol specified for target"
            ))),
        }
    }
}

/// `type/subtype` in lower case; `None` if the header breaks RFC 2045's grammar.
fn media_type(header: &str) -> Option<String> {
    let (media_type, mut rest) = header.split_once(';').unwrap_or((header, ""));
    let media_type = media_type.trim().to_ascii_lowercase();
    let (main, sub) = media_type.split_once('/').unwrap_or((&media_type, "x"));
    if !is_token(main) || !is_token(sub) {
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    while !rest.trim().is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        if !is_token(&name) || names.contains(&name) {
            return None;
        }
        names.push(name);
        rest = if let Some(quoted) = after.strip_prefix('"') {
            skip_quoted(quoted)?
        } else {
            let end = after.find([';', ' ', '\t']).unwrap_or(after.len());
            if !is_token(&after[..end]) {
                return None;
            }
            &after[end..]
        };
        rest = rest.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(';')?;
        }
    }
    Some(media_type)
}

fn skip_quoted(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(&text[at + 1..]),
            '\\' => {
                chars.next()?;
            }
            _ => {}
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_is_prometheus() {
        assert_eq!(
            accept_header(&DEFAULT_SCRAPE_PROTOCOLS, EscapingScheme::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept_header(&[ScrapeProtocol::PrometheusText0_0_4], EscapingScheme::Dots),
            "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
        );
        assert_eq!(accept_header(&[], EscapingScheme::Dots), "*/*;q=0.6");
        assert_eq!(
            accept_header(
                &[ScrapeProtocol::PrometheusProto, ScrapeProtocol::PrometheusText1_0_0],
                EscapingScheme::Values
            ),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             text/plain;version=1.0.0;escaping=values;q=0.5,*/*;q=0.4"
        );
    }

    #[track_caller]
    fn check(content_type: &str, want: Option<Format>) {
        let got = Format::from_content_type(content_type, None).ok().map(|negotiated| negotiated.format);
        assert_eq!(got, want, "{content_type:?}");
    }

    #[test]
    fn content_types_are_understood_as_prometheus_does() {
        use Format::{OpenMetricsText, PrometheusText};
        check("text/plain", Some(PrometheusText));
        check("text/plain; version=0.0.4; charset=utf-8; escaping=values", Some(PrometheusText));
        check("TEXT/Plain;version=\"0.0;4\";", Some(PrometheusText));
        check("application/openmetrics-text; version=1.0.0; charset=utf-8", Some(OpenMetricsText));
        for bad in [
            "",
            "text/html",
            "text/plain; charset",
            "text/plain; a=b; a=c",
            "/",
            "text/plain; a=\"b",
            "x y/z",
        ] {
            check(bad, None);
        }
        let negotiated = Format::from_content_type("text/html", Some(ScrapeProtocol::OpenMetricsText1_0_0));
        let negotiated = negotiated.expect("falls back");
        assert_eq!(negotiated.format, OpenMetricsText);
        assert!(negotiated.warning.expect("says so").contains("text/html"));
        let proto =
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        check(proto, Some(Format::Protobuf));
    }

    #[test]
    fn protocols_are_named_as_in_prometheus_configuration() {
        for protocol in ALL {
            assert_eq!(protocol.as_str().parse(), Ok(protocol));
        }
        assert!(
            "OpenMetricsText2"
                .parse::<ScrapeProtocol>()
                .expect_err("unknown")
                .to_string()
                .contains("OpenMetricsText1.0.0")
        );
    }
}
