//! The keys of each mechanism, as Prometheus 3.14 knows them.

use super::Kind::{self, Bool, Duration, Int, Map, Secret, Section, Sections, Text, Texts, Tls};
use super::{Key, Mechanism, check};

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

const FILTERS: Kind = Sections(&[key("name", Text), key("values", Texts)]);

/// All mechanisms that are read and checked, but not collected from.
pub(super) const MECHANISMS: &[Mechanism] = &[
    Mechanism { key: "aws_sd_configs", keys: AWS, http: true, check: check::aws },
    Mechanism { key: "azure_sd_configs", keys: AZURE, http: true, check: check::azure },
    Mechanism { key: "consul_sd_configs", keys: CONSUL, http: true, check: check::consul },
    Mechanism { key: "digitalocean_sd_configs", keys: DIGITALOCEAN, http: true, check: check::nothing },
    Mechanism { key: "dns_sd_configs", keys: DNS, http: false, check: check::dns },
    Mechanism { key: "docker_sd_configs", keys: DOCKER, http: true, check: check::docker },
    Mechanism { key: "dockerswarm_sd_configs", keys: DOCKERSWARM, http: true, check: check::dockerswarm },
    Mechanism { key: "ec2_sd_configs", keys: EC2, http: true, check: check::ec2 },
    Mechanism { key: "eureka_sd_configs", keys: EUREKA, http: true, check: check::eureka },
    Mechanism { key: "gce_sd_configs", keys: GCE, http: false, check: check::gce },
    Mechanism { key: "hetzner_sd_configs", keys: HETZNER, http: true, check: check::hetzner },
    Mechanism { key: "http_sd_configs", keys: HTTP, http: true, check: check::http },
    Mechanism { key: "ionos_sd_configs", keys: IONOS, http: true, check: check::ionos },
    Mechanism { key: "kubernetes_sd_configs", keys: KUBERNETES, http: true, check: check::kubernetes },
    Mechanism { key: "kuma_sd_configs", keys: KUMA, http: true, check: check::kuma },
    Mechanism { key: "lightsail_sd_configs", keys: LIGHTSAIL, http: true, check: check::nothing },
    Mechanism { key: "linode_sd_configs", keys: LINODE, http: true, check: check::nothing },
    Mechanism { key: "marathon_sd_configs", keys: MARATHON, http: true, check: check::marathon },
    Mechanism { key: "nerve_sd_configs", keys: ZOOKEEPER, http: false, check: check::nerve },
    Mechanism { key: "nomad_sd_configs", keys: NOMAD, http: true, check: check::nomad },
    Mechanism { key: "oci_sd_configs", keys: OCI, http: true, check: check::oci },
    Mechanism { key: "openstack_sd_configs", keys: OPENSTACK, http: false, check: check::openstack },
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

const AWS: &[Key] = &[
    key("role", Text),
    key("region", Text),
    key("endpoint", Text),
    key("access_key", Text),
    key("secret_key", Secret),
    key("profile", Text),
    key("role_arn", Text),
    key("external_id", Text),
    key("clusters", Texts),
    key("request_concurrency", Int),
    key("refresh_interval", Duration),
    key("port", Int),
    key("filters", FILTERS),
];

const AZURE: &[Key] = &[
    key("environment", Text),
    key("port", Int),
    key("subscription_id", Text),
    key("tenant_id", Text),
    key("client_id", Text),
    key("client_secret", Secret),
    key("refresh_interval", Duration),
    key("authentication_method", Text),
    key("resource_group", Text),
];

const CONSUL: &[Key] = &[
    key("server", Text),
    key("path_prefix", Text),
    key("token", Secret),
    key("datacenter", Text),
    key("namespace", Text),
    key("partition", Text),
    key("tag_separator", Text),
    key("scheme", Text),
    key("username", Text),
    key("password", Secret),
    key("allow_stale", Bool),
    key("refresh_interval", Duration),
    key("services", Texts),
    key("tags", Texts),
    key("node_meta", Map),
    key("filter", Text),
    key("health_filter", Text),
];

const DIGITALOCEAN: &[Key] = &[key("role", Text), key("port", Int), key("refresh_interval", Duration)];

const DNS: &[Key] =
    &[key("names", Texts), key("refresh_interval", Duration), key("type", Text), key("port", Int)];

const DOCKER: &[Key] = &[
    key("host", Text),
    key("port", Int),
    key("filters", FILTERS),
    key("host_networking_host", Text),
    key("refresh_interval", Duration),
    key("match_first_network", Bool),
];

const DOCKERSWARM: &[Key] = &[
    key("host", Text),
    key("role", Text),
    key("port", Int),
    key("filters", FILTERS),
    key("refresh_interval", Duration),
];

const EC2: &[Key] = &[
    key("endpoint", Text),
    key("region", Text),
    key("access_key", Text),
    key("secret_key", Secret),
    key("profile", Text),
    key("role_arn", Text),
    key("external_id", Text),
    key("refresh_interval", Duration),
    key("port", Int),
    key("filters", FILTERS),
];

const EUREKA: &[Key] = &[key("server", Text), key("refresh_interval", Duration)];

const GCE: &[Key] = &[
    key("project", Text),
    key("zone", Text),
    key("filter", Text),
    key("refresh_interval", Duration),
    key("port", Int),
    key("tag_separator", Text),
];

const HETZNER: &[Key] =
    &[key("role", Text), key("port", Int), key("refresh_interval", Duration), key("label_selector", Text)];

const HTTP: &[Key] = &[key("url", Text), key("refresh_interval", Duration)];

const IONOS: &[Key] = &[key("datacenter_id", Text), key("port", Int), key("refresh_interval", Duration)];

const KUBERNETES: &[Key] = &[
    key("api_server", Text),
    key("role", Text),
    key("kubeconfig_file", Text),
    key("namespaces", Section(&[key("own_namespace", Bool), key("names", Texts)])),
    key("selectors", Sections(&[key("role", Text), key("label", Text), key("field", Text)])),
    key("attach_metadata", Section(&[key("node", Bool), key("namespace", Bool)])),
];

const KUMA: &[Key] = &[
    key("server", Text),
    key("client_id", Text),
    key("refresh_interval", Duration),
    key("fetch_timeout", Duration),
];

const LIGHTSAIL: &[Key] = &[
    key("endpoint", Text),
    key("region", Text),
    key("access_key", Text),
    key("secret_key", Secret),
    key("profile", Text),
    key("role_arn", Text),
    key("external_id", Text),
    key("refresh_interval", Duration),
    key("port", Int),
];

const LINODE: &[Key] =
    &[key("refresh_interval", Duration), key("port", Int), key("tag_separator", Text), key("region", Text)];

const MARATHON: &[Key] = &[
    key("servers", Texts),
    key("refresh_interval", Duration),
    key("auth_token", Secret),
    key("auth_token_file", Text),
];

const ZOOKEEPER: &[Key] = &[key("servers", Texts), key("paths", Texts), key("timeout", Duration)];

const NOMAD: &[Key] = &[
    key("allow_stale", Bool),
    key("namespace", Text),
    key("refresh_interval", Duration),
    key("region", Text),
    key("server", Text),
    key("tag_separator", Text),
];

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

const OPENSTACK: &[Key] = &[
    key("identity_endpoint", Text),
    key("username", Text),
    key("userid", Text),
    key("password", Secret),
    key("project_name", Text),
    key("project_id", Text),
    key("domain_name", Text),
    key("domain_id", Text),
    key("application_credential_name", Text),
    key("application_credential_id", Text),
    key("application_credential_secret", Secret),
    key("role", Text),
    key("region", Text),
    key("refresh_interval", Duration),
    key("port", Int),
    key("all_tenants", Bool),
    key("tls_config", Tls),
    key("availability", Text),
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
