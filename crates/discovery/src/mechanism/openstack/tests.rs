//! Against a server that answers as Keystone, Nova, Neutron and Octavia do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

/// What of the cloud changes.
#[derive(Default)]
struct Cloud {
    base: OnceLock<String>,
    tokens: AtomicU64,
    /// Tokens are at their end when they are given.
    short: AtomicBool,
    /// Tokens before this one are refused.
    revoked: AtomicU64,
}

impl Cloud {
    fn token(&self, ask: &Ask) -> Reply {
        let body: Value = serde_json::from_str(&ask.body).unwrap();
        let secret = ["/password/user/password", "/application_credential/secret"]
            .iter()
            .find_map(|path| body["auth"]["identity"].pointer(path)?.as_str());
        if secret != Some("secret") {
            return Reply::of(
                401,
                r#"{"error": {"message": "The request you have made requires authentication."}}"#,
            );
        }
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let base = self.base.get().map_or("", String::as_str);
        let ends = if self.short.load(Ordering::SeqCst) {
            "2013-02-27T18:30:59.999999Z"
        } else {
            "2999-01-01T00:00:00.000000Z"
        };
        let service = |kind: &str, path: &str| {
            serde_json::json!({ "type": kind, "endpoints": [
                { "interface": "admin", "region": "RegionOne", "url": "http://127.0.0.1:1/" },
                { "interface": "public", "region": "RegionTwo", "url": "http://127.0.0.1:1/" },
                { "interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": format!("{base}{path}") },
            ]})
        };
        let catalog = [
            service("compute", "/nova/v2.1"),
            service("network", "/neutron"),
            service("load-balancer", "/octavia/"),
        ];
        let mut reply = Reply::json(
            serde_json::json!({ "token": { "expires_at": ends, "catalog": catalog } }).to_string(),
        );
        reply.headers.push(("X-Subject-Token".to_owned(), format!("token{number}")));
        reply
    }

    fn answer(&self, ask: &Ask) -> Reply {
        if ask.path == "/identity/v3/auth/tokens" {
            return self.token(ask);
        }
        let number =
            ask.header("x-auth-token").strip_prefix("token").and_then(|number| number.parse::<u64>().ok());
        if number.is_none_or(|number| number < self.revoked.load(Ordering::SeqCst)) {
            return Reply::of(401, "no token");
        }
        let server = |id: &str, more: &str| {
            format!(
                r#"{{"id": "{id}", "name": "{id}-name", "status": "ACTIVE", "tenant_id": "p1", "user_id": "u1", "image": {{"id": "img"}},
                    "metadata": {{"env-a": "prod"}}, "flavor": {{"id": "1"}}, {more}}}"#
            )
        };
        match ask.path.as_str() {
            "/neutron/v2.0/ports" => Reply::json(r#"{"ports": [{"id": "port1", "device_id": "s1"}]}"#),
            "/neutron/v2.0/floatingips" => Reply::json(
                r#"{"floatingips": [
                    {"floating_ip_address": "172.24.4.1", "fixed_ip_address": "10.0.0.3", "port_id": "port1", "tenant_id": "p1"},
                    {"floating_ip_address": "172.24.4.2", "fixed_ip_address": null, "port_id": null, "tenant_id": "p1"},
                    {"floating_ip_address": "172.24.4.9", "fixed_ip_address": "10.0.0.9", "port_id": "vip1", "tenant_id": "p1"}]}"#,
            ),
            "/nova/v2.1/servers/detail" if ask.parameter("marker").is_empty() => Reply::json(format!(
                r#"{{"servers": [{}], "servers_links": [{{"rel": "next", "href": "http://elsewhere.example/v2.1/servers/detail?marker=s1"}}]}}"#,
                server("s1", r#""addresses": {"private": [{"addr": "10.0.0.3"}, {"addr": "172.24.4.1"}]}"#)
            )),
            "/nova/v2.1/servers/detail" => {
                let volume = server("s2", r#""addresses": {"private": [{"addr": "fd00::2"}]}"#);
                let volume = volume
                    .replace(r#"{"id": "img"}"#, "\"\"")
                    .replace(r#"{"id": "1"}"#, r#"{"original_name": "m1.tiny"}"#);
                Reply::json(format!(r#"{{"servers": [{volume}, {}]}}"#, server("s3", r#""addresses": {}"#)))
            }
            "/nova/v2.1/os-hypervisors/detail" => Reply::json(
                r#"{"hypervisors": [{"id": 1, "hypervisor_hostname": "nc14.example", "hypervisor_type": "QEMU",
                    "host_ip": "172.16.70.14", "state": "up", "status": "enabled"}]}"#,
            ),
            "/octavia/v2.0/lbaas/loadbalancers" => Reply::json(
                r#"{"loadbalancers": [
                    {"id": "lb1", "name": "one", "operating_status": "ONLINE", "provisioning_status": "ACTIVE", "availability_zone": "az1",
                     "vip_address": "10.0.0.9", "vip_port_id": "vip1", "provider": "amphora", "project_id": "p1", "tags": ["a", "b"]},
                    {"id": "lb2", "name": "two", "vip_address": "10.0.0.10", "vip_port_id": "vip2"}]}"#,
            ),
            "/octavia/v2.0/lbaas/listeners" => Reply::json(
                r#"{"listeners": [
                    {"protocol": "HTTP", "protocol_port": 80, "loadbalancers": [{"id": "lb1"}, {"id": "lb2"}]},
                    {"protocol": "PROMETHEUS", "protocol_port": 8088, "loadbalancers": [{"id": "lb1"}]}]}"#,
            ),
            _ => Reply::not_found(),
        }
    }
}

async fn start(text: &str, variables: &[(&str, &str)]) -> (Arc<Cloud>, Server, Source) {
    let cloud = Arc::<Cloud>::default();
    let own = Arc::clone(&cloud);
    let server = Server::start(move |ask| own.answer(ask)).await;
    cloud.base.set(server.url.clone()).unwrap();
    let endpoint = format!("{}/identity", server.url);
    let settings: Settings = settings(&text.replace("ENDPOINT", &endpoint));
    settings.check().unwrap();
    let mut variables = variables.to_vec();
    variables.push(("OS_AUTH_URL", &endpoint));
    let source = Source::new(&settings, &shared(&variables)).unwrap();
    (cloud, server, source)
}

const INSTANCES: &str = "{identity_endpoint: ENDPOINT, username: admin, password: secret, domain_name: Default, project_name: demo, \
    role: instance, region: RegionOne, port: 9100, all_tenants: true}";

#[tokio::test]
async fn instances_of_all_pages_with_their_floating_addresses() {
    let (_, server, mut source) = start(INSTANCES, &[]).await;
    let groups = source.refresh().await.unwrap();
    assert_eq!(groups[0].source, "OS_RegionOne");
    let want = "
        __address__=10.0.0.3:9100
        __meta_openstack_address_pool=private
        __meta_openstack_instance_flavor=1
        __meta_openstack_instance_id=s1
        __meta_openstack_instance_image=img
        __meta_openstack_instance_name=s1-name
        __meta_openstack_instance_status=ACTIVE
        __meta_openstack_private_ip=10.0.0.3
        __meta_openstack_project_id=p1
        __meta_openstack_public_ip=172.24.4.1
        __meta_openstack_tag_env_a=prod
        __meta_openstack_user_id=u1

        __address__=[fd00::2]:9100
        __meta_openstack_address_pool=private
        __meta_openstack_instance_flavor=m1.tiny
        __meta_openstack_instance_id=s2
        __meta_openstack_instance_name=s2-name
        __meta_openstack_instance_status=ACTIVE
        __meta_openstack_private_ip=fd00::2
        __meta_openstack_project_id=p1
        __meta_openstack_tag_env_a=prod
        __meta_openstack_user_id=u1";
    check_targets(&groups, want);
    assert_eq!(server.asked("/nova")[0].parameter("all_tenants"), "true");
    let body: Value = serde_json::from_str(&server.asked("/identity")[0].body).unwrap();
    let want = serde_json::json!({ "auth": {
        "identity": { "methods": ["password"], "password": { "user":
            { "name": "admin", "domain": { "name": "Default" }, "password": "secret" } } },
        "scope": { "project": { "name": "demo", "domain": { "name": "Default" } } },
    }});
    assert_eq!(body, want);
}

#[tokio::test]
async fn hypervisors_and_load_balancers_are_roles_of_their_own() {
    let text = INSTANCES.replace("role: instance", "role: hypervisor");
    let (_, _server, mut source) = start(&text, &[]).await;
    let want = "
        __address__=172.16.70.14:9100
        __meta_openstack_hypervisor_host_ip=172.16.70.14
        __meta_openstack_hypervisor_hostname=nc14.example
        __meta_openstack_hypervisor_id=1
        __meta_openstack_hypervisor_state=up
        __meta_openstack_hypervisor_status=enabled
        __meta_openstack_hypervisor_type=QEMU";
    check_targets(&source.refresh().await.unwrap(), want);

    let text = INSTANCES.replace("role: instance", "role: loadbalancer");
    let (_, _server, mut source) = start(&text, &[]).await;
    let want = "
        __address__=10.0.0.9:8088
        __meta_openstack_loadbalancer_availability_zone=az1
        __meta_openstack_loadbalancer_id=lb1
        __meta_openstack_loadbalancer_name=one
        __meta_openstack_loadbalancer_operating_status=ONLINE
        __meta_openstack_loadbalancer_provider=amphora
        __meta_openstack_loadbalancer_provisioning_status=ACTIVE
        __meta_openstack_loadbalancer_tags=a,b
        __meta_openstack_loadbalancer_vip=10.0.0.9
        __meta_openstack_project_id=p1";
    // Its port is not among those of instances, but its floating address is known all the same.
    let want = want.replace(
        "        __meta_openstack_loadbalancer_id",
        "        __meta_openstack_loadbalancer_floating_ip=172.24.4.9\n        __meta_openstack_loadbalancer_id",
    );
    check_targets(&source.refresh().await.unwrap(), &want);
}

#[tokio::test]
async fn tokens_are_kept_until_their_end_and_renewed_when_revoked() {
    let (cloud, server, mut source) = start(INSTANCES, &[]).await;
    source.refresh().await.unwrap();
    source.refresh().await.unwrap();
    assert_eq!(server.asked("/identity").len(), 1, "kept");
    cloud.revoked.store(2, Ordering::SeqCst);
    source.refresh().await.unwrap();
    assert_eq!(server.asked("/identity").len(), 2, "revoked before its time");

    let (cloud, server, mut source) = start(INSTANCES, &[]).await;
    cloud.short.store(true, Ordering::SeqCst);
    source.refresh().await.unwrap();
    source.refresh().await.unwrap();
    assert_eq!(server.asked("/identity").len(), 2, "at its end");
}

#[tokio::test]
async fn who_we_are_may_come_from_the_environment_and_be_refused() {
    let text = "{role: hypervisor, region: RegionOne}";
    let credential = [("OS_APPLICATION_CREDENTIAL_ID", "c1"), ("OS_APPLICATION_CREDENTIAL_SECRET", "secret")];
    let (_, server, mut source) = start(text, &credential).await;
    assert_eq!(source.refresh().await.unwrap()[0].targets.len(), 1);
    let body: Value = serde_json::from_str(&server.asked("/identity")[0].body).unwrap();
    let want = serde_json::json!({ "auth": { "identity": {
        "methods": ["application_credential"], "application_credential": { "id": "c1", "secret": "secret" } } } });
    assert_eq!(body, want);

    let user = [("OS_USERNAME", "admin"), ("OS_PASSWORD", "wrong")];
    let (_, _server, mut source) = start(text, &user).await;
    let fault = source.refresh().await.expect_err("refused").to_string();
    assert!(fault.contains("/identity/v3/auth/tokens answered 401"), "{fault}");

    let (_, _server, mut source) = start(&INSTANCES.replace("RegionOne", "Nowhere"), &[]).await;
    let fault = source.refresh().await.expect_err("nowhere").to_string();
    assert_eq!(fault, "the catalogue has no public endpoint of network in region \"Nowhere\"");
}

#[test]
fn sections_are_checked_as_prometheus_checks_them() {
    let check = |text: &str, want: &str| {
        let fault = settings::<Settings>(text).check().expect_err(text);
        assert_eq!(fault.message, want, "{text}");
    };
    check("{region: r}", "role missing (one of: instance, hypervisor, loadbalancer)");
    check("{region: r, role: invalid}", "unknown OpenStack SD role \"invalid\"");
    check(
        "{region: r, role: instance, availability: x}",
        "unknown availability x, must be one of admin, internal or public",
    );
}
