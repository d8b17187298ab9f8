//! Against a server that answers as EC2's, Lightsail's and the machine's own API do.

use super::*;
use crate::mechanism::Configured;
use crate::refresh::Refresh;
use crate::testing::{Recorded, Reply, Server, check_targets, discover, settings, shared, until};

const EC2: &str = include_str!("../../../testdata/ec2.txt");
const FILTERS: &str = "filters: [{name: 'tag:env', values: [prod]}]";
const KEYS: &str = "region: eu-central-1, access_key: AKID, secret_key: secret";

#[tokio::test]
async fn instances_of_all_pages_asked_for_with_a_signature() {
    let (server, recorded) = Server::recorded(EC2).await;
    let text = format!(
        "{{{KEYS}, endpoint: '{}', filters: [{{name: 'tag:env', values: [prod, b]}}, {{name: 'instance-state-name', values: [running]}}]}}",
        server.url
    );
    let settings: ec2::Settings = settings(&text);
    settings.check().expect("valid");
    let groups =
        ec2::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    assert_eq!(groups[0].source, "eu-central-1");
    check_targets(&groups, recorded.targets("ec2"));
    let asked = server.asked("/");
    assert_eq!(asked.len(), 3);
    let authorization = asked[1].header("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
    assert!(
        authorization.contains("/eu-central-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date,")
    );
    let form = |name: &str| asked[1].form(name);
    assert_eq!((form("Filter.1.Name"), form("Filter.1.Value.2")), ("tag:env".to_owned(), "b".to_owned()));
    assert_eq!((form("Filter.2.Value.1"), form("Version")), ("running".to_owned(), "2016-11-15".to_owned()));
}

#[tokio::test]
async fn a_machine_with_a_role_needs_neither_region_nor_keys() {
    let recorded = Recorded::parse(EC2);
    let server = Server::start(move |ask| match ask.path.as_str() {
        "/latest/api/token" => Reply::json("t"),
        "/latest/meta-data/placement/region" => Reply::json("eu-central-1"),
        "/latest/meta-data/iam/security-credentials/" => Reply::json("role"),
        "/latest/meta-data/iam/security-credentials/role" => Reply::json(
            r#"{"Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "session", "Expiration": "2090-01-01T00:00:00Z"}"#,
        ),
        _ if ask.form("Action") == "DescribeAvailabilityZones" => Reply::of(403, "not permitted"),
        _ => ask.answered(&recorded),
    })
    .await;
    let settings: ec2::Settings = settings(&format!("{{endpoint: '{}', {FILTERS}}}", server.url));
    let shared = shared(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url)]);
    let groups = ec2::Source::new(&settings, &shared).expect("a source").refresh().await.expect("targets");
    assert_eq!((groups[0].source.as_str(), groups[0].targets.len()), ("eu-central-1", 2));
    assert_eq!(groups[0].targets[0].get("__meta_ec2_availability_zone_id"), None, "without permission no id");
    let last = server.asked("/").pop().expect("asked");
    assert_eq!(last.header("x-amz-security-token"), "session");
}

#[tokio::test]
async fn a_refusal_is_said_and_so_are_missing_credentials() {
    let server = Server::start(|_| Reply::of(401, "<Code>AuthFailure</Code>")).await;
    let settings: ec2::Settings = settings(&format!("{{{KEYS}, endpoint: '{}'}}", server.url));
    let error =
        ec2::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect_err("refused");
    assert!(error.to_string().contains("401 Unauthorized: <Code>AuthFailure</Code>"), "{error}");
    let none = ec2::Settings { access_key: String::new(), secret_key: Secret::default(), ..settings };
    let shared = shared(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    let error = ec2::Source::new(&none, &shared).expect("a source").refresh().await.expect_err("nobody");
    assert!(error.to_string().contains("no AWS credentials"), "{error}");
}

#[tokio::test]
async fn lightsail_of_all_pages() {
    let (server, recorded) = Server::recorded(include_str!("../../../testdata/lightsail.txt")).await;
    let settings: lightsail::Settings =
        settings(&format!("{{{KEYS}, endpoint: '{}', port: 9100}}", server.url));
    let groups =
        lightsail::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    check_targets(&groups, recorded.targets("lightsail"));
    assert!(server.asked("/")[0].header("authorization").contains("/eu-central-1/lightsail/aws4_request"));
}

#[tokio::test]
async fn roles_choose_the_service() {
    let (server, _) = Server::recorded(EC2).await;
    let section = |role: &str| {
        format!("aws_sd_configs: [{{role: {role}, {KEYS}, {FILTERS}, endpoint: '{}'}}]", server.url)
    };
    let mut discovery = discover(&section("ec2"), &shared(&[]));
    crate::testing::until_addresses(&mut discovery, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    let mut discovery = discover(&section("rds"), &shared(&[]));
    let snapshot = until(&mut discovery, "a failure", |s| s.failures().count() > 0).await;
    assert!(snapshot.failures().any(|failure| failure.contains("role \"rds\" is not supported yet")));
}

#[test]
fn filters_need_values_and_roles_are_known() {
    let error = settings::<ec2::Settings>("filters: [{name: a}]").check().expect_err("no values");
    assert_eq!(error.message, "EC2 SD configuration filter values cannot be empty");
    for (text, want) in [("{}", "role missing"), ("role: s3", "unknown AWS SD role \"s3\"")] {
        let error = settings::<unified::Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
