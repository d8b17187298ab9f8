//! What each mechanism's section must hold. Texts are Prometheus' where it has any.

use super::Found;

type Checked = Result<(), String>;

pub(super) fn nothing(_: &Found) -> Checked {
    Ok(())
}

fn require(found: &Found, keys: &[&str], mechanism: &str) -> Checked {
    match keys.iter().find(|key| found.text(key).is_empty()) {
        Some(key) => Err(format!("{mechanism} SD configuration requires {key}")),
        None => Ok(()),
    }
}

/// A word that must be one of a few; `None` as `default`: it must be there.
fn one_of(found: &Found, key: &str, words: &[&str], default: Option<&str>) -> Checked {
    let word = match (found.text(key), default) {
        ("", None) => return Err(format!("{key} missing (one of: {})", words.join(", "))),
        ("", Some(default)) => default,
        (word, _) => word,
    };
    match words.contains(&word) {
        true => Ok(()),
        false => Err(format!("unknown {key} {word:?}; use one of: {}", words.join(", "))),
    }
}

fn secret_or_file(found: &Found, mechanism: &str) -> Checked {
    match (found.text("secret_key").is_empty(), found.text("secret_key_file").is_empty()) {
        (true, true) => Err(format!("{mechanism} SD configuration requires secret_key or secret_key_file")),
        (false, false) => Err("at most one of secret_key & secret_key_file must be configured".to_owned()),
        _ => Ok(()),
    }
}

fn http_url(url: &str) -> Checked {
    if url.is_empty() {
        return Err("URL is missing".to_owned());
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(format!("URL scheme must be 'http' or 'https', and {url:?} has none"));
    };
    if !matches!(scheme, "http" | "https") {
        return Err("URL scheme must be 'http' or 'https'".to_owned());
    }
    if rest.split(['/', '?', '#']).next().is_none_or(str::is_empty) {
        return Err("host is missing in URL".to_owned());
    }
    Ok(())
}

pub(super) fn aws(found: &Found) -> Checked {
    one_of(found, "role", &["ec2", "ecs", "elasticache", "lightsail", "mq", "msk", "rds"], None)?;
    filters(found, "AWS")
}

pub(super) fn azure(found: &Found) -> Checked {
    let methods = ["OAuth", "ManagedIdentity", "SDK", "WorkloadIdentity"];
    one_of(found, "authentication_method", &methods, Some("OAuth"))?;
    let required: &[&str] = match found.text("authentication_method") {
        "" | "OAuth" => &["subscription_id", "tenant_id", "client_id", "client_secret"],
        _ => &["subscription_id"],
    };
    require(found, required, "azure")
}

pub(super) fn consul(found: &Found) -> Checked {
    let has_user = !found.text("username").is_empty() || !found.text("password").is_empty();
    if has_user && found.http.basic_auth.is_some() {
        return Err(
            "at most one of consul SD configuration username and password and basic auth can be configured"
                .to_owned(),
        );
    }
    let has_token = !found.text("token").is_empty();
    if has_token && (found.http.authorization.is_some() || found.http.oauth2.is_some()) {
        return Err("at most one of consul SD token, authorization, or oauth2 can be configured".to_owned());
    }
    if found.texts.get("server").is_some_and(String::is_empty) {
        return Err("consul SD configuration requires a server address".to_owned());
    }
    Ok(())
}

pub(super) fn dns(found: &Found) -> Checked {
    if found.list("names").is_empty() {
        return Err("DNS-SD config must contain at least one SRV record name".to_owned());
    }
    match found.text("type").to_ascii_uppercase().as_str() {
        "" | "SRV" | "MX" | "NS" => Ok(()),
        "A" | "AAAA" if matches!(found.text("port"), "" | "0") => {
            Err("a port is required in DNS-SD configs for all record types except SRV, MX and NS".to_owned())
        }
        "A" | "AAAA" => Ok(()),
        other => Err(format!("invalid DNS-SD records type {other}")),
    }
}

pub(super) fn docker(found: &Found) -> Checked {
    if found.text("host").is_empty() { Err("host missing".to_owned()) } else { Ok(()) }
}

pub(super) fn dockerswarm(found: &Found) -> Checked {
    docker(found)?;
    one_of(found, "role", &["services", "tasks", "nodes"], None)
}

fn filters(found: &Found, mechanism: &str) -> Checked {
    match found.sections("filters").iter().any(|filter| filter.list("values").is_empty()) {
        true => Err(format!("{mechanism} SD configuration filter values cannot be empty")),
        false => Ok(()),
    }
}

pub(super) fn ec2(found: &Found) -> Checked {
    filters(found, "EC2")
}

pub(super) fn eureka(found: &Found) -> Checked {
    http_url(found.text("server")).map_err(|fault| format!("eureka SD server: {fault}"))
}

pub(super) fn gce(found: &Found) -> Checked {
    require(found, &["project", "zone"], "GCE")
}

pub(super) fn hetzner(found: &Found) -> Checked {
    one_of(found, "role", &["robot", "hcloud"], None)
}

pub(super) fn http(found: &Found) -> Checked {
    http_url(found.text("url"))
}

pub(super) fn ionos(found: &Found) -> Checked {
    if found.text("datacenter_id").is_empty() {
        Err("datacenter id can't be empty".to_owned())
    } else {
        Ok(())
    }
}

/// Which selectors each role may have.
const KUBERNETES_SELECTORS: [(&str, &[&str]); 6] = [
    ("pod", &["pod", "node"]),
    ("service", &["service"]),
    ("endpoints", &["pod", "service", "endpoints"]),
    ("endpointslice", &["pod", "service", "endpointslice"]),
    ("node", &["node"]),
    ("ingress", &["ingress"]),
];

pub(super) fn kubernetes(found: &Found) -> Checked {
    let fault = |text: &str| Err(text.to_owned());
    let role = found.text("role");
    if role.is_empty() {
        return fault("role missing (one of: pod, service, endpoints, endpointslice, node, ingress)");
    }
    let Some((_, selectors)) = KUBERNETES_SELECTORS.iter().find(|(name, _)| *name == role) else {
        return Err(format!("unknown Kubernetes SD role {role:?}"));
    };
    let has_server = !found.text("api_server").is_empty();
    let has_kubeconfig = !found.text("kubeconfig_file").is_empty();
    let has_client = found.http != http_client::Settings::default();
    let own_namespace =
        found.sections("namespaces").iter().any(|namespaces| namespaces.text("own_namespace") == "true");
    if has_server && has_kubeconfig {
        return fault("cannot use 'kubeconfig_file' and 'api_server' simultaneously");
    }
    if has_kubeconfig && has_client {
        return fault("cannot use a custom HTTP client configuration together with 'kubeconfig_file'");
    }
    if !has_server && has_client {
        return fault(
            "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
        );
    }
    if has_server && own_namespace {
        return fault("cannot use 'api_server' and 'namespaces.own_namespace' simultaneously");
    }
    if has_kubeconfig && own_namespace {
        return fault("cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously");
    }
    let mut seen = Vec::new();
    for selector in found.sections("selectors") {
        let selector_role = selector.text("role");
        if seen.contains(&selector_role) {
            return Err(format!("duplicated selector role: {selector_role}"));
        }
        seen.push(selector_role);
        if !selectors.contains(&selector_role) {
            return Err(format!("{role} role supports only {} selectors", selectors.join(", ")));
        }
    }
    Ok(())
}

pub(super) fn kuma(found: &Found) -> Checked {
    http_url(found.text("server")).map_err(|fault| format!("kuma SD server: {fault}"))
}

pub(super) fn marathon(found: &Found) -> Checked {
    let fault = |text: &str| Err(format!("marathon_sd: {text}"));
    let has_token = !found.text("auth_token").is_empty();
    let has_token_file = !found.text("auth_token_file").is_empty();
    let http = &found.http;
    if found.list("servers").is_empty() {
        return fault("must contain at least one Marathon server");
    }
    if has_token && has_token_file {
        return fault("at most one of auth_token & auth_token_file must be configured");
    }
    if has_token || has_token_file {
        if http.basic_auth.is_some() {
            return fault("at most one of basic_auth, auth_token & auth_token_file must be configured");
        }
        if !http.bearer_token.is_empty() || !http.bearer_token_file.is_empty() {
            return fault(
                "at most one of bearer_token, bearer_token_file, auth_token & auth_token_file must be configured",
            );
        }
        if http.authorization.is_some() {
            return fault("at most one of auth_token, auth_token_file & authorization must be configured");
        }
    }
    Ok(())
}

fn zookeeper(found: &Found, mechanism: &str) -> Checked {
    if found.list("servers").is_empty() {
        return Err(format!("{mechanism} SD config must contain at least one Zookeeper server"));
    }
    if found.list("paths").is_empty() {
        return Err(format!("{mechanism} SD config must contain at least one path"));
    }
    match found.list("paths").iter().find(|path| !path.starts_with('/')) {
        Some(path) => Err(format!("{mechanism} SD config paths must begin with '/': {path}")),
        None => Ok(()),
    }
}

pub(super) fn nerve(found: &Found) -> Checked {
    zookeeper(found, "nerve")
}

pub(super) fn serverset(found: &Found) -> Checked {
    zookeeper(found, "serverset")
}

pub(super) fn nomad(found: &Found) -> Checked {
    if found.texts.get("server").is_some_and(String::is_empty) {
        return Err("nomad SD configuration requires a server address".to_owned());
    }
    Ok(())
}

pub(super) fn oci(found: &Found) -> Checked {
    require(found, &["region"], "OCI")?;
    if !found.text("key_passphrase").is_empty() && !found.text("key_passphrase_file").is_empty() {
        return Err("at most one of key_passphrase & key_passphrase_file must be configured".to_owned());
    }
    Ok(())
}

pub(super) fn openstack(found: &Found) -> Checked {
    one_of(found, "availability", &["public", "admin", "internal"], Some("public"))?;
    one_of(found, "role", &["instance", "hypervisor", "loadbalancer"], None)?;
    require(found, &["region"], "openstack")
}

pub(super) fn outscale(found: &Found) -> Checked {
    require(found, &["region", "access_key"], "outscale")?;
    secret_or_file(found, "outscale")
}

pub(super) fn ovhcloud(found: &Found) -> Checked {
    if found.texts.get("endpoint").is_some_and(String::is_empty) {
        return Err("ovhcloud SD configuration requires endpoint".to_owned());
    }
    require(found, &["application_key", "application_secret", "consumer_key"], "ovhcloud")?;
    one_of(found, "service", &["vps", "dedicated_server"], None)
}

pub(super) fn puppetdb(found: &Found) -> Checked {
    http_url(found.text("url"))?;
    if found.text("query").is_empty() { Err("query missing".to_owned()) } else { Ok(()) }
}

pub(super) fn scaleway(found: &Found) -> Checked {
    one_of(found, "role", &["instance", "baremetal"], None)?;
    require(found, &["project_id", "access_key"], "scaleway")?;
    secret_or_file(found, "scaleway")
}

pub(super) fn stackit(found: &Found) -> Checked {
    require(found, &["project"], "STACKIT")
}

pub(super) fn triton(found: &Found) -> Checked {
    one_of(found, "role", &["container", "cn"], Some("container"))?;
    require(found, &["account", "dns_suffix", "endpoint"], "triton")
}

pub(super) fn uyuni(found: &Found) -> Checked {
    require(found, &["server", "username", "password"], "uyuni")?;
    http_url(found.text("server")).map_err(|fault| format!("uyuni SD server: {fault}"))
}
