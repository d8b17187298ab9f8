//! Against a server that answers as Hetzner's two APIs do.

use super::*;
use crate::testing::{Reply, Server as Imitation, check_targets, settings, shared};

#[tokio::test]
async fn cloud_servers_of_all_pages() {
    let (server, recorded) = Imitation::recorded(include_str!("../../../testdata/hetzner.txt")).await;
    let settings: Settings =
        settings("{role: hcloud, authorization: {credentials: TOKEN}, label_selector: 'env=prod'}");
    let mut source = Source::new(&settings, &shared(&[])).expect("a source");
    source.base = format!("{}/v1", server.url);
    let groups = source.refresh().await.expect("targets");
    check_targets(&groups, recorded.targets("hetzner"));
    assert_eq!(server.asked("/v1/servers")[0].parameter("label_selector"), "env=prod");
    assert!(!server.asked("/v1/networks")[0].query.contains_key("label_selector"));
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
