//! How jobs inherit, and what contradicts itself.

use super::{EscapingScheme, Global, Job, ScrapeConfig, ScrapeProtocol, ValidationScheme};

fn resolve(global: &str, job: &str) -> Result<Job, String> {
    let global: Global = yaml::from_str(global).map_err(|error| error.to_string())?;
    global.check().map_err(|error| error.to_string())?;
    let config: ScrapeConfig = yaml::from_str(job).map_err(|error| error.to_string())?;
    config.resolve(&global).map_err(|error| error.to_string())
}

#[track_caller]
fn job(global: &str, job: &str) -> Job {
    resolve(global, job).expect("valid")
}

#[track_caller]
fn refused(global: &str, job: &str, want: &str) {
    match resolve(global, job) {
        Ok(_) => panic!("{global} {job} is not refused"),
        Err(error) => assert!(error.contains(want), "{want:?} is missing in {error:?}"),
    }
}

#[test]
fn times_come_from_the_job_then_from_global_then_by_default() {
    let times = |global: &str, text: &str| {
        let job = job(global, text);
        (job.interval_ms, job.timeout_ms)
    };
    assert_eq!(times("", "job_name: a"), (60_000, 10_000));
    assert_eq!(times("scrape_interval: 5s", "job_name: a"), (5_000, 5_000));
    assert_eq!(times("{scrape_interval: 1h, scrape_timeout: 1m}", "job_name: a"), (3_600_000, 60_000));
    assert_eq!(
        times("{scrape_interval: 1h, scrape_timeout: 1m}", "{job_name: a, scrape_interval: 9s}"),
        (9_000, 9_000)
    );
    refused("{scrape_interval: 5s, scrape_timeout: 6s}", "job_name: a", "global scrape timeout greater than");
    refused("", "{job_name: a, scrape_timeout: 61s}", "scrape timeout greater than scrape interval");
    refused("", "{}", "job_name is empty");
}

#[test]
fn formats_depend_on_native_histograms_unless_they_are_named() {
    assert_eq!(job("", "job_name: a").protocols, ScrapeProtocol::DEFAULT);
    let native = "scrape_native_histograms: true";
    assert_eq!(job(native, "job_name: a").protocols, ScrapeProtocol::DEFAULT_NATIVE);
    assert_eq!(
        job(native, "{job_name: a, scrape_native_histograms: false}").protocols,
        ScrapeProtocol::DEFAULT
    );
    let text = [ScrapeProtocol::PrometheusText0_0_4];
    let named = "{scrape_native_histograms: true, scrape_protocols: [PrometheusText0.0.4]}";
    assert_eq!(job(named, "job_name: a").protocols, text);
    refused("", "{job_name: a, scrape_protocols: []}", "scrape_protocols cannot be empty for scrape config");
    refused("scrape_protocols: [PrometheusProto, PrometheusProto]", "job_name: a", "duplicated protocol");
}

#[test]
fn escaping_suits_the_validation_that_is_nearest() {
    let names = |global: &str, text: &str| {
        let job = job(global, text);
        (job.validation, job.escaping)
    };
    let legacy = "metric_name_validation_scheme: legacy";
    assert_eq!(names("", "job_name: a"), (ValidationScheme::Utf8, EscapingScheme::AllowUtf8));
    assert_eq!(names(legacy, "job_name: a"), (ValidationScheme::Legacy, EscapingScheme::Underscores));
    let own = "{job_name: a, metric_name_validation_scheme: legacy}";
    assert_eq!(names("", own), (ValidationScheme::Legacy, EscapingScheme::Underscores));
    let utf8 = "{job_name: a, metric_name_validation_scheme: utf8}";
    assert_eq!(names(legacy, utf8), (ValidationScheme::Utf8, EscapingScheme::AllowUtf8));
    refused(legacy, "{job_name: a, metric_name_escaping_scheme: allow-utf-8}", "utf8 metric names requested");
}

#[test]
fn limits_of_zero_are_those_of_global() {
    let global = "{body_size_limit: 15MB, sample_limit: 1500, label_limit: 30, keep_dropped_targets: 5}";
    let job = job(global, "{job_name: a, sample_limit: 10}");
    assert_eq!((job.body_size_limit_bytes, job.sample_limit, job.label_limit), (15 << 20, 10, 30));
    assert_eq!((job.target_limit, job.keep_dropped_targets), (0, 5));
}
