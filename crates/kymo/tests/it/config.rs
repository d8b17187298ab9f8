//! The configuration loader: what files become, and what their faults say.

use std::path::Path;

use kymo::config::{Config, load};
use kymo::features::Features;

/// Writes a file of a test.
pub(crate) fn write(path: &Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "a fixture needs no crash guarantee")]
    std::fs::write(path, text).expect("written");
}

fn load_text(text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("kymo.yml");
    write(&path, text);
    let variable = |name: &str| (name == "ZONE").then(|| "eu-1".to_owned());
    load(&path, &variable, Features::default())
        .map_err(|error| error.to_string().replace(&format!("{}/", directory.path().display()), ""))
}

#[track_caller]
fn loads(text: &str) -> Config {
    load_text(text).expect(text)
}

#[track_caller]
fn refused(text: &str, want: &str) {
    assert_eq!(load_text(text).map(|_| "loaded"), Err(want.to_owned()), "{text}");
}

#[test]
fn an_empty_file_is_a_configuration_that_watches_nothing() {
    let config = loads("");
    assert!(
        config.scrape.jobs.is_empty() && config.scrape.host_collector.is_none() && config.warnings.is_empty()
    );
    assert_eq!(config.global.evaluation_interval_ms(), 60_000);
}

#[test]
fn jobs_inherit_from_global_and_from_defaults() {
    let config = loads(
        "global: {scrape_interval: 20s, sample_limit: 7, scrape_native_histograms: true}\n\
         scrape_configs:\n\
         - job_name: a\n\
         - {job_name: b, scrape_interval: 5s, sample_limit: 9, metrics_path: /x, params: {m: [1, 2]}, scheme: https}\n",
    );
    let [a, b] = &config.scrape.jobs[..] else { panic!("two jobs") };
    assert_eq!((a.interval_ms, a.timeout_ms, a.sample_limit), (20_000, 10_000, 7));
    assert_eq!((b.interval_ms, b.timeout_ms, b.sample_limit), (5_000, 5_000, 9));
    assert_eq!((a.metrics_path.as_str(), a.scheme.as_str()), ("/metrics", "http"));
    assert_eq!((b.metrics_path.as_str(), b.scheme.as_str()), ("/x", "https"));
    assert_eq!(b.params["m"], ["1", "2"]);
    assert_eq!(a.protocols[0].as_str(), "PrometheusProto", "native histograms come as protobuf only");
    assert!(a.honor_timestamps && a.compression && !a.honor_labels);
}

#[test]
fn external_labels_take_environment_variables() {
    let config = loads("global: {external_labels: {zone: \"${ZONE}\", cost: \"$$5\"}}");
    assert_eq!(config.external_labels.get("zone"), Some("eu-1"));
    assert_eq!(config.external_labels.get("cost"), Some("$5"));
}

#[test]
fn the_host_collector_is_off_unless_it_is_switched_on() {
    assert!(loads("host_collector: {enabled: false}").scrape.host_collector.is_none());
    let host = loads("host_collector: {enabled: true}").scrape.host_collector.expect("on");
    assert_eq!((host.job.as_str(), host.interval_ms), ("node", 15_000));
    let text = "{global: {scrape_interval: 1m}, host_collector: {enabled: true, job_name: machine}}";
    let host = loads(text).scrape.host_collector.expect("on");
    assert_eq!((host.job.as_str(), host.interval_ms), ("machine", 60_000));
}

#[test]
fn features_have_prometheus_names() {
    let text =
        "promql: {enable_features: [use-start-timestamps, promql-duration-expr, type-and-unit-labels]}";
    let config = loads(text);
    let effects = [promql::features::Effect::UseStartTimestamps, promql::features::Effect::AlwaysOn];
    assert_eq!(config.features.promql, effects);
    assert!(config.scrape.type_and_unit_labels && config.warnings.is_empty());
    let config = loads("");
    assert!(config.features == Features::default() && !config.scrape.type_and_unit_labels);
    let config = loads("promql: {enable_features: [none, old-ui]}");
    assert_eq!(
        config.warnings,
        [
            "unknown feature \"none\"; docs/user/configuration.md lists those there are",
            "feature \"old-ui\" does nothing here: there is one UI",
        ],
        "as Prometheus: an unknown feature keeps no server from starting"
    );
}

#[test]
fn a_feature_changes_the_default_of_a_setting() {
    let jobs = "scrape_configs: [{job_name: a}, {job_name: b, extra_scrape_metrics: false}]";
    let extra = |before: &str| {
        let config = loads(&format!("{before}\n{jobs}\n"));
        config.scrape.jobs.iter().map(|job| job.extra_metrics).collect::<Vec<_>>()
    };
    assert_eq!(extra(""), [false, false]);
    assert_eq!(extra("promql: {enable_features: [extra-scrape-metrics]}"), [true, false]);
    let no = "global: {extra_scrape_metrics: false}\npromql: {enable_features: [extra-scrape-metrics]}";
    assert_eq!(extra(no), [false, false]);
}

#[test]
fn retention_is_read_and_encodings_are_not_minded() {
    let config = loads(
        "storage:\n  tsdb:\n    out_of_order_time_window: 30m\n    chunk_encoding: {floats: xor}\n    \
         retention: {time: 30d, size: 10GB, percentage: 50}\n  exemplars: {max_exemplars: 5}\n",
    );
    assert_eq!(config.storage.retention_ms, Some(30 * 86_400_000));
    assert_eq!(config.storage.retention_bytes, Some(10 << 30));
    assert_eq!((config.storage.retention_percentage, config.storage.exemplars_max), (Some(50.0), Some(5)));
}

#[test]
fn what_will_not_happen_is_said() {
    let config = loads(
        "rule_files: [a.rules]\n\
         remote_write: [{url: 'http://x/'}, {url: 'http://y/', sigv4: {region: r}}]\n\
         alerting: {alertmanagers: [{static_configs: [{targets: ['a:9093']}], sigv4: {region: r}}]}\n\
         scrape_configs:\n\
         - job_name: pods\n  oci_sd_configs: [{region: r}]\n",
    );
    assert_eq!(
        config.warnings,
        [
            "alerting.alertmanagers[0]: sigv4 is not supported yet; nothing is sent there",
            "scrape job \"pods\": oci_sd_configs is not supported yet; its targets are missing",
        ]
    );
}

#[test]
fn relative_paths_are_relative_to_their_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let jobs = directory.path().join("jobs");
    std::fs::create_dir(&jobs).expect("made");
    write(
        &directory.path().join("kymo.yml"),
        "global: {scrape_failure_log_file: all.log, series_limit: 5}\nscrape_config_files: ['jobs/*.yml']",
    );
    write(
        &jobs.join("b.yml"),
        "scrape_configs: [{job_name: b, file_sd_configs: [{files: [t.json, /abs/t.yml]}]}]",
    );
    write(
        &jobs.join("a.yml"),
        "scrape_configs: [{job_name: a, series_limit: 7, scrape_failure_log_file: a.log, tls_config: {ca_file: ca.pem}}]",
    );
    let config = load(&directory.path().join("kymo.yml"), &|_| None, Features::default()).expect("valid");
    let names: Vec<&str> = config.scrape.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let logs: Vec<&str> = config.scrape.jobs.iter().map(|job| job.failure_log_file.as_str()).collect();
    assert_eq!(
        logs,
        [jobs.join("a.log").to_string_lossy(), directory.path().join("all.log").to_string_lossy()]
    );
    let limits: Vec<u64> = config.scrape.jobs.iter().map(|job| job.series_limit).collect();
    assert_eq!(limits, [7, 5]);
    assert_eq!(config.scrape.jobs[0].http.tls_config.ca_file, jobs.join("ca.pem").to_string_lossy());
    let files = &config.scrape.jobs[1].discovery.file_sd_configs[0].files;
    assert_eq!(files[..], [jobs.join("t.json").to_string_lossy().into_owned(), "/abs/t.yml".to_owned()]);
}

#[test]
fn secrets_are_hidden_when_the_file_is_shown() {
    let config = loads(
        "scrape_configs:\n- job_name: a\n  basic_auth:\n    username: me\n    password: hidden\n  http_headers:\n    \
         X: {secrets: [hidden]}\n  consul_sd_configs: [{token: hidden}]\nremote_write:\n- url: http://x\n  \
         bearer_token: hidden\n",
    );
    assert!(!config.redacted.contains("hidden"), "{}", config.redacted);
    assert_eq!(config.redacted.matches("<secret>").count(), 4, "{}", config.redacted);
    assert!(config.redacted.contains("username: me"), "{}", config.redacted);
}

#[test]
fn faults_name_file_line_column_keys_and_remedy() {
    refused(
        "global:\n  scrape_intervall: 1s\n",
        "kymo.yml:2:3: global: unknown key \"scrape_intervall\"; did you mean \"scrape_interval\"?",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  basic_auht: {}\n",
        "kymo.yml:3:3: scrape_configs[0]: unknown key \"basic_auht\"; did you mean \"basic_auth\"?",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  static_config: []\n",
        "kymo.yml:3:3: scrape_configs[0]: unknown key \"static_config\"; did you mean \"static_configs\"?",
    );
    refused(
        "global: {scrape_interval: 1 minute}",
        "kymo.yml:1:27: global.scrape_interval: unknown unit \" minute\" in duration \"1 minute\"",
    );
    refused(
        "global: {scrape_interval: 10s}\nscrape_configs:\n- job_name: a\n  scrape_timeout: 20s\n",
        "kymo.yml:4:3: scrape_configs[0].scrape_timeout: scrape timeout greater than scrape interval for scrape \
         config with job name \"a\"",
    );
    refused(
        "scrape_configs:\n- job_name: a\n- scrape_interval: 1s\n  job_name: a\n",
        "kymo.yml:4:3: scrape_configs[1].job_name: found multiple scrape configs with job name \"a\"; the first is \
         in kymo.yml, line 2",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  static_configs:\n  - targets: ['http://b/metrics']\n",
        "kymo.yml:4:15: scrape_configs[0].static_configs[0].targets[0]: \"http://b/metrics\" is not a valid hostname; \
         leave out the scheme and the path",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  relabel_configs:\n  - action: drop\n  -\n",
        "kymo.yml:5:4: scrape_configs[0].relabel_configs[1]: empty or null target relabeling rule in scrape config; \
         remove the \"-\", or fill it in",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  scrape_protocols: [PrometheusText]\n",
        "kymo.yml:3:22: scrape_configs[0].scrape_protocols[0]: unknown scrape protocol PrometheusText, supported: \
         [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0]",
    );
    refused(
        "scrape_configs:\n- job_name: a\n  kubernetes_sd_configs:\n  - role: pod\n    api_sever: x\n",
        "kymo.yml:5:5: scrape_configs[0].kubernetes_sd_configs[0]: unknown key \"api_sever\"; did you mean \
         \"api_server\"?",
    );
    refused(
        "scrape_configs:
- job_name: a
  zzz: 1
",
        "kymo.yml:3:3: scrape_configs[0]: unknown key \"zzz\"; remove it, or check its indentation",
    );
    refused("- a", "kymo.yml:1:1: expected keys and values, found a list");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = load(Path::new("/no/such/file.yml"), &|_| None, Features::default())
        .expect_err("nothing there")
        .to_string();
    assert!(error.starts_with("/no/such/file.yml: cannot read the file: "), "{error}");
}

#[test]
fn limits_of_queries_come_from_the_file_and_else_from_flags() {
    use promql::{Class, Limits, Settings};
    use std::time::Duration;

    let flags = || Settings { concurrent_max: 7, ..Settings::default() };
    assert_eq!(loads("").query.apply(flags()).concurrent_max, 7);
    let settings = loads(
        "query:\n  timeout: 30s\n  max-samples: 1000\n  max_memory: 64MiB\n  max_waiting: 5\n  slow_log_after: 0s\n  results_cache: false\n\
         \x20 slots: {alert: 9, batch: 1}\n  tenants:\n    team-a: {max_series: 10, timeout: 1m}\n",
    )
    .query
    .apply(flags());
    let limits = Limits {
        timeout: Duration::from_secs(30),
        samples_max: 1000,
        memory_bytes_max: Some(64 << 20),
        ..Limits::default()
    };
    let own = Limits { series_max: 10, timeout: Duration::from_secs(60), ..limits.clone() };
    assert_eq!((settings.concurrent_max, settings.waiting_max, settings.slow_log_after), (7, 5, None));
    assert!(!settings.results_cache);
    assert_eq!((settings.slots(Class::Alert), settings.slots(Class::Batch)), (9, 1));
    let team = model::TenantId::new("team-a").expect("valid");
    assert_eq!(
        (settings.limits_of(&model::TenantId::anonymous()), settings.limits_of(&team)),
        (&limits, &own)
    );
    refused(
        "query:\n  max_series: 0\n",
        "kymo.yml:2:3: query.max_series: must be more than 0; leave it out for the default",
    );
    refused(
        "query: {tenants: {a: {max_points: 0}}}\n",
        "kymo.yml:1:23: query.tenants.a.max_points: must be more than 0; leave it out for the default",
    );
}

#[test]
fn rule_files_are_found_beside_the_configuration_and_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let rules = directory.path().join("rules");
    std::fs::create_dir(&rules).expect("made");
    let config = directory.path().join("kymo.yml");
    write(
        &config,
        "global: {evaluation_interval: 20s, rule_query_offset: 5s, external_labels: {region: eu}}\n\
         rule_files: ['rules/*.yml', rules/a.yml, not_there.yml]\n",
    );
    write(&rules.join("b.yml"), "groups: [{name: g, rules: [{record: r, expr: up}]}]");
    write(&rules.join("a.yml"), "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]");
    let load = || kymo::config::load(&config, &|_| None, Features::default());
    let loaded = load().expect("valid").rules;
    let files: Vec<&str> = loaded.files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(files, [rules.join("a.yml").to_string_lossy(), rules.join("b.yml").to_string_lossy()]);
    assert_eq!((loaded.defaults.interval_ms, loaded.defaults.query_offset_ms), (20_000, 5_000));
    assert_eq!(loaded.defaults.external.labels.get("region"), Some("eu"));
    write(&rules.join("b.yml"), "groups:\n- name: g\n  rules:\n  - record: r\n    expr: up +\n");
    let error = load().expect_err("refused").to_string();
    let text = "b.yml:5:5: group \"g\", rule 1, \"r\": could not parse expression: 1:5: parse error: unexpected end of input";
    assert!(error.ends_with(text), "{error}");
}

#[test]
fn outside_alertmanagers_are_read() {
    let config = loads(
        "global: {external_labels: {region: eu}}\n\
         alerting:\n\
         \x20 alert_relabel_configs: [{action: labeldrop, regex: x}]\n\
         \x20 alertmanagers:\n\
         \x20 - static_configs: [{targets: ['a:9093']}]\n\
         \x20 - {scheme: https, path_prefix: /am, timeout: 3s, api_version: v2, alert_relabel_configs: [{target_label: l, replacement: v}]}\n",
    );
    let settings = config.alertmanagers;
    assert_eq!((settings.alert_relabel.len(), settings.external_labels.get("region")), (1, Some("eu")));
    let [first, second] = settings.sets.as_slice() else { panic!("{settings:?}") };
    assert_eq!((first.scheme.as_str(), first.timeout.as_secs()), ("http", 10));
    assert_eq!(first.section.discovery.static_configs[0].targets, ["a:9093"]);
    assert_eq!((second.scheme.as_str(), second.path_prefix.as_str()), ("https", "/am"));
    assert_eq!((second.timeout.as_secs(), second.alert_relabel.len()), (3, 1));
}
