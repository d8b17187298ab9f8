//! Against a server that answers as an endpoint of `http_sd_configs` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Settings;
use crate::mechanism::Configured;
use crate::testing::{Reply, Server, check_targets, discover, settings, shared, until, until_addresses};

#[tokio::test]
async fn groups_are_read_and_the_server_is_told_how_often_it_is_asked() {
    let server = Server::start(|_| {
        Reply::json(
            r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "x"}}, {"targets": ["c:3"], "labels": null}]"#,
        )
    })
    .await;
    let text = format!("http_sd_configs: [{{url: '{}/sd', refresh_interval: 90s}}]", server.url);
    let mut discovery = discover(&text, &shared(&[]));
    let snapshot = until_addresses(&mut discovery, &["a:1", "b:2", "c:3"]).await;
    let url = format!("{}/sd", server.url);
    check_targets(
        snapshot.groups(),
        &format!(
            "__address__=a:1\n__meta_url={url}\nenv=x\n\n__address__=b:2\n__meta_url={url}\nenv=x\n\n\
             __address__=c:3\n__meta_url={url}"
        ),
    );
    let ask = &server.asked("/sd")[0];
    assert_eq!(ask.header("x-prometheus-refresh-interval-seconds"), "90");
    assert_eq!(ask.header("accept"), "application/json");
}

#[tokio::test]
async fn a_server_that_fails_keeps_its_last_targets_and_it_is_said() {
    let round = Arc::new(AtomicUsize::new(0));
    let mine = Arc::clone(&round);
    let server = Server::start(move |_| match mine.load(Ordering::SeqCst) {
        0 => Reply::json(r#"[{"targets": ["a:1"]}]"#),
        1 => Reply::of(500, "out of order"),
        2 => Reply::json("[]").with("content-type", "text/html"),
        _ => Reply::json(r#"[{"targets": ["b:2"]}]"#),
    })
    .await;
    let shared = shared(&[]);
    let mut discovery =
        discover(&format!("http_sd_configs: [{{url: '{}', refresh_interval: 1s}}]", server.url), &shared);
    until_addresses(&mut discovery, &["a:1"]).await;
    round.store(1, Ordering::SeqCst);
    let snapshot = until(&mut discovery, "a failure", |s| s.failures().any(|f| f.contains("500"))).await;
    let failure: Vec<&str> = snapshot.failures().collect();
    assert!(failure[0].starts_with("http_sd_configs: http://127.0.0.1:"), "{failure:?}");
    assert!(failure[0].ends_with("answered 500 Internal Server Error: out of order"), "{failure:?}");
    assert_eq!(crate::testing::addresses(&snapshot), ["a:1"]);
    assert_eq!(shared.metrics.failing.with_label_values(&["http"]).get(), 1);
    assert_eq!(shared.metrics.targets.with_label_values(&["http"]).get(), 1);
    round.store(3, Ordering::SeqCst);
    let snapshot = until_addresses(&mut discovery, &["b:2"]).await;
    assert_eq!(snapshot.failures().count(), 0);
    until(&mut discovery, "no failure", |s| s.failures().count() == 0).await;
    drop(discovery);
}

#[tokio::test]
async fn what_is_no_list_of_groups_is_refused() {
    use crate::refresh::Refresh;
    for (body, media, want) in [
        ("[null]", "application/json", "nil target group item found"),
        ("{}", "application/json", "cannot understand"),
        ("[]", "text/html", "unsupported content type \"text/html\""),
        (r#"[{"labels": {"": "x"}}]"#, "application/json; charset=utf-8", "is not a valid label name"),
    ] {
        let server = Server::start(move |_| {
            let mut reply = Reply::json(body);
            reply.headers = vec![("content-type".to_owned(), media.to_owned())];
            reply
        })
        .await;
        let settings: Settings = settings(&format!("url: '{}'", server.url));
        let error = super::Source::new(&settings).expect("a source").refresh().await.expect_err(body);
        assert!(error.to_string().contains(want), "{error}");
    }
}

#[test]
fn urls_are_checked() {
    for (text, want) in [
        ("{}", "URL is missing"),
        ("url: ftp://x", "URL scheme must be 'http' or 'https'"),
        ("url: 'http://'", "host is missing in URL"),
    ] {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
