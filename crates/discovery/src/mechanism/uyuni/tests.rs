//! Against a server that answers as Uyuni's XML-RPC does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

fn answer(ask: &Ask, sessions: &AtomicU64) -> Reply {
    assert_eq!((ask.path.as_str(), ask.header("content-type")), ("/rpc/api", "text/xml"));
    let method = ask.body.split("<methodName>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or("");
    let fault = |text: &str| {
        format!(
            "<fault><value><struct><member><name>faultCode</name><value><int>2950</int></value></member>\
             <member><name>faultString</name><value>{text}</value></member></struct></value></fault>"
        )
    };
    let ok = |value: &str| format!("<params><param><value>{value}</value></param></params>");
    let member =
        |name: &str, value: &str| format!("<member><name>{name}</name><value>{value}</value></member>");
    let array = |structs: &[String]| {
        let items: String =
            structs.iter().map(|members| format!("<value><struct>{members}</struct></value>")).collect();
        format!("<array><data>{items}</data></array>")
    };
    let body = match method {
        "auth.login"
            if ask.body.contains("<string>h&amp;le</string>") && ask.body.contains("<int>600</int>") =>
        {
            ok(&format!("<string>session{}</string>", sessions.fetch_add(1, Ordering::SeqCst)))
        }
        "auth.login" => fault("Either the password or username is incorrect."),
        _ if !ask.body.contains("<string>session") => fault("no session"),
        "system.listSystemGroupsForSystemsWithEntitlement" => {
            assert!(ask.body.contains("monitoring_entitled"));
            let group = |name: &str| format!("{}{}", member("id", "<int>1</int>"), member("name", name));
            let groups = array(&[group("prod"), group("<string>web</string>")]);
            ok(&array(&[format!(
                "{}{}",
                member("id", "<i4>1000010000</i4>"),
                member("system_groups", &groups)
            )]))
        }
        "system.getNetworkForSystems" => {
            assert!(
                ask.body.contains("<array><data><value><int>1000010000</int></value></data></array>"),
                "{}",
                ask.body
            );
            ok(&array(&[[
                member("system_id", "<int>1000010000</int>"),
                member("hostname", "<string>client.example</string>"),
                member("primary_fqdn", "<string>client.primary.example</string>"),
                member("ip", "<string>10.0.0.1</string>"),
            ]
            .concat()]))
        }
        "system.monitoring.listEndpoints" => ok(&array(&[[
            member("system_id", "<int>1000010000</int>"),
            member("endpoint_name", "<string>node_exporter</string>"),
            member("exporter_name", "<string>node_exporter</string>"),
            member("module", "<string></string>"),
            member("path", "<string>/metrics</string>"),
            member("port", "<int>9100</int>"),
            member("tls_enabled", "<boolean>1</boolean>"),
        ]
        .concat()])),
        _ => fault("no such method"),
    };
    Reply::of(200, format!("<?xml version=\"1.0\"?>\n<methodResponse>{body}</methodResponse>"))
}

#[tokio::test]
async fn endpoints_of_monitored_systems_with_one_session() {
    let sessions = Arc::<AtomicU64>::default();
    let own = Arc::clone(&sessions);
    let server = Server::start(move |ask| answer(ask, &own)).await;
    let text = format!("{{server: '{}', username: gopher, password: 'h&le', separator: '|'}}", server.url);
    let mut source = Source::new(&settings(&text), &shared(&[])).unwrap();
    let want = "
        __address__=client.example:9100
        __meta_uyuni_endpoint_name=node_exporter
        __meta_uyuni_exporter=node_exporter
        __meta_uyuni_groups=prod|web
        __meta_uyuni_metrics_path=/metrics
        __meta_uyuni_minion_hostname=client.example
        __meta_uyuni_primary_fqdn=client.primary.example
        __meta_uyuni_scheme=https
        __meta_uyuni_system_id=1000010000";
    check_targets(&source.refresh().await.unwrap(), want);
    check_targets(&source.refresh().await.unwrap(), want);
    assert_eq!(sessions.load(Ordering::SeqCst), 1, "the session is kept");

    let text = text.replace("h&le", "wrong");
    let fault = Source::new(&settings(&text), &shared(&[])).unwrap().refresh().await.expect_err("refused");
    assert_eq!(fault.to_string(), "auth.login: Either the password or username is incorrect.");
}

#[tokio::test]
async fn values_nested_too_deeply_are_refused() {
    let nested = |depth: usize| {
        let (open, close) = ("<value><array><data>", "</data></array></value>");
        format!(
            "<methodResponse><params><param>{}{}</param></params></methodResponse>",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let server = Server::start(move |_| Reply::of(200, nested(100_000))).await;
    let text = format!("{{server: '{}', username: u, password: p}}", server.url);
    let fault = Source::new(&settings(&text), &shared(&[])).unwrap().refresh().await.expect_err("too deep");
    assert!(fault.to_string().ends_with("values are nested deeper than 32"), "{fault}");
}

#[test]
fn sections_are_checked_as_prometheus_checks_them() {
    let check = |text: &str, want: &str| {
        let fault = settings::<Settings>(text).check().expect_err(text);
        assert_eq!(fault.message, want, "{text}");
    };
    check("{}", "Uyuni SD configuration requires server host");
    check("{server: 'http://u'}", "Uyuni SD configuration requires a username");
    check("{server: 'http://u', username: u}", "Uyuni SD configuration requires a password");
}
