//! The web UI or its stand-in, compression, and other origins.

use std::io::Read;

use crate::server::TestServer;

#[test]
fn pages_are_served_with_strict_headers_and_paths_of_the_ui_fall_back_to_the_page() {
    let server = TestServer::start();
    for target in ["/", "/explore", "/targets", "/status"] {
        let answer = server.client.get(target);
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(
            answer.header("content-security-policy").is_some_and(|v| v.starts_with("default-src 'self'"))
        );
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert!(answer.text().to_lowercase().starts_with("<!doctype html>"));
    }
    for missing in ["/assets/gone-1234.js", "/favicon.none", "/../Cargo.toml"] {
        assert_eq!(server.client.get(missing).status, 404, "{missing}");
    }
    assert_eq!(server.client.request("POST", "/", &[], b"").status, 405);
}

#[test]
fn the_page_and_what_it_needs_come_from_the_binary_and_are_cached_by_their_names() {
    let server = TestServer::start();
    let page = server.client.get("/");
    let assets: Vec<&str> =
        page.text().split(['"', '\'']).filter(|part| part.starts_with("/assets/")).collect();
    if assets.is_empty() {
        assert!(page.text().contains("npm run build"), "without a UI the page says how to build it");
        return;
    }
    for asset in assets {
        let answer = server.client.get(asset);
        assert_eq!(answer.status, 200, "{asset}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let etag = answer.header("etag").expect("a tag").to_owned();
        let known = server.client.get_with(asset, &[("if-none-match", &etag)]);
        assert_eq!((known.status, known.body.len()), (304, 0), "{asset}");
    }
}

#[test]
fn the_old_graph_page_leads_to_explore_with_its_query() {
    let answer = TestServer::start().client.get("/graph?g0.expr=up");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/explore?g0.expr=up")));
}

#[test]
fn answers_are_compressed_as_the_client_wants() {
    let server = TestServer::start();
    let plain = server.client.get("/api/v1/targets");
    assert_eq!(plain.header("content-encoding"), None);
    let gzip = server.client.get_with("/api/v1/targets", &[("accept-encoding", "gzip")]);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(gzip.body.as_slice()).read_to_end(&mut text).expect("gzip");
    assert_eq!(text, plain.body);
    let zstd = server.client.get_with("/api/v1/targets", &[("accept-encoding", "zstd")]);
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::decode_all(zstd.body.as_slice()).expect("zstd"), plain.body);
}

#[test]
fn browsers_of_other_origins_may_read() {
    let server = TestServer::start();
    let answer = server.client.get_with("/api/v1/labels", &[("origin", "http://grafana")]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(server.client.get("/api/v1/labels").header("access-control-allow-origin"), None);
    let preflight = server.client.request("OPTIONS", "/api/v1/query", &[("origin", "http://grafana")], b"");
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST, OPTIONS"));
}
