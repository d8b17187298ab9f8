//! Hosts, ports and URLs, as Go's `net` splits them.

use std::net::IpAddr;

/// A host and its port. `None` where Go refuses: no port, more than one colon outside of brackets.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let has_bracket = |text: &str| text.contains(['[', ']']);
    (!has_bracket(host) && !has_bracket(port)).then_some((host, port))
}

/// Without its port, if it has one.
pub(crate) fn strip_port(text: &str) -> &str {
    split_host_port(text).map_or(text, |(host, _)| host)
}

/// The first part of the name, with the port. An address stays as it is.
pub(crate) fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match (port, name.contains(':')) {
        ("", _) => name.to_owned(),
        (port, true) => format!("[{name}]:{port}"),
        (port, false) => format!("{name}:{port}"),
    }
}

/// The path of a URL, decoded.
pub(crate) fn path_of(url: &str) -> String {
    let rest = url.split(['?', '#']).next().unwrap_or_default();
    let path = match rest.split_once("//") {
        Some((_, authority)) => authority.find('/').map_or("", |at| &authority[at..]),
        None => rest,
    };
    crate::escape::unquery(&path.replace('+', "%2B")).unwrap_or_else(|_| path.to_owned())
}
