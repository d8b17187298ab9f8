//! Deletes, snapshots and compactions: what is refused, what is passed on, what is answered.

use api::Settings;
use storage::ErrorKind;

use crate::server::{TestServer, settings};

const ADMIN: &str = "/api/v1/admin/tsdb";

fn allowed() -> TestServer {
    TestServer::start_with(Settings { allow_admin: true, ..settings() })
}

#[test]
fn what_can_lose_data_is_switched_off_at_first() {
    let server = TestServer::start();
    for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let answer = server.client.request("POST", &format!("{ADMIN}/{path}"), &[], b"");
        let want = r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#;
        assert_eq!((answer.status, answer.text()), (403, want), "{path}");
    }
    assert!(server.admin.told.lock().is_empty());
    assert_eq!(server.client.request("POST", &format!("{ADMIN}/compact"), &[], b"").status, 200);
}

#[test]
fn a_delete_is_passed_on_with_tenant_selectors_and_times() {
    let server = allowed();
    let post =
        |query: &str| server.client.request("POST", &format!("{ADMIN}/delete_series{query}"), &[], b"");
    let check = |query: &str, status: u16, said: &str| {
        let answer = post(query);
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.text().contains(said), "{query}: {}", answer.text());
    };
    check("?match[]=up&match[]={a=~%22b.%22}&start=1.5&end=2", 204, "");
    check("", 400, "no match[] parameter provided");
    check("?match[]=up&start=x", 400, "cannot parse");
    check("?match[]={", 400, "match[]");
    check("?match[]={a=~%22.*%22}", 400, "non-empty matcher");
    let headers = [("X-Scope-OrgID", "red"), ("Content-Type", "application/x-www-form-urlencoded")];
    let answer =
        server.client.request("PUT", &format!("{ADMIN}/delete_series"), &headers, b"match[]=up&end=1");
    assert_eq!(answer.status, 204);
    let told = server.admin.told.lock().clone();
    assert_eq!(told[0], "delete anonymous [[__name__=\"up\"], [a=~\"b.\"]] 1500 2000");
    assert!(
        told[1].starts_with("delete red [[__name__=\"up\"]] -") && told[1].ends_with(" 1000"),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    assert_eq!(server.client.get(&format!("{ADMIN}/delete_series?match[]=up")).status, 405);
}

#[test]
fn snapshots_and_compactions_say_what_they_did() {
    let server = allowed();
    let post = |path: &str| server.client.request("POST", &format!("{ADMIN}/{path}"), &[], b"");
    let answer = post("snapshot?skip_head=true");
    let want = r#"{"status":"success","data":{"name":"20260131T000000Z-1"}}"#;
    assert_eq!((answer.status, answer.text()), (200, want));
    assert_eq!(post("snapshot").status, 200);
    let answer = post("snapshot?skip_head=maybe");
    assert!(answer.status == 400 && answer.text().contains("unable to parse boolean"), "{}", answer.text());
    assert_eq!(post("clean_tombstones").status, 204);
    let answer = post("compact");
    assert!(answer.text().contains(r#""blocksBefore":9,"blocksAfter":1,"#), "{}", answer.text());
    assert_eq!(*server.admin.told.lock(), ["snapshot true", "snapshot false", "clean", "compact"]);
    *server.admin.fault.lock() = Some(ErrorKind::Unavailable);
    for path in ["compact", "snapshot", "clean_tombstones"] {
        let answer = post(path);
        assert!(answer.status == 503 && answer.text().contains("disk full"), "{path}: {}", answer.text());
    }
}
