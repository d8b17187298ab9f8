//! Against a server that answers as Uyuni's XML-RPC does.

use super::*;
use crate::testing::{Reply, Server, check_targets, settings, shared};

#[tokio::test]
async fn endpoints_of_monitored_systems_with_one_session() {
    let (server, recorded) = Server::recorded(include_str!("../../../testdata/uyuni.txt")).await;
    let text = format!("{{server: '{}', username: kymo, password: 'SECRET&'}}", server.url);
    let mut source = Source::new(&settings(&text), &shared(&[])).unwrap();
    check_targets(&source.refresh().await.unwrap(), recorded.targets("uyuni"));
    check_targets(&source.refresh().await.unwrap(), recorded.targets("uyuni"));
    let asked = server.asked("/rpc/api");
    assert_eq!(asked.iter().filter(|ask| ask.body.contains("auth.login")).count(), 1, "the session is kept");

    let text = text.replace("SECRET&", "wrong");
    let fault = Source::new(&settings(&text), &shared(&[])).unwrap().refresh().await.expect_err("refused");
    assert_eq!(fault.to_string(), "auth.login: Either the password or username is incorrect.");

    let text = text.replace("wrong", "SECRET&").replace('}', ", separator: '|'}");
    let groups = Source::new(&settings(&text), &shared(&[])).unwrap().refresh().await.unwrap();
    assert_eq!(groups[0].targets[0].get("__meta_uyuni_groups"), Some("prod|web"));
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
