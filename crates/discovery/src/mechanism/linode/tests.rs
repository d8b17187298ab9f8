//! Against a server that answers as Linode's API does.

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

fn answer(ask: &Ask) -> Reply {
    let page = |data: &str, pages: usize| {
        Reply::json(format!(r#"{{"data": [{data}], "page": 1, "pages": {pages}, "results": 1}}"#))
    };
    match (ask.path.as_str(), ask.parameter("page")) {
        ("/linode/instances", "1") => page(
            r#"{"id": 26838044, "label": "prometheus-linode-sd-exporter-1", "group": "", "status": "running",
              "created": "2021-05-12T04:23:44", "type": "g6-standard-2", "ipv4": ["45.33.82.151", "96.126.108.16", "192.168.170.51"],
              "ipv6": "2600:3c03::f03c:92ff:fe1a:1382/128", "image": "linode/arch", "region": "us-east",
              "specs": {"disk": 81920, "memory": 4096, "vcpus": 2, "gpus": 0, "transfer": 4000},
              "backups": {"enabled": false}, "hypervisor": "kvm", "tags": ["monitoring"]}"#,
            2,
        ),
        ("/linode/instances", _) => page(r#"{"id": 1, "ipv4": []}"#, 2),
        ("/networking/ips", _) => page(
            r#"{"address": "45.33.82.151", "public": true, "rdns": "li1028-151.members.linode.com", "type": "ipv4"},
              {"address": "96.126.108.16", "public": true, "rdns": null},
              {"address": "192.168.170.51", "public": false, "rdns": null},
              {"address": "2600:3c03::f03c:92ff:fe1a:1382", "public": true, "rdns": null}"#,
            1,
        ),
        ("/networking/ipv6/ranges", _) => page(
            r#"{"range": "2600:3c03:e000:123::", "prefix": 64, "region": "us-east",
              "route_target": "2600:3c03::f03c:92ff:fe1a:1382"}"#,
            1,
        ),
        _ => Reply::not_found(),
    }
}

#[tokio::test]
async fn instances_with_their_addresses() {
    let server = Server::start(answer).await;
    let settings: Settings = settings("{authorization: {credentials: t}, region: us-east}");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = server.url.clone();
    check_targets(
        &source.refresh().await.expect("targets"),
        "__address__=45.33.82.151:80
         __meta_linode_backups=disabled
         __meta_linode_extra_ips=,96.126.108.16,
         __meta_linode_gpus=0
         __meta_linode_hypervisor=kvm
         __meta_linode_image=linode/arch
         __meta_linode_instance_id=26838044
         __meta_linode_instance_label=prometheus-linode-sd-exporter-1
         __meta_linode_ipv6_ranges=,2600:3c03:e000:123::/64,
         __meta_linode_private_ipv4=192.168.170.51
         __meta_linode_public_ipv4=45.33.82.151
         __meta_linode_public_ipv4_rdns=li1028-151.members.linode.com
         __meta_linode_public_ipv6=2600:3c03::f03c:92ff:fe1a:1382
         __meta_linode_region=us-east
         __meta_linode_specs_disk_bytes=85899345920
         __meta_linode_specs_memory_bytes=4294967296
         __meta_linode_specs_transfer_bytes=4194304000
         __meta_linode_specs_vcpus=2
         __meta_linode_status=running
         __meta_linode_tags=,monitoring,
         __meta_linode_type=g6-standard-2",
    );
    let asked = server.asked("/linode/instances");
    assert_eq!(asked.len(), 2, "all pages");
    assert_eq!(asked[0].header("x-filter"), r#"{"region":"us-east"}"#);
}
