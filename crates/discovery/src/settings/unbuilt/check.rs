//! What each mechanism's section must hold. Texts are Prometheus' where it has any.

use super::Found;

type Checked = Result<(), String>;

fn require(found: &Found, keys: &[&str], mechanism: &str) -> Checked {
    match keys.iter().find(|key| found.text(key).is_empty()) {
        Some(key) => Err(format!("{mechanism} SD configuration requires {key}")),
        None => Ok(()),
    }
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

pub(super) fn oci(found: &Found) -> Checked {
    require(found, &["region"], "OCI")?;
    if !found.text("key_passphrase").is_empty() && !found.text("key_passphrase_file").is_empty() {
        return Err("at most one of key_passphrase & key_passphrase_file must be configured".to_owned());
    }
    Ok(())
}
