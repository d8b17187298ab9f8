//! Against a server that answers as Eureka's REST API does.

use super::*;
use crate::testing::{Reply, Server, check_targets, settings, shared};

const APPS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<applications>
  <versions__delta>1</versions__delta>
  <apps__hashcode>UP_2_</apps__hashcode>
  <application>
    <name>CONFIG-SERVICE</name>
    <instance>
      <instanceId>config001.test.com:config-service:8080</instanceId>
      <hostName>config001.test.com</hostName>
      <app>CONFIG-SERVICE</app>
      <ipAddr>192.133.83.31</ipAddr>
      <status>UP</status>
      <overriddenstatus>UNKNOWN</overriddenstatus>
      <port enabled="true">8080</port>
      <securePort enabled="false">8443</securePort>
      <countryId>1</countryId>
      <dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo">
        <name>MyOwn</name>
        <metadata><instance-type>c1.medium</instance-type></metadata>
      </dataCenterInfo>
      <metadata class="java.util.Collections$EmptyMap"><instanceId>config-1</instanceId><prometheus.scrape>true</prometheus.scrape></metadata>
      <homePageUrl>http://config001.test.com:8080/</homePageUrl>
      <statusPageUrl>http://config001.test.com:8080/info</statusPageUrl>
      <healthCheckUrl>http://config001.test.com:8080/health</healthCheckUrl>
      <vipAddress>config-service</vipAddress>
      <secureVipAddress>config-service</secureVipAddress>
      <isCoordinatingDiscoveryServer>false</isCoordinatingDiscoveryServer>
      <actionType>ADDED</actionType>
    </instance>
    <instance><instanceId>i2</instanceId><hostName>h2</hostName></instance>
  </application>
  <application><name>EMPTY</name></application>
</applications>"#;

#[tokio::test]
async fn instances_and_their_metadata() {
    let server = Server::start(|_| Reply::json(APPS)).await;
    let settings: Settings = settings(&format!("server: '{}/eureka'", server.url));
    settings.check().expect("valid");
    let groups = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect("targets");
    check_targets(
        &groups,
        "__address__=config001.test.com:8080
         __meta_eureka_app_instance_country_id=1
         __meta_eureka_app_instance_datacenterinfo_metadata_instance_type=c1.medium
         __meta_eureka_app_instance_datacenterinfo_name=MyOwn
         __meta_eureka_app_instance_healthcheck_url=http://config001.test.com:8080/health
         __meta_eureka_app_instance_homepage_url=http://config001.test.com:8080/
         __meta_eureka_app_instance_hostname=config001.test.com
         __meta_eureka_app_instance_id=config001.test.com:config-service:8080
         __meta_eureka_app_instance_ip_addr=192.133.83.31
         __meta_eureka_app_instance_metadata_instanceId=config-1
         __meta_eureka_app_instance_metadata_prometheus_scrape=true
         __meta_eureka_app_instance_port=8080
         __meta_eureka_app_instance_port_enabled=true
         __meta_eureka_app_instance_secure_port=8443
         __meta_eureka_app_instance_secure_port_enabled=false
         __meta_eureka_app_instance_secure_vip_address=config-service
         __meta_eureka_app_instance_status=UP
         __meta_eureka_app_instance_statuspage_url=http://config001.test.com:8080/info
         __meta_eureka_app_instance_vip_address=config-service
         __meta_eureka_app_name=CONFIG-SERVICE
         instance=config001.test.com:config-service:8080

         __address__=h2:80
         __meta_eureka_app_instance_country_id=0
         __meta_eureka_app_instance_hostname=h2
         __meta_eureka_app_instance_id=i2
         __meta_eureka_app_name=CONFIG-SERVICE
         instance=i2",
    );
    assert_eq!(server.asked("/eureka/apps").len(), 1);
}

#[tokio::test]
async fn what_is_no_xml_is_a_failure() {
    let server = Server::start(|_| Reply::json("<applications><application>")).await;
    let settings: Settings = settings(&format!("server: '{}'", server.url));
    let error = Source::new(&settings, &shared(&[])).expect("a source").refresh().await.expect_err("no XML");
    assert!(error.to_string().contains("cannot understand the answer"), "{error}");
}

#[test]
fn a_server_is_needed() {
    for (text, want) in [("{}", "empty or null eureka server"), ("server: foo", "invalid eureka server URL")]
    {
        let error = settings::<Settings>(text).check().expect_err(text);
        assert!(error.message.contains(want), "{error}");
    }
}
