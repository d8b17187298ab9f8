//! Plans and costs of queries over HTTP.

use serde_json::Value;

use crate::server::TestServer;

fn data(server: &TestServer, target: &str) -> Value {
    let answer = server.client.get(target);
    let mut answer: Value = serde_json::from_str(answer.text()).expect("JSON");
    assert_eq!(answer["status"], "success", "{answer}");
    answer["data"].take()
}

#[test]
fn a_cost_is_told_without_evaluating() {
    let server = TestServer::start();
    let cost = data(&server, "/api/v1/query_cost?query=sum(up)");
    assert_eq!((&cost["series"], &cost["steps"], &cost["fits"]), (&3.into(), &1.into(), &true.into()));
    assert_eq!(cost["plan"]["operator"], "sum");
    assert_eq!(cost["plan"]["children"][0]["estimate"]["series"], 3);
    assert_eq!(cost["plan"]["children"][0]["text"], "up");
    assert_eq!((&cost["limits"]["samples"], &cost["limits"]["series"]), (&50_000_000.into(), &Value::Null));
    let range = data(&server, "/api/v1/query_cost?query=up&start=1435781400&end=1435781460&step=15");
    assert_eq!(range["steps"], 5);
    assert!(range["memoryBytes"].as_u64() > Some(0));
    for bad in ["query=sum(", "query=up&start=5&end=1&step=1", "query=up&start=0&end=100000&step=1"] {
        assert_eq!(server.client.get(&format!("/api/v1/query_cost?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn a_plan_is_explained_and_a_query_is_traced() {
    let server = TestServer::start();
    let explained = data(&server, "/api/v1/query?query=sum(up)&explain=1");
    assert_eq!((&explained["resultType"], &explained["result"]), (&"vector".into(), &serde_json::json!([])));
    assert_eq!(explained["plan"]["children"][0]["operator"], "select");
    assert_eq!(explained["plan"]["measured"], Value::Null);
    let target = "/api/v1/query_range?query=sum(up)&start=1435781440&end=1435781452&step=6";
    let explained = data(&server, &format!("{target}&explain=true"));
    assert_eq!(explained["resultType"], "matrix");
    let traced = data(&server, &format!("{target}&trace=1"));
    assert_eq!(traced["result"].as_array().map(Vec::len), Some(1));
    assert_eq!((&traced["plan"]["measured"]["series"], &traced["keptSteps"]), (&1.into(), &0.into()));
    assert_eq!(traced["plan"]["children"][0]["reading"]["series"], 3);
    assert_eq!(data(&server, target).get("plan"), None);
    assert_eq!(server.client.get("/api/v1/query?query=1&trace=perhaps").status, 400);
}
