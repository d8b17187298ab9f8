//! Against a server that answers as DigitalOcean's API does.

use super::*;
use crate::testing::{Reply, Server, check_targets, settings, shared};

fn droplet(id: i64, public: &str) -> String {
    format!(
        r#"{{"id": {id}, "name": "d{id}", "memory": 1024, "status": "active", "size_slug": "s-1vcpu-1gb", "vpc_uuid": "v1",
          "image": {{"id": 1, "name": "20.04 (LTS) x64", "slug": "ubuntu-20-04-x64"}}, "region": {{"slug": "fra1", "name": "Frankfurt"}},
          "features": ["backups", "ipv6"], "tags": ["monitor"],
          "networks": {{"v4": [{{"ip_address": "10.0.0.1", "type": "private"}}, {{"ip_address": "{public}", "type": "public"}}],
            "v6": [{{"ip_address": "2604:a880::1", "netmask": 64, "type": "public"}}]}}}}"#
    )
}

#[tokio::test]
async fn droplets_of_all_pages() {
    let server = Server::start(|ask| {
        if ask.header("authorization") != "Bearer t" {
            return Reply::of(401, r#"{"id": "Unauthorized", "message": "Unable to authenticate you."}"#);
        }
        let (droplet, links) = match ask.parameter("page") {
            "1" => (
                droplet(1, "1.1.1.1"),
                r#"{"pages": {"next": "https://x?page=2", "last": "https://x?page=2"}}"#,
            ),
            _ => (
                r#"{"id": 3, "networks": {"v4": [], "v6": []}}"#.to_owned(),
                r#"{"pages": {"prev": "https://x?page=1"}}"#,
            ),
        };
        Reply::json(format!(r#"{{"droplets": [{droplet}], "links": {links}, "meta": {{"total": 2}}}}"#))
    })
    .await;
    let settings: Settings = settings("bearer_token: t");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = server.url.clone();
    check_targets(
        &source.refresh().await.expect("targets"),
        "__address__=1.1.1.1:80
         __meta_digitalocean_droplet_id=1
         __meta_digitalocean_droplet_name=d1
         __meta_digitalocean_features=,backups,ipv6,
         __meta_digitalocean_image=ubuntu-20-04-x64
         __meta_digitalocean_image_name=20.04 (LTS) x64
         __meta_digitalocean_private_ipv4=10.0.0.1
         __meta_digitalocean_public_ipv4=1.1.1.1
         __meta_digitalocean_public_ipv6=2604:a880::1
         __meta_digitalocean_region=fra1
         __meta_digitalocean_size=s-1vcpu-1gb
         __meta_digitalocean_status=active
         __meta_digitalocean_tags=,monitor,
         __meta_digitalocean_vpc=v1",
    );
    assert_eq!(server.asked("/v2/droplets").len(), 2);
}
