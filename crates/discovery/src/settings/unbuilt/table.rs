//! The keys of each mechanism, as Prometheus 3.14 knows them.

use super::Kind::{self, Duration, Int, Secret, Text, Texts};
use super::{Key, Mechanism, check};

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

/// All mechanisms that are read and checked, but not collected from.
pub(super) const MECHANISMS: &[Mechanism] = &[
    Mechanism { key: "nerve_sd_configs", keys: ZOOKEEPER, http: false, check: check::nerve },
    Mechanism { key: "oci_sd_configs", keys: OCI, http: true, check: check::oci },
    Mechanism { key: "serverset_sd_configs", keys: ZOOKEEPER, http: false, check: check::serverset },
];

const ZOOKEEPER: &[Key] = &[key("servers", Texts), key("paths", Texts), key("timeout", Duration)];

const OCI: &[Key] = &[
    key("auth_method", Text),
    key("authentication_method", Text),
    key("tenancy", Text),
    key("user", Text),
    key("fingerprint", Text),
    key("key_file", Text),
    key("key_passphrase", Secret),
    key("key_passphrase_file", Text),
    key("region", Text),
    key("compartments", Texts),
    key("port", Int),
    key("refresh_interval", Duration),
];
