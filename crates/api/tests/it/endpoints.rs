//! What each endpoint answers, byte for byte.

use crate::server::TestServer;

/// Asks and compares the whole body.
#[track_caller]
fn check(target: &str, want_data: &str) {
    let answer = TestServer::start().client.get(target);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text(), format!("{{\"status\":\"success\",\"data\":{want_data}}}"));
}

const UP_A: &str = r#"{"__name__":"up","instance":"a:9100","job":"node"}"#;
const UP_B: &str = r#"{"__name__":"up","instance":"b:9100","job":"node"}"#;
const UP_C: &str = r#"{"__name__":"up","instance":"c&d","job":"<web>"}"#;

#[test]
fn series_are_label_sets() {
    check("/api/v1/series?match[]=up", &format!("[{UP_A},{UP_B},{UP_C}]"));
    check(
        "/api/v1/series?match[]=up{job=\"node\"}&match[]={instance=\"a:9100\"}",
        &format!("[{UP_A},{UP_B}]"),
    );
    check(
        "/api/v1/series?match[]=up{job=\"none\"%20or%20instance=\"a:9100\"%20or%20job=\"none\"}",
        &format!("[{UP_A}]"),
    );
    check("/api/v1/series?match[]=nothing", "[]");
    check("/api/v1/series?match[]=up&end=1", "[]");
}

#[test]
fn lists_are_cut_to_the_limit_with_a_warning() {
    let server = TestServer::start();
    let truncated = ",\"warnings\":[\"results truncated due to limit\"]}";
    let answer = server.client.get("/api/v1/series?match[]=up&limit=2");
    assert_eq!(answer.text(), format!("{{\"status\":\"success\",\"data\":[{UP_A},{UP_B}]{truncated}"));
    let answer = server.client.get("/api/v1/series?match[]=up&limit=3");
    assert!(!answer.text().contains("warnings"), "three are not more than three");
    let answer = server.client.get("/api/v1/labels?limit=1");
    assert_eq!(answer.text(), format!("{{\"status\":\"success\",\"data\":[\"__name__\"]{truncated}"));
    let answer = server.client.get("/api/v1/label/instance/values?limit=2");
    assert_eq!(
        answer.text(),
        format!("{{\"status\":\"success\",\"data\":[\"a:9100\",\"b:9100\"]{truncated}")
    );
}

#[test]
fn label_names_and_values_are_sorted_lists_with_html_escaped() {
    check("/api/v1/labels", r#"["__name__","http.status","instance","job"]"#);
    check("/api/v1/labels?match[]=requests_total", r#"["__name__","http.status"]"#);
    check("/api/v1/label/job/values", r#"["\u003cweb\u003e","node"]"#);
    check("/api/v1/label/job/values?match[]=up{instance=\"c%26d\"}", r#"["\u003cweb\u003e"]"#);
    check("/api/v1/label/U__http_2e_status/values", r#"["200"]"#);
    check("/api/v1/label/http.status/values", r#"["200"]"#);
    check("/api/v1/label/nobody/values", "[]");
}

#[test]
fn a_form_may_be_posted_and_goes_before_the_url() {
    let server = TestServer::start();
    for target in ["/api/v1/series", "/api/v1/series?limit=1"] {
        let answer = server.client.post_form(target, "match%5B%5D=up%7Bjob%3D%22node%22%7D&limit=5");
        assert_eq!(answer.text(), format!("{{\"status\":\"success\",\"data\":[{UP_A},{UP_B}]}}"));
    }
    let answer = server.client.post_form("/api/v1/labels", "match[]=requests_total");
    assert_eq!(answer.text(), r#"{"status":"success","data":["__name__","http.status"]}"#);
}

#[test]
fn metadata_is_by_metric() {
    let up = r#""up":[{"type":"gauge","help":"Whether it is \u003cup\u003e.","unit":""}]"#;
    let requests = r#""requests_total":[{"type":"counter","help":"Requests.","unit":"requests"}]"#;
    check("/api/v1/metadata", &format!("{{{requests},{up}}}"));
    check("/api/v1/metadata?limit=1", &format!("{{{requests}}}"));
    check("/api/v1/metadata?limit=-1&metric=up", &format!("{{{up}}}"));
    check("/api/v1/metadata?metric=nothing", "{}");
}

#[test]
fn metadata_of_a_target_is_that_of_the_series_it_has() {
    let target = r#""target":{"instance":"a:9100","job":"node"}"#;
    let gauge = r#""type":"gauge","help":"Whether it is \u003cup\u003e.","unit":"""#;
    check("/api/v1/targets/metadata", &format!("[{{{target},\"metric\":\"up\",{gauge}}}]"));
    check(
        "/api/v1/targets/metadata?match_target={job=\"node\"}&metric=up",
        &format!("[{{{target},{gauge}}}]"),
    );
    check("/api/v1/targets/metadata?match_target={job=\"other\"}", "[]");
    check("/api/v1/targets/metadata?limit=0", "[]");
}

const NODE: &str = "{\"discoveredLabels\":{\"__address__\":\"a:9100\",\"job\":\"node\"},\
    \"labels\":{\"instance\":\"a:9100\",\"job\":\"node\"},\"scrapePool\":\"node\",\
    \"scrapeUrl\":\"http://a:9100/metrics\",\"globalUrl\":\"http://a:9100/metrics\",\"lastError\":\"\",\
    \"lastScrape\":\"2015-07-01T20:10:50Z\",\"lastScrapeDuration\":0.0125,\"health\":\"up\",\
    \"scrapeInterval\":\"15s\",\"scrapeTimeout\":\"10s\"}";
const WEB: &str = "{\"discoveredLabels\":{\"__address__\":\"c:80\",\"job\":\"web\"},\
    \"labels\":{\"instance\":\"c:80\",\"job\":\"web\"},\"scrapePool\":\"web\",\
    \"scrapeUrl\":\"http://c:80/metrics\",\"globalUrl\":\"http://c:80/metrics\",\
    \"lastError\":\"connection \\\"refused\\\"\",\
    \"lastScrape\":\"0001-01-01T00:00:00Z\",\"lastScrapeDuration\":0,\"health\":\"down\",\
    \"scrapeInterval\":\"15s\",\"scrapeTimeout\":\"10s\"}";
const DROPPED: &str = r#"{"discoveredLabels":{"__address__":"x:1"},"scrapePool":"node","droppedBy":{"index":1,"rule":{"sourceLabels":["host"],"separator":";","regex":"x","replacement":"$1","action":"drop"}}}"#;
const INVALID: &str = r#","invalidTargets":[{"discoveredLabels":{"__address__":"a/b"},"scrapePool":"web","error":"\"a/b\" is not a valid hostname"}]"#;

#[test]
fn targets_are_listed_by_state_and_pool() {
    let counts = r#"{"node":1,"web":0}"#;
    let data = |active: &str, dropped: &str, invalid: &str, counts: &str| {
        format!(
            "{{\"activeTargets\":[{active}],\"droppedTargets\":[{dropped}]{invalid},\"droppedTargetCounts\":{counts}}}"
        )
    };
    check("/api/v1/targets", &data(&format!("{NODE},{WEB}"), DROPPED, INVALID, counts));
    check("/api/v1/targets?state=ANY", &data(&format!("{NODE},{WEB}"), DROPPED, INVALID, counts));
    check("/api/v1/targets?state=active", &data(&format!("{NODE},{WEB}"), "", "", "null"));
    check("/api/v1/targets?state=dropped", &data("", DROPPED, INVALID, counts));
    check("/api/v1/targets?scrapePool=web", &data(WEB, "", INVALID, counts));
    check("/api/v1/targets?scrapePool=node", &data(NODE, DROPPED, "", counts));
    check("/api/v1/scrape_pools", r#"{"scrapePools":["node","web"]}"#);
}

#[test]
fn each_relabelling_rule_shows_what_it_makes_of_labels() {
    let first = r#"{"rule":{"sourceLabels":["__address__"],"separator":";","regex":"(.*):.*","targetLabel":"host","replacement":"$1","action":"replace"},"output":"#;
    let second = r#"{"rule":{"sourceLabels":["host"],"separator":";","regex":"x","replacement":"$1","action":"drop"},"output":"#;
    let third =
        r#"{"rule":{"separator":";","regex":"host","replacement":"$1","action":"labeldrop"},"output":"#;
    let kept = r#"{"__address__":"a:1","host":"a"},"keep":true}"#;
    check(
        "/api/v1/targets/relabel_steps?scrapePool=node&labels={\"__address__\":\"a:1\"}",
        &format!(
            r#"{{"steps":[{first}{kept},{second}{kept},{third}{{"__address__":"a:1"}},"keep":true}}]}}"#
        ),
    );
    check(
        "/api/v1/targets/relabel_steps?scrapePool=node&labels={\"__address__\":\"x:1\"}",
        &format!(
            r#"{{"steps":[{first}{{"__address__":"x:1","host":"x"}},"keep":true}},{second}{{}},"keep":false}},{third}{{}},"keep":false}}]}}"#
        ),
    );
}

#[test]
fn without_rules_their_lists_are_empty() {
    check("/api/v1/rules?type=alert", r#"{"groups":[]}"#);
    check("/api/v1/alerts", r#"{"alerts":[]}"#);
    check("/api/v1/alertmanagers", r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#);
}

#[test]
fn status_tells_how_the_process_is() {
    check("/api/v1/status/config", r#"{"yaml":"global:\n  scrape_interval: 15s\n"}"#);
    check("/api/v1/status/flags", r#"{"data":"./data","listen":"127.0.0.1:0"}"#);
    check(
        "/api/v1/status/buildinfo",
        "{\"version\":\"3.14.0\",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\",\"buildDate\":\"\",\
         \"goVersion\":\"rustc 1.95.0\",\"application\":\"Kymo\",\"kymoVersion\":\"0.1.0\"}",
    );
    check(
        "/api/v1/status/runtimeinfo",
        "{\"startTime\":\"2015-07-01T19:10:51.781Z\",\"CWD\":\"/srv\",\"hostname\":\"host\",\
         \"serverTime\":\"2015-07-01T20:10:51.781Z\",\"reloadConfigSuccess\":true,\
         \"lastConfigTime\":\"2015-07-01T19:10:52.781Z\",\"corruptionCount\":0,\"goroutineCount\":12,\
         \"GOMAXPROCS\":2,\"GOMEMLIMIT\":1073741824,\"GOGC\":\"\",\"GODEBUG\":\"\",\"storageRetention\":\"15d\"}",
    );
    check("/api/v1/status/walreplay", r#"{"min":3,"max":9,"current":5}"#);
}

#[test]
fn status_tells_what_is_stored() {
    let list =
        |name: &str| format!("[{{\"name\":\"{name}0\",\"value\":10}},{{\"name\":\"{name}1\",\"value\":9}}]");
    check(
        "/api/v1/status/tsdb?limit=2",
        &format!(
            "{{\"headStats\":{{\"numSeries\":4,\"numLabelPairs\":7,\"chunkCount\":4,\"minTime\":1435781391781,\
             \"maxTime\":1435781451781}},\"seriesCountByMetricName\":{},\"labelValueCountByLabelName\":{},\
             \"memoryInBytesByLabelName\":{},\"seriesCountByLabelValuePair\":{}}}",
            list("m"),
            list("l"),
            list("b"),
            list("p=")
        ),
    );
    let other = TestServer::start().client.get_with("/api/v1/status/tsdb", &[("x-scope-orgid", "other")]);
    assert_eq!(
        other.text(),
        "{\"status\":\"success\",\"data\":{\"headStats\":{\"numSeries\":0,\"numLabelPairs\":0,\"chunkCount\":0,\
         \"minTime\":9223372036854775807,\"maxTime\":-9223372036854775808},\"seriesCountByMetricName\":[],\
         \"labelValueCountByLabelName\":[],\"memoryInBytesByLabelName\":[],\"seriesCountByLabelValuePair\":[]}}"
    );
}

#[test]
fn kymos_own_status_has_memory_storage_and_replay() {
    let answer = TestServer::start().client.get("/api/v1/status/kymo");
    let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    let data = &json["data"];
    assert_eq!((&data["version"], &data["ready"]), (&"0.1.0".into(), &true.into()));
    assert_eq!(data["memory"][0]["consumer"], "process");
    assert_eq!(data["memory"][0]["peakBytes"], 10);
    assert_eq!(data["storage"]["headSeries"], 4);
    assert_eq!(data["replay"]["current"], 5);
    assert_eq!(data["uptimeSeconds"], 0);
}

#[test]
fn exemplars_are_those_of_the_selectors_in_a_query() {
    check(
        "/api/v1/query_exemplars?query=rate(up[5m])",
        &format!(
            "[{{\"seriesLabels\":{UP_A},\"exemplars\":[{{\"labels\":{{\"trace_id\":\"t<1>\"}},\"value\":\"0.5\",\
             \"timestamp\":1435781451.781}}]}}]"
        ),
    );
    check("/api/v1/query_exemplars?query=up&end=1", "[]");
    assert_eq!(TestServer::start().client.get("/api/v1/query_exemplars?query=1").status, 204);
}

#[test]
fn queries_are_formatted_and_taken_apart() {
    check("/api/v1/format_query?query=sum(foo%20%3C%201)by(a)", r#""sum by (a) (foo \u003c 1)""#);
    check(
        "/api/v1/format_query?query=WITH(a=b{c=%22d%22%20or%20e=%22f%22})median(a)default%201Ki",
        r#""median(b{c=\"d\" or e=\"f\"}) default 1024""#,
    );
    check(
        "/api/v1/parse_query?query=a%20default%201",
        r#"{"bool":false,"lhs":{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"a"}],"name":"a","offset":0,"smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"matching":null,"op":"default","rhs":{"type":"numberLiteral","val":"1"},"type":"binaryExpr"}"#,
    );
    check(
        "/api/v1/parse_query?query=rate(foo{a!=\"<\"}[5m]%20offset%201m)",
        "{\"args\":[{\"anchored\":false,\"matchers\":[{\"name\":\"a\",\"type\":\"!=\",\"value\":\"\\u003c\"},\
         {\"name\":\"__name__\",\"type\":\"=\",\"value\":\"foo\"}],\"name\":\"foo\",\"offset\":60000,\"range\":300000,\
         \"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"matrixSelector\"}],\
         \"func\":{\"argTypes\":[\"matrix\"],\"name\":\"rate\",\"returnType\":\"vector\",\"variadic\":0},\
         \"type\":\"call\"}",
    );
}

#[test]
fn a_tenant_sees_only_its_own() {
    let server = TestServer::start();
    let answer = server.client.get_with("/api/v1/labels", &[("X-Scope-OrgID", "other")]);
    assert_eq!(answer.text(), r#"{"status":"success","data":[]}"#);
    let answer = server.client.get_with("/api/v1/labels", &[("X-Scope-OrgID", "anonymous")]);
    assert!(answer.text().contains("job"));
}
