//! Against a server that answers as Hetzner's two APIs do.

use super::*;
use crate::testing::{Ask, Reply, Server as Imitation, check_targets, settings, shared};

fn cloud(ask: &Ask) -> Reply {
    if ask.header("authorization") != "Bearer abcdef" {
        return Reply::of(401, r#"{"error": {"code": "unauthorized", "message": "unable to authenticate"}}"#);
    }
    match (ask.path.as_str(), ask.parameter("page")) {
        ("/servers", "1") => Reply::json(
            r#"{"servers": [{"id": 42, "name": "my-server", "status": "running", "created": "2016-01-30T23:50+00:00",
                "public_net": {"ipv4": {"ip": "1.2.3.4", "blocked": false}, "ipv6": {"ip": "2001:db8::/64"}, "floating_ips": [478]},
                "private_net": [{"network": 4711, "ip": "10.0.0.2"}, {"network": 1, "ip": "10.1.0.2"}],
                "server_type": {"id": 1, "name": "cx11", "cores": 1, "memory": 1.0, "disk": 25, "cpu_type": "shared"},
                "datacenter": {"id": 1, "name": "fsn1-dc8", "location": {"id": 1, "name": "fsn1", "network_zone": "eu-central"}},
                "image": {"id": 4711, "name": "ubuntu-20.04", "description": "Ubuntu 20.04 Standard", "os_flavor": "ubuntu", "os_version": "20.04"},
                "labels": {"my-label": "my-value"}}],
              "meta": {"pagination": {"page": 1, "per_page": 50, "next_page": 2}}}"#,
        ),
        ("/servers", "2") => Reply::json(
            r#"{"servers": [{"id": 44, "name": "other", "status": "off", "public_net": {"ipv4": null, "ipv6": null}, "private_net": [],
                "server_type": {"memory": 2.5}, "image": null, "labels": {}}],
              "meta": {"pagination": {"next_page": null}}}"#,
        ),
        ("/networks", _) => {
            Reply::json(r#"{"networks": [{"id": 4711, "name": "my net"}], "meta": {"pagination": {}}}"#)
        }
        _ => Reply::not_found(),
    }
}

#[tokio::test]
async fn cloud_servers_of_all_pages() {
    let server = Imitation::start(cloud).await;
    let settings: Settings =
        settings("{role: hcloud, authorization: {credentials: abcdef}, label_selector: 'a==b'}");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = server.url.clone();
    let groups = source.refresh().await.expect("targets");
    check_targets(
        &groups,
        "__address__=1.2.3.4:80
         __meta_hetzner_datacenter=fsn1-dc8
         __meta_hetzner_hcloud_cpu_cores=1
         __meta_hetzner_hcloud_cpu_type=shared
         __meta_hetzner_hcloud_datacenter_location=fsn1
         __meta_hetzner_hcloud_datacenter_location_network_zone=eu-central
         __meta_hetzner_hcloud_disk_size_gb=25
         __meta_hetzner_hcloud_image_description=Ubuntu 20.04 Standard
         __meta_hetzner_hcloud_image_name=ubuntu-20.04
         __meta_hetzner_hcloud_image_os_flavor=ubuntu
         __meta_hetzner_hcloud_image_os_version=20.04
         __meta_hetzner_hcloud_label_my_label=my-value
         __meta_hetzner_hcloud_labelpresent_my_label=true
         __meta_hetzner_hcloud_memory_size_gb=1
         __meta_hetzner_hcloud_private_ipv4_my_net=10.0.0.2
         __meta_hetzner_hcloud_server_type=cx11
         __meta_hetzner_public_ipv4=1.2.3.4
         __meta_hetzner_public_ipv6_network=2001:db8::/64
         __meta_hetzner_role=hcloud
         __meta_hetzner_server_id=42
         __meta_hetzner_server_name=my-server
         __meta_hetzner_server_status=running

         __meta_hetzner_hcloud_cpu_cores=0
         __meta_hetzner_hcloud_disk_size_gb=0
         __meta_hetzner_hcloud_memory_size_gb=2
         __meta_hetzner_role=hcloud
         __meta_hetzner_server_id=44
         __meta_hetzner_server_name=other
         __meta_hetzner_server_status=off",
    );
    assert_eq!(server.asked("/servers")[0].parameter("label_selector"), "a==b");
    assert!(!server.asked("/networks")[0].query.contains_key("label_selector"));
}

#[tokio::test]
async fn dedicated_servers() {
    let server = Imitation::start(|ask| match ask.header("authorization") {
        "Basic bXktaGV0em5lcjpteS1wYXNz" => Reply::json(
            r#"[{"server": {"server_ip": "123.123.123.123", "server_number": 321, "server_name": "server1", "product": "DS 3000",
                "dc": "NBG1-DC1", "traffic": "5 TB", "status": "ready", "cancelled": false, "paid_until": "2010-09-02",
                "ip": ["123.123.123.123"], "subnet": [{"ip": "1.1.1.0", "mask": "24"}, {"ip": "2a01:4f8:111:4221::", "mask": "64"}]}}]"#,
        ),
        _ => Reply::of(401, ""),
    })
    .await;
    let settings: Settings =
        settings("{role: robot, basic_auth: {username: my-hetzner, password: my-pass}, port: 9100}");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = server.url.clone();
    check_targets(
        &source.refresh().await.expect("targets"),
        "__address__=123.123.123.123:9100
         __meta_hetzner_datacenter=nbg1-dc1
         __meta_hetzner_public_ipv4=123.123.123.123
         __meta_hetzner_public_ipv6_network=2a01:4f8:111:4221::/64
         __meta_hetzner_robot_cancelled=false
         __meta_hetzner_robot_product=DS 3000
         __meta_hetzner_role=robot
         __meta_hetzner_server_id=321
         __meta_hetzner_server_name=server1
         __meta_hetzner_server_status=ready",
    );
    let refused = Settings { http: http_client::Settings::default(), ..settings };
    let mut source = Source::new(&refused, &shared(&[])).expect("a source");
    source.base = server.url.clone();
    let error = source.refresh().await.expect_err("no credentials");
    assert!(error.to_string().contains("401 Unauthorized"), "{error}");
}

#[test]
fn a_role_is_needed() {
    for text in ["{}", "role: cloud"] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains("one of: robot, hcloud"), "{error}");
    }
}
