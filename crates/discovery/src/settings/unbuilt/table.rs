//! The keys of each mechanism, as Prometheus 3.14 knows them.

use super::Kind::{self, Bool, Duration, Int, Secret, Sections, Text, Texts, Tls};
use super::{Key, Mechanism, check};

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

const FILTERS: Kind = Sections(&[key("name", Text), key("values", Texts)]);

/// All mechanisms that are read and checked, but not collected from.
pub(super) const MECHANISMS: &[Mechanism] = &[
    Mechanism { key: "ionos_sd_configs", keys: IONOS, http: true, check: check::ionos },
    Mechanism { key: "kuma_sd_configs", keys: KUMA, http: true, check: check::kuma },
    Mechanism { key: "nerve_sd_configs", keys: ZOOKEEPER, http: false, check: check::nerve },
    Mechanism { key: "oci_sd_configs", keys: OCI, http: true, check: check::oci },
    Mechanism { key: "outscale_sd_configs", keys: OUTSCALE, http: true, check: check::outscale },
    Mechanism { key: "ovhcloud_sd_configs", keys: OVHCLOUD, http: false, check: check::ovhcloud },
    Mechanism { key: "puppetdb_sd_configs", keys: PUPPETDB, http: true, check: check::puppetdb },
    Mechanism { key: "scaleway_sd_configs", keys: SCALEWAY, http: true, check: check::scaleway },
    Mechanism { key: "serverset_sd_configs", keys: ZOOKEEPER, http: false, check: check::serverset },
    Mechanism { key: "stackit_sd_configs", keys: STACKIT, http: true, check: check::stackit },
    Mechanism { key: "triton_sd_configs", keys: TRITON, http: false, check: check::triton },
    Mechanism { key: "uyuni_sd_configs", keys: UYUNI, http: true, check: check::uyuni },
    Mechanism { key: "vultr_sd_configs", keys: VULTR, http: true, check: check::nothing },
];

const IONOS: &[Key] = &[key("datacenter_id", Text), key("port", Int), key("refresh_interval", Duration)];

const KUMA: &[Key] = &[
    key("server", Text),
    key("client_id", Text),
    key("refresh_interval", Duration),
    key("fetch_timeout", Duration),
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

const OUTSCALE: &[Key] = &[
    key("region", Text),
    key("endpoint", Text),
    key("access_key", Text),
    key("secret_key", Secret),
    key("secret_key_file", Text),
    key("port", Int),
    key("refresh_interval", Duration),
    key("filters", FILTERS),
];

const OVHCLOUD: &[Key] = &[
    key("endpoint", Text),
    key("application_key", Text),
    key("application_secret", Secret),
    key("consumer_key", Secret),
    key("refresh_interval", Duration),
    key("service", Text),
];

const PUPPETDB: &[Key] = &[
    key("url", Text),
    key("query", Text),
    key("include_parameters", Bool),
    key("port", Int),
    key("refresh_interval", Duration),
];

const SCALEWAY: &[Key] = &[
    key("project_id", Text),
    key("api_url", Text),
    key("zone", Text),
    key("access_key", Text),
    key("secret_key", Secret),
    key("secret_key_file", Text),
    key("name_filter", Text),
    key("tags_filter", Texts),
    key("refresh_interval", Duration),
    key("port", Int),
    key("role", Text),
];

const STACKIT: &[Key] = &[
    key("project", Text),
    key("role", Text),
    key("region", Text),
    key("endpoint", Text),
    key("service_account_key", Secret),
    key("private_key", Secret),
    key("service_account_key_path", Text),
    key("private_key_path", Text),
    key("credentials_file_path", Text),
    key("refresh_interval", Duration),
    key("port", Int),
];

const TRITON: &[Key] = &[
    key("account", Text),
    key("role", Text),
    key("dns_suffix", Text),
    key("endpoint", Text),
    key("groups", Texts),
    key("port", Int),
    key("refresh_interval", Duration),
    key("tls_config", Tls),
    key("version", Int),
];

const UYUNI: &[Key] = &[
    key("server", Text),
    key("username", Text),
    key("password", Secret),
    key("entitlement", Text),
    key("separator", Text),
    key("refresh_interval", Duration),
];

const VULTR: &[Key] = &[key("port", Int), key("refresh_interval", Duration)];
