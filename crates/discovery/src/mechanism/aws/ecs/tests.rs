//! Against a server that answers as ECS and EC2 do.

use super::*;
use crate::testing::{Ask, Reply, Server, check_targets, settings, shared};

const TASKS: &str = r#"{"tasks": [
    {"taskArn": "arn:task/1", "taskDefinitionArn": "arn:def:1", "group": "service:web", "availabilityZone": "eu-1a", "desiredStatus": "RUNNING",
     "lastStatus": "RUNNING", "healthStatus": "HEALTHY", "launchType": "FARGATE", "platformFamily": "Linux", "platformVersion": "1.4.0",
     "tags": [{"key": "t:k", "value": "tv"}], "attachments": [{"type": "ElasticNetworkInterface", "details": [
        {"name": "subnetId", "value": "subnet-1"}, {"name": "networkInterfaceId", "value": "eni-1"}, {"name": "privateIPv4Address", "value": "10.0.0.1"}]}]},
    {"taskArn": "arn:task/2", "group": "service:web", "launchType": "EC2", "containerInstanceArn": "arn:ci/1", "attachments": []},
    {"taskArn": "arn:task/3", "group": "service:web", "attachments": []}], "failures": []}"#;

fn answer(ask: &Ask) -> Reply {
    let body: Value = serde_json::from_str(&ask.body).unwrap_or(Value::Null);
    match (ask.header("x-amz-target").trim_start_matches("AmazonEC2ContainerServiceV20141113."), body["nextToken"].as_str()) {
        ("ListClusters", None) => Reply::json(r#"{"clusterArns": ["arn:empty"], "nextToken": "more"}"#),
        ("ListClusters", Some("more")) => Reply::json(r#"{"clusterArns": ["arn:prod"]}"#),
        ("DescribeClusters", _) => {
            assert_eq!(body["clusters"], json!(["arn:empty", "arn:prod"]));
            Reply::json(
                r#"{"clusters": [{"clusterArn": "arn:prod", "clusterName": "prod", "tags": [{"key": "c", "value": "cv"}]}]}"#,
            )
        }
        ("ListServices", _) if body["cluster"] == "arn:empty" => Reply::json(r#"{"serviceArns": []}"#),
        ("ListServices", _) => Reply::json(r#"{"serviceArns": ["arn:service/web"]}"#),
        ("DescribeServices", _) => Reply::json(
            r#"{"services": [{"clusterArn": "arn:prod", "serviceArn": "arn:service/web", "serviceName": "web", "status": "ACTIVE",
                "tags": [{"key": "s", "value": "sv"}]}]}"#,
        ),
        ("ListTasks", _) => {
            assert_eq!((&body["cluster"], &body["serviceName"]), (&json!("arn:prod"), &json!("web")));
            Reply::json(r#"{"taskArns": ["arn:task/1", "arn:task/2", "arn:task/3"]}"#)
        }
        ("DescribeTasks", _) => Reply::json(TASKS),
        ("DescribeContainerInstances", _) => {
            Reply::json(r#"{"containerInstances": [{"containerInstanceArn": "arn:ci/1", "ec2InstanceId": "i-1"}]}"#)
        }
        ("", _) if ask.form("Action") == "DescribeInstances" && ask.form("InstanceId.1") == "i-1" => Reply::json(
            "<DescribeInstancesResponse><reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceType>t3.small</instanceType>
             <subnetId>subnet-2</subnetId><privateIpAddress>10.0.0.2</privateIpAddress><ipAddress>54.1.1.2</ipAddress>
             <tagSet><item><key>Name</key><value>host</value></item></tagSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>",
        ),
        ("", _) if ask.form("Action") == "DescribeNetworkInterfaces" => Reply::of(403, "UnauthorizedOperation"),
        _ => Reply::not_found(),
    }
}

#[tokio::test]
async fn tasks_with_a_network_of_their_own_or_of_their_machine() {
    let server = Server::start(answer).await;
    let text =
        format!("{{role: ecs, region: eu-1, access_key: A, secret_key: s, endpoint: '{}'}}", server.url);
    let settings: Settings = settings(&text);
    let shared = shared(&[("AWS_ENDPOINT_URL_EC2", &server.url)]);
    let mut source = Source::new(&settings, &shared).unwrap();
    let common = "__meta_ecs_service=web
        __meta_ecs_service_arn=arn:service/web
        __meta_ecs_service_status=ACTIVE";
    let want = format!(
        "__address__=10.0.0.1:80
        __meta_ecs_availability_zone=eu-1a
        __meta_ecs_cluster=prod
        __meta_ecs_cluster_arn=arn:prod
        __meta_ecs_desired_status=RUNNING
        __meta_ecs_health_status=HEALTHY
        __meta_ecs_ip_address=10.0.0.1
        __meta_ecs_last_status=RUNNING
        __meta_ecs_launch_type=FARGATE
        __meta_ecs_network_mode=awsvpc
        __meta_ecs_platform_family=Linux
        __meta_ecs_platform_version=1.4.0
        __meta_ecs_region=eu-1
        {common}
        __meta_ecs_subnet_id=subnet-1
        __meta_ecs_tag_cluster_c=cv
        __meta_ecs_tag_service_s=sv
        __meta_ecs_tag_task_t_k=tv
        __meta_ecs_task_arn=arn:task/1
        __meta_ecs_task_definition=arn:def:1
        __meta_ecs_task_group=service:web

        __address__=10.0.0.2:80
        __meta_ecs_cluster=prod
        __meta_ecs_cluster_arn=arn:prod
        __meta_ecs_container_instance_arn=arn:ci/1
        __meta_ecs_ec2_instance_id=i-1
        __meta_ecs_ec2_instance_private_ip=10.0.0.2
        __meta_ecs_ec2_instance_public_ip=54.1.1.2
        __meta_ecs_ec2_instance_type=t3.small
        __meta_ecs_ip_address=10.0.0.2
        __meta_ecs_launch_type=EC2
        __meta_ecs_network_mode=bridge
        __meta_ecs_public_ip=54.1.1.2
        __meta_ecs_region=eu-1
        {common}
        __meta_ecs_subnet_id=subnet-2
        __meta_ecs_tag_cluster_c=cv
        __meta_ecs_tag_ec2_Name=host
        __meta_ecs_tag_service_s=sv
        __meta_ecs_task_arn=arn:task/2
        __meta_ecs_task_group=service:web"
    );
    check_targets(&source.refresh().await.unwrap(), &want);
    assert!(server.asked("/")[0].header("authorization").contains("/eu-1/ecs/aws4_request"));
}
