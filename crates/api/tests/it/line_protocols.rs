//! Pushes by other systems' protocols over HTTP: what is stored, what is answered.

use std::io::Write;

use api::Settings;

use crate::client::Answer;
use crate::server::{NOW_MS, TestServer, settings};

fn post(server: &TestServer, target: &str, body: &[u8]) -> Answer {
    server.client.request("POST", target, &[], body)
}

/// All samples of a selector as `labels time=value`, in order of labels.
fn stored(server: &TestServer, selector: &str) -> Vec<String> {
    let selector: String = selector.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = server.client.get(&format!("/api/v1/query?time={}&query={selector}", NOW_MS / 1000 + 60));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut samples: Vec<String> = json["data"]["result"]
        .as_array()
        .expect("a vector")
        .iter()
        .map(|series| {
            let values =
                series["values"].as_array().cloned().unwrap_or_else(|| vec![series["value"].clone()]);
            let values: Vec<String> = values
                .iter()
                .map(|value| format!("{}={}", value[0], value[1].as_str().unwrap_or("")))
                .collect();
            format!("{} {}", series["metric"], values.join(" "))
        })
        .collect();
    samples.sort();
    samples
}

const SECOND: i64 = NOW_MS / 1000;

#[test]
fn influx_lines_become_samples() {
    let server = TestServer::start();
    let lines = format!(
        "cpu,host=a usage=1.5,idle=3i,ok=t,text=\"x\" {SECOND}\n\
         cpu,host=b usage=2 {SECOND}\n"
    );
    for target in
        ["/write?db=d&precision=s", "/influx/write?db=d&precision=s", "/api/v1/influx/write?precision=s&db=d"]
    {
        let answer = post(&server, target, lines.as_bytes());
        assert_eq!((answer.status, answer.text()), (204, ""), "{target}");
    }
    assert_eq!(
        stored(&server, "{__name__=~\"cpu_.+\"}[5m]"),
        [
            format!(r#"{{"__name__":"cpu_idle","db":"d","host":"a"}} {SECOND}=3"#),
            format!(r#"{{"__name__":"cpu_ok","db":"d","host":"a"}} {SECOND}=1"#),
            format!(r#"{{"__name__":"cpu_usage","db":"d","host":"a"}} {SECOND}=1.5"#),
            format!(r#"{{"__name__":"cpu_usage","db":"d","host":"b"}} {SECOND}=2"#),
        ]
    );
    let metrics = server.client.get("/metrics");
    assert!(metrics.text().contains("kymo_push_items_ignored_total{kind=\"string\",protocol=\"influx\"} 3"));
}

#[test]
fn influx_answers_in_the_words_of_either_version() {
    let server = TestServer::start();
    let body = b"good v=1\nbad\nalso_good v=2,w=x\ndouble,a=1,a=2 v=1";
    let first = post(&server, "/write", body);
    assert_eq!(first.status, 400);
    assert!(
        first.text().starts_with("{\"error\":\"partial write: 3 samples were refused"),
        "{}",
        first.text()
    );
    assert!(first.text().contains("line 2: there are no fields"), "{}", first.text());
    assert!(first.text().contains("label name \\\"a\\\" is not unique"), "{}", first.text());
    let second = post(&server, "/api/v2/write?org=o&bucket=b&precision=ms", body);
    assert_eq!(second.status, 400);
    assert!(
        second.text().starts_with("{\"code\":\"invalid\",\"message\":\"partial write"),
        "{}",
        second.text()
    );
    assert_eq!(stored(&server, "also_good_v").len(), 2, "with and without the label db");
    let wrong = post(&server, "/write?precision=d", b"a v=1");
    assert_eq!((wrong.status, wrong.text().contains("precision")), (400, true));
    let ping = server.client.get("/ping");
    assert_eq!((ping.status, ping.header("x-influxdb-version")), (204, Some("1.8.10")));
    assert!(server.client.get("/health").text().contains("\"status\":\"pass\""));
    let create = server.client.post_form("/query", "q=CREATE+DATABASE+%22telegraf%22");
    assert_eq!((create.status, create.text()), (200, r#"{"results":[{"statement_id":0}]}"#));
}

#[test]
fn bodies_are_taken_compressed_and_refused_when_too_large() {
    let server = TestServer::start_with(Settings { write_decompressed_bytes_max: 3_000, ..settings() });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(b"zipped v=1").expect("in memory");
    let body = encoder.finish().expect("in memory");
    let send = |encoding: &str, body: &[u8]| {
        server.client.request("POST", "/write", &[("content-encoding", encoding)], body)
    };
    assert_eq!(send("gzip", &body).status, 204);
    assert_eq!(stored(&server, "zipped_v").len(), 1);
    assert_eq!(send("gzip", &body[..20]).status, 400);
    assert_eq!(send("zstd", &zstd::encode_all([b'#'; 4_000].as_slice(), 3).expect("in memory")).status, 413);
    assert_eq!(send("br", &body).status, 415);
    let sources = server.client.get("/api/v1/status/push_sources");
    assert!(sources.text().contains(r#""errors":3"#), "{}", sources.text());
}

#[test]
fn json_is_written_one_or_many_and_each_fault_named() {
    let server = TestServer::start();
    let one = format!(r#"{{"metric":"temp","labels":{{"room":"a"}},"value":21.5,"timestamp_ms":{NOW_MS}}}"#);
    assert_eq!(post(&server, "/api/v1/import/json?extra_label=site=x", one.as_bytes()).status, 204);
    let many =
        r#"[{"metric":"temp","value":1},{"metric":"temp","labels":{"__name__":"x"},"value":1},{"value":1}]"#;
    let answer = post(&server, "/api/v1/import/json", many.as_bytes());
    assert_eq!(answer.status, 400);
    let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((json["data"]["written"].as_u64(), json["data"]["refused"].as_u64()), (Some(1), Some(2)));
    assert_eq!(json["data"]["refusals"][0], "item 2: a label must not be called __name__");
    assert_eq!(stored(&server, "temp").len(), 2);
    assert!(stored(&server, "temp{site='x'}")[0].ends_with("=21.5"));
    let cut = post(&server, "/api/v1/import/json", br#"[{"metric":"kept","value":1},{"metric":"#);
    assert_eq!(cut.status, 400);
    assert_eq!(stored(&server, "kept").len(), 1, "what stands before a fault is sound");
    assert_eq!(post(&server, "/api/v1/import/json", b"nonsense").status, 400);
}

#[test]
fn lines_tables_and_text_are_imported() {
    let server = TestServer::start();
    let lines = format!(
        "{{\"metric\":{{\"__name__\":\"lined\",\"a\":\"b\"}},\"values\":[1,2],\"timestamps\":[{},{NOW_MS}]}}\n",
        NOW_MS - 1_000
    );
    assert_eq!(post(&server, "/api/v1/import", lines.as_bytes()).status, 204);
    assert_eq!(stored(&server, "count_over_time(lined[5m])")[0].split('=').next_back(), Some("2"));
    let table = format!("GOOG,1.5,{SECOND}\nbad,x,{SECOND}\n");
    let target = "/api/v1/import/csv?format=1:label:symbol,2:metric:price,3:time:unix_s";
    let answer = post(&server, target, table.as_bytes());
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains(r#"line 2: column 2: \"x\" is not a number"#), "{}", answer.text());
    assert_eq!(stored(&server, "price{symbol='GOOG'}").len(), 1);
    assert_eq!(post(&server, "/api/v1/import/csv", b"1").status, 400);
    let text = "# TYPE texted counter\n# HELP texted Some help.\ntexted{a=\"1\"} 1\nwhat is this\ntexted{a=\"2\"} 2\n";
    let answer = post(&server, "/api/v1/import/prometheus", text.as_bytes());
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("line 4"), "{}", answer.text());
    assert_eq!(stored(&server, "texted").len(), 2);
    assert!(server.client.get("/api/v1/metadata?metric=texted").text().contains("Some help."));
    let graphite = format!("a.b;dc=eu 1 {SECOND}\n\na.c 2\n");
    assert_eq!(post(&server, "/api/v1/import/graphite", graphite.as_bytes()).status, 204);
    assert_eq!(stored(&server, "{'a.b', dc='eu'}").len(), 1);
}

#[test]
fn opentsdb_is_answered_as_much_as_it_asks() {
    let server = TestServer::start();
    let body = format!(
        r#"[{{"metric":"sys.cpu","timestamp":{SECOND},"value":1,"tags":{{"host":"a"}}}},{{"metric":"sys.cpu","timestamp":"x","value":1}}]"#
    );
    let one = format!(r#"{{"metric":"sys.cpu","timestamp":{NOW_MS},"value":"2","tags":{{"host":"b"}}}}"#);
    let good = post(&server, "/api/put", one.as_bytes());
    assert_eq!((good.status, good.text()), (204, ""));
    assert_eq!(post(&server, "/api/put?summary", one.as_bytes()).text(), r#"{"failed":0,"success":1}"#);
    assert_eq!(post(&server, "/opentsdb/api/put", body.as_bytes()).status, 400);
    let details = post(&server, "/api/put?details", body.as_bytes());
    assert_eq!(details.status, 400);
    assert_eq!(
        details.text(),
        r#"{"errors":[{"error":"item 2: \"timestamp\" must be a whole number"}],"failed":1,"success":1}"#
    );
    assert_eq!(stored(&server, "{'sys.cpu'}").len(), 2);
    assert_eq!(post(&server, "/api/put", b"[").status, 400);
}

#[test]
fn datadog_series_and_sketches_are_written() {
    let server = TestServer::start();
    let body = format!(
        r#"{{"series":[{{"metric":"system.load.1","points":[[{SECOND},1.5]],"tags":["env:prod","up","env:again"],"host":"a"}},
            {{"points":[[{SECOND},1]]}}]}}"#
    );
    let answer = post(&server, "/datadog/api/v1/series?api_key=x", body.as_bytes());
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("series 2: it has no metric's name"), "{}", answer.text());
    assert_eq!(stored(&server, "system_load_1{env='prod',up='true',host='a'}").len(), 1);
    let second = format!(
        r#"{{"series":[{{"metric":"y","type":1,"points":[{{"timestamp":{SECOND},"value":3}}],"resources":[{{"type":"host","name":"h"}}]}}]}}"#
    );
    let zlib = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(second.as_bytes()).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let headers = [("content-encoding", "deflate"), ("content-type", "application/json")];
    let answer = server.client.request("POST", "/datadog/api/v2/series", &headers, &zlib);
    assert_eq!((answer.status, answer.text()), (202, r#"{"errors":[]}"#));
    assert_eq!(stored(&server, "y{host='h'}").len(), 1);
    let message = |write: &dyn Fn(&mut wire::protobuf::Writer)| {
        let mut writer = wire::protobuf::Writer::new();
        write(&mut writer);
        writer.as_bytes().to_vec()
    };
    let point = message(&|w| {
        w.varint(1, SECOND as u64);
        w.varint(2, 3);
        w.double_always(6, 3.5);
        w.bytes(7, &[0, 0xf4, 0x14]);
        w.bytes(8, &[1, 2]);
    });
    let sketch = message(&|w| {
        w.bytes(1, b"lat.ency");
        w.bytes(7, &point);
    });
    let body = message(&|w| w.bytes(1, &sketch));
    assert_eq!(post(&server, "/datadog/api/beta/sketches", &body).status, 202);
    assert!(stored(&server, "histogram_count(lat_ency)")[0].ends_with("=3"));
    assert!(stored(&server, "histogram_sum(lat_ency)")[0].ends_with("=3.5"));
    assert_eq!(post(&server, "/datadog/api/beta/sketches", &body[..5]).status, 400);
    assert_eq!(server.client.get("/datadog/api/v1/validate").text(), r#"{"valid":true}"#);
    assert_eq!(post(&server, "/datadog/api/v1/check_run", b"[]").status, 202);
}

#[test]
fn bad_input_of_every_protocol_is_refused_and_the_next_push_is_taken() {
    let server = TestServer::start_with(Settings { write_bytes_max: 100_000, ..settings() });
    let good: [(&str, &[u8]); 9] = [
        ("/write", b"a v=1"),
        ("/api/v1/import/json", br#"{"metric":"a","value":1}"#),
        ("/api/v1/import", br#"{"metric":{"__name__":"a"},"values":[1],"timestamps":[1]}"#),
        ("/api/v1/import/csv?format=1:metric:a", b"1"),
        ("/api/v1/import/prometheus", b"a 1\n"),
        ("/api/v1/import/graphite", b"a 1"),
        ("/api/put", br#"{"metric":"a","timestamp":1435781400,"value":1}"#),
        ("/datadog/api/v1/series", br#"{"series":[{"metric":"a","points":[[1435781400,1]]}]}"#),
        ("/metrics/job/j", b"a 1\n"),
    ];
    for (target, body) in good {
        let send = |headers: &[(&str, &str)], body: &[u8]| {
            server.client.request("POST", target, headers, body).status
        };
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).expect("in memory");
        let zipped = encoder.finish().expect("in memory");
        assert_eq!(
            send(&[("content-encoding", "gzip")], &zipped[..zipped.len() - 4]),
            400,
            "{target}: cut off"
        );
        assert_eq!(send(&[("content-encoding", "zstd")], &zipped), 400, "{target}: wrong compression");
        assert_eq!(send(&[("content-encoding", "br")], body), 415, "{target}: unknown compression");
        assert_eq!(send(&[], &vec![b' '; 100_001]), 413, "{target}: too large");
        assert_eq!(send(&[("x-scope-orgid", "a/b")], body), 400, "{target}: no tenant's name");
        for wrong in
            [&b"\xff\xfe\xfd 1 1\n"[..], b"{\"metric\":\"a\xff\",\"value\":1}", b"[[[[[[", b"\0\0\0\0"]
        {
            let status = send(&[], wrong);
            assert_eq!(status, 400, "{target}: {wrong:?}");
        }
        let status = send(&[("content-encoding", "gzip")], &zipped);
        assert!((200..300).contains(&status), "{target}: {status}");
    }
}
