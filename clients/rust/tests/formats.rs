//! What is written is read by the parsers of the server.

use std::io::{Read, Write};
use std::net::TcpStream;

use kymo_client::push::{Push, Settings};
use kymo_client::serve::Server;
use kymo_client::{Buckets, Format, Registry};

fn registry() -> Registry {
    let registry = Registry::new();
    let calls = registry.counter_family("calls_total", "Calls: \"all\"\\\nof them.", ["path"]).expect("free");
    calls.with(["/a\"b\\c\nd"]).add_with_exemplar(2, &[("trace_id", "abc")]);
    registry.gauge("depth", "").expect("free").set(-1.5e300);
    let classic = registry.histogram("took", "Time.", Buckets::Classic(vec![1.0, 2.5])).expect("free");
    let native = registry.histogram("size", "Size.", Buckets::native()).expect("free");
    for value in [0.5, 2.0, 9.0] {
        classic.observe_with_exemplar(value, &[("trace_id", "def")]);
        native.observe(value);
    }
    registry
}

#[test]
fn the_text_format_is_as_prometheus_reads_it() {
    let text = registry().text();
    let want = "\
# HELP calls_total Calls: \"all\"\\\\\\nof them.
# TYPE calls_total counter
calls_total{path=\"/a\\\"b\\\\c\\nd\"} 2
# TYPE depth gauge
depth -1.5e300
# HELP size Size.
# TYPE size histogram
size_bucket{le=\"+Inf\"} 3
size_sum 11.5
size_count 3
# HELP took Time.
# TYPE took histogram
took_bucket{le=\"1\"} 1
took_bucket{le=\"2.5\"} 2
took_bucket{le=\"+Inf\"} 3
took_sum 11.5
took_count 3
";
    assert_eq!(text, want);
}

#[test]
fn openmetrics_has_exemplars_times_of_creation_and_an_end() {
    let text = String::from_utf8(registry().encode(Format::OpenMetrics)).expect("text");
    assert!(text.contains("# TYPE calls counter\n"), "{text}");
    assert!(text.contains("calls_total{path=\"/a\\\"b\\\\c\\nd\"} 2 # {trace_id=\"abc\"} 2 "), "{text}");
    assert!(text.contains("took_bucket{le=\"1.0\"} 1 # {trace_id=\"def\"} 0.5 "), "{text}");
    assert!(text.contains("\ntook_created 1"), "{text}");
    assert!(text.ends_with("\n# EOF\n"), "{text}");
}

fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn scrapes_are_answered_in_the_format_that_was_asked_for() {
    let server = Server::start("127.0.0.1:0", registry()).expect("a server");
    let get = |path: &str, accept: &str| {
        ask(
            &server,
            &format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"),
        )
    };
    let text = get("/metrics", "*/*");
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("text/plain; version=0.0.4"), "{text}");
    assert!(get("/metrics", "application/openmetrics-text; version=1.0.0").ends_with("# EOF\n"));
    assert!(get("/", "*/*").starts_with("HTTP/1.1 404"));
    let post = "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(ask(&server, post).starts_with("HTTP/1.1 405"));
}

#[test]
fn a_push_that_fails_is_counted_and_said() {
    let registry = registry();
    let settings = Settings::new("http://127.0.0.1:1", "test");
    let push = Push::start(registry.clone(), settings).expect("a thread");
    assert_eq!(push.last_error(), None);
    // The last push is made at the end.
    drop(push);
    let text = registry.text();
    assert!(text.contains("kymo_client_pushes_total 1\n"), "{text}");
    assert!(text.contains("kymo_client_push_failures_total 1\n"), "{text}");
}
