//! Against a server that answers as EC2's, Lightsail's and the machine's own API do.

use super::*;
use crate::mechanism::Configured;
use crate::refresh::Refresh;
use crate::testing::{Ask, Reply, Server, check_targets, discover, settings, shared, until};

const ZONES: &str = "<DescribeAvailabilityZonesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId>
    <availabilityZoneInfo><item><zoneName>eu-1a</zoneName><zoneState>available</zoneState><zoneId>euw1-az1</zoneId></item>
    </availabilityZoneInfo></DescribeAvailabilityZonesResponse>";

fn page(instance: &str, next: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">
          <requestId>8f7724cf</requestId><reservationSet><item><reservationId>r-1</reservationId><ownerId>123456789012</ownerId>
          <groupSet/><instancesSet><item>{instance}</item></instancesSet></item></reservationSet>{next}</DescribeInstancesResponse>"
    )
}

const FIRST: &str = "<instanceId>i-1</instanceId><imageId>ami-1</imageId><instanceState><code>16</code><name>running</name></instanceState>
    <privateDnsName>ip-10-0-0-1.ec2.internal</privateDnsName><dnsName>ec2-1.amazonaws.com</dnsName><reason/><instanceType>t2.micro</instanceType>
    <placement><availabilityZone>eu-1a</availabilityZone><groupName/><tenancy>default</tenancy></placement>
    <subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId><privateIpAddress>10.0.0.1</privateIpAddress><ipAddress>54.1.1.1</ipAddress>
    <architecture>x86_64</architecture><instanceLifecycle>spot</instanceLifecycle>
    <tagSet><item><key>Name</key><value>Server 1</value></item><item><key>a:b</key><value>x</value></item></tagSet>
    <networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><subnetId>subnet-1</subnetId>
      <attachment><attachmentId>e</attachmentId><deviceIndex>0</deviceIndex></attachment>
      <ipv6AddressesSet><item><ipv6Address>2001:db8::1</ipv6Address><isPrimaryIpv6>false</isPrimaryIpv6></item></ipv6AddressesSet></item>
     <item><subnetId>subnet-2</subnetId><attachment><deviceIndex>1</deviceIndex></attachment>
      <ipv6AddressesSet><item><ipv6Address>2001:db8::2</ipv6Address><isPrimaryIpv6>true</isPrimaryIpv6></item></ipv6AddressesSet></item>
    </networkInterfaceSet>";

fn ec2(ask: &Ask) -> Reply {
    match (ask.form("Action").as_str(), ask.form("NextToken").as_str()) {
        ("DescribeAvailabilityZones", _) => Reply::json(ZONES),
        ("DescribeInstances", "") => Reply::json(page(FIRST, "<nextToken>more</nextToken>")),
        ("DescribeInstances", "more") => Reply::json(page(
            "<instanceId>i-2</instanceId><privateIpAddress>10.0.0.2</privateIpAddress><tagSet/>",
            "",
        )),
        _ => {
            Reply::of(400, "<Response><Errors><Error><Code>InvalidAction</Code></Error></Errors></Response>")
        }
    }
}

const KEYS: &str = "region: eu-1, access_key: AKID, secret_key: secret";

#[tokio::test]
async fn instances_of_all_pages_asked_for_with_a_signature() {
    let server = Server::start(ec2).await;
    let text = format!(
        "{{{KEYS}, endpoint: '{}', filters: [{{name: 'tag:env', values: [a, b]}}, {{name: 'instance-state-name', values: [running]}}]}}",
        server.url
    );
    let settings: ec2::Settings = settings(&text);
    settings.check().expect("valid");
    let groups =
        ec2::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    assert_eq!(groups[0].source, "eu-1");
    check_targets(
        &groups,
        "__address__=10.0.0.1:80
         __meta_ec2_ami=ami-1
         __meta_ec2_architecture=x86_64
         __meta_ec2_availability_zone=eu-1a
         __meta_ec2_availability_zone_id=euw1-az1
         __meta_ec2_default_ipv6_address=2001:db8::2
         __meta_ec2_instance_id=i-1
         __meta_ec2_instance_lifecycle=spot
         __meta_ec2_instance_state=running
         __meta_ec2_instance_type=t2.micro
         __meta_ec2_ipv6_addresses=,2001:db8::1,2001:db8::2,
         __meta_ec2_owner_id=123456789012
         __meta_ec2_primary_ipv6_addresses=,,2001:db8::2,
         __meta_ec2_primary_subnet_id=subnet-1
         __meta_ec2_private_dns_name=ip-10-0-0-1.ec2.internal
         __meta_ec2_private_ip=10.0.0.1
         __meta_ec2_public_dns_name=ec2-1.amazonaws.com
         __meta_ec2_public_ip=54.1.1.1
         __meta_ec2_region=eu-1
         __meta_ec2_subnet_id=,subnet-1,subnet-2,
         __meta_ec2_tag_Name=Server 1
         __meta_ec2_tag_a_b=x
         __meta_ec2_vpc_id=vpc-1

         __address__=10.0.0.2:80
         __meta_ec2_instance_id=i-2
         __meta_ec2_owner_id=123456789012
         __meta_ec2_private_ip=10.0.0.2
         __meta_ec2_region=eu-1",
    );
    let asked = server.asked("/");
    assert_eq!(asked.len(), 3);
    let authorization = asked[1].header("authorization");
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
    assert!(authorization.contains("/eu-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date,"));
    let form = |name: &str| asked[1].form(name);
    assert_eq!((form("Filter.1.Name"), form("Filter.1.Value.2")), ("tag:env".to_owned(), "b".to_owned()));
    assert_eq!((form("Filter.2.Value.1"), form("Version")), ("running".to_owned(), "2016-11-15".to_owned()));
}

#[tokio::test]
async fn a_machine_with_a_role_needs_neither_region_nor_keys() {
    let server = Server::start(|ask| match ask.path.as_str() {
        "/latest/api/token" => Reply::json("t"),
        "/latest/meta-data/placement/region" => Reply::json("eu-7"),
        "/latest/meta-data/iam/security-credentials/" => Reply::json("role"),
        "/latest/meta-data/iam/security-credentials/role" => Reply::json(
            r#"{"Code": "Success", "AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "session", "Expiration": "2090-01-01T00:00:00Z"}"#,
        ),
        _ if ask.form("Action") == "DescribeAvailabilityZones" => Reply::of(403, "not permitted"),
        _ => ec2(ask),
    })
    .await;
    let settings: ec2::Settings = settings(&format!("endpoint: '{}'", server.url));
    let shared = shared(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url)]);
    let groups = ec2::Source::new(&settings, &shared).expect("a source").refresh().await.expect("targets");
    assert_eq!((groups[0].source.as_str(), groups[0].targets.len()), ("eu-7", 2));
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
    let server = Server::start(|ask| {
        assert_eq!(ask.header("x-amz-target"), "Lightsail_20161128.GetInstances");
        if ask.body.contains("more") {
            return Reply::json(r#"{"instances": [{"name": "b", "privateIpAddress": null}]}"#);
        }
        Reply::json(
            r#"{"instances": [{"name": "a", "arn": "x", "supportCode": "1/i-1", "location": {"availabilityZone": "eu-1a", "regionName": "eu-1"},
              "blueprintId": "debian", "bundleId": "nano", "privateIpAddress": "172.26.0.1", "publicIpAddress": "1.1.1.1",
              "ipv6Addresses": ["2001:db8::1"], "state": {"code": 16, "name": "running"}, "tags": [{"key": "k", "value": "v"}]}],
              "nextPageToken": "more"}"#,
        )
    })
    .await;
    let settings: lightsail::Settings =
        settings(&format!("{{{KEYS}, endpoint: '{}', port: 9100}}", server.url));
    let groups =
        lightsail::Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    check_targets(
        &groups,
        "__address__=172.26.0.1:9100
         __meta_lightsail_availability_zone=eu-1a
         __meta_lightsail_blueprint_id=debian
         __meta_lightsail_bundle_id=nano
         __meta_lightsail_instance_name=a
         __meta_lightsail_instance_state=running
         __meta_lightsail_instance_support_code=1/i-1
         __meta_lightsail_ipv6_addresses=,2001:db8::1,
         __meta_lightsail_private_ip=172.26.0.1
         __meta_lightsail_public_ip=1.1.1.1
         __meta_lightsail_region=eu-1
         __meta_lightsail_tag_k=v",
    );
    assert!(server.asked("/")[0].header("authorization").contains("/eu-1/lightsail/aws4_request"));
}

#[tokio::test]
async fn roles_choose_the_service() {
    let server = Server::start(ec2).await;
    let section =
        |role: &str| format!("aws_sd_configs: [{{role: {role}, {KEYS}, endpoint: '{}'}}]", server.url);
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
