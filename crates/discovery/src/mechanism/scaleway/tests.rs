//! Against a server that answers as Scaleway's APIs do.

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

fn answer(ask: &Ask) -> Reply {
    if ask.header("x-auth-token") != "key" {
        return Reply::of(401, r#"{"message": "authentication is denied", "type": "denied_authentication"}"#);
    }
    let path = ask.path.as_str();
    match (path, ask.parameter("page")) {
        ("/instance/v1/zones/fr-par-1/servers", "1") => {
            let full = r#"{"id": "93c18a61", "name": "scw-1", "arch": "x86_64", "boot_type": "local", "commercial_type": "DEV1-S", "hostname": "h1",
                "organization": "org", "project": "P", "state": "running", "zone": "fr-par-1", "private_ip": "10.70.60.57",
                "image": {"id": "45a86b35", "name": "Ubuntu", "arch": "x86_64"}, "tags": ["a", "b"], "ipv6": {"address": "2001:db8::1"},
                "location": {"cluster_id": "40", "hypervisor_id": "1601", "node_id": "29"}, "public_ip": {"address": "51.158.183.115"},
                "public_ips": [{"address": "51.158.183.115", "family": "inet"}, {"address": "2001:db8::1", "family": "inet6"}],
                "security_group": {"id": "984414da", "name": "Default"}}"#;
            // A page is full with a hundred.
            let none = vec![r#"{"id": "none", "private_ip": null, "public_ip": null, "public_ips": []}"#; 99];
            Reply::json(format!(r#"{{"servers": [{full}, {}]}}"#, none.join(", ")))
        }
        ("/instance/v1/zones/fr-par-1/servers", "2") => Reply::json(
            r#"{"servers": [{"id": "two", "zone": "fr-par-1", "private_ip": null, "public_ips": [{"address": "2001:db8::2", "family": "inet6"}]}]}"#,
        ),
        ("/baremetal/v1/zones/fr-par-2/servers", "1") => Reply::json(
            r#"{"total_count": 1, "servers": [{"id": "m1", "name": "metal", "status": "ready", "zone": "fr-par-2", "offer_id": "o1", "install": {"os_id": "s1"},
                "tags": ["x"], "ips": [{"address": "51.1.1.1", "version": "IPv4"}, {"address": "2001:db8::3", "version": "IPv6"}]}]}"#,
        ),
        ("/baremetal/v1/zones/fr-par-2/offers", "1") => {
            Reply::json(r#"{"offers": [{"id": "o1", "name": "EM-A116X-SSD"}]}"#)
        }
        ("/baremetal/v1/zones/fr-par-2/os", "1") => {
            Reply::json(r#"{"os": [{"id": "s1", "name": "Debian", "version": "12 (Bookworm)"}]}"#)
        }
        _ => Reply::not_found(),
    }
}

fn source(text: &str, server: &Server) -> Source {
    let settings: Settings =
        settings(&format!("{{project_id: P, access_key: A, api_url: '{}', {text}}}", server.url));
    settings.check().unwrap();
    Source::new(&settings, &shared(&[])).unwrap()
}

#[tokio::test]
async fn instances_of_all_pages() {
    let server = Server::start(answer).await;
    let mut source =
        source("role: instance, secret_key: key, name_filter: scw, tags_filter: [a, b]", &server);
    let want = "
        __address__=10.70.60.57:80
        __meta_scaleway_instance_boot_type=local
        __meta_scaleway_instance_hostname=h1
        __meta_scaleway_instance_id=93c18a61
        __meta_scaleway_instance_image_arch=x86_64
        __meta_scaleway_instance_image_id=45a86b35
        __meta_scaleway_instance_image_name=Ubuntu
        __meta_scaleway_instance_location_cluster_id=40
        __meta_scaleway_instance_location_hypervisor_id=1601
        __meta_scaleway_instance_location_node_id=29
        __meta_scaleway_instance_name=scw-1
        __meta_scaleway_instance_organization_id=org
        __meta_scaleway_instance_private_ipv4=10.70.60.57
        __meta_scaleway_instance_project_id=P
        __meta_scaleway_instance_public_ipv4=51.158.183.115
        __meta_scaleway_instance_public_ipv4_addresses=,51.158.183.115,
        __meta_scaleway_instance_public_ipv6=2001:db8::1
        __meta_scaleway_instance_public_ipv6_addresses=,2001:db8::1,
        __meta_scaleway_instance_region=fr-par
        __meta_scaleway_instance_security_group_id=984414da
        __meta_scaleway_instance_security_group_name=Default
        __meta_scaleway_instance_status=running
        __meta_scaleway_instance_tags=,a,b,
        __meta_scaleway_instance_type=DEV1-S
        __meta_scaleway_instance_zone=fr-par-1

        __address__=[2001:db8::2]:80
        __meta_scaleway_instance_id=two
        __meta_scaleway_instance_public_ipv6_addresses=,2001:db8::2,
        __meta_scaleway_instance_region=fr-par
        __meta_scaleway_instance_zone=fr-par-1";
    check_targets(&source.refresh().await.unwrap(), want);
    let asked = &server.asked("/instance")[0];
    let filters = ["project", "name", "tags"].map(|name| asked.parameter(name));
    assert_eq!(filters, ["P", "scw", "a,b"]);
}

#[tokio::test]
async fn metal_servers_are_a_target_an_address_and_the_secret_may_be_in_a_file() {
    let server = Server::start(answer).await;
    let directory = tempfile::tempdir().unwrap();
    tokio::fs::write(directory.path().join("key"), "key\n").await.unwrap();
    let text = format!(
        "{{role: baremetal, zone: fr-par-2, project_id: P, access_key: A, secret_key_file: key, api_url: '{}'}}",
        server.url
    );
    let mut settings: Settings = settings(&text);
    settings.set_directory(directory.path());
    let mut source = Source::new(&settings, &shared(&[])).unwrap();
    let target = |address: &str, version: &str| {
        format!(
            "__address__={address}
             __meta_scaleway_baremetal_id=m1
             __meta_scaleway_baremetal_ip_is_public=true
             __meta_scaleway_baremetal_ip_version={version}
             __meta_scaleway_baremetal_name=metal
             __meta_scaleway_baremetal_os_name=Debian
             __meta_scaleway_baremetal_os_version=12 (Bookworm)
             __meta_scaleway_baremetal_status=ready
             __meta_scaleway_baremetal_tags=,x,
             __meta_scaleway_baremetal_type=EM-A116X-SSD
             __meta_scaleway_baremetal_zone=fr-par-2"
        )
    };
    let want = format!("{}\n\n{}", target("51.1.1.1:80", "IPv4"), target("[2001:db8::3]:80", "IPv6"));
    check_targets(&source.refresh().await.unwrap(), &want);
}

#[test]
fn sections_are_checked_as_prometheus_checks_them() {
    let check = |text: &str, want: &str| {
        let fault = settings::<Settings>(text).check().expect_err(text);
        assert_eq!(fault.message, want, "{text}");
    };
    check("{}", "role missing (one of: instance, baremetal)");
    check("{role: x}", "unknown role \"x\"");
    check("{role: instance}", "project_id is mandatory");
    check("{role: instance, project_id: P}", "one of secret_key & secret_key_file must be configured");
    check(
        "{role: instance, project_id: P, secret_key: a, secret_key_file: b}",
        "at most one of secret_key & secret_key_file must be configured",
    );
    check("{role: instance, project_id: P, secret_key: a}", "access_key is mandatory");
}
