//! Sections that name targets: what they become, and what is refused.

use super::{FileSd, Section};

fn read(text: &str) -> Result<Section, String> {
    let section: Section = yaml::from_str(text).map_err(|error| error.to_string())?;
    section.check(false).map_err(|error| format!("{}: {error}", error.path.join(".")))?;
    Ok(section)
}

#[track_caller]
fn refused(text: &str, want: &str) {
    match read(text) {
        Ok(_) => panic!("{text} is not refused"),
        Err(error) => assert!(error.contains(want), "{text}: {want:?} is missing in {error:?}"),
    }
}

#[test]
fn targets_and_how_they_are_reached_stand_side_by_side() {
    let text = "static_configs: [{targets: ['a:1', b], labels: {x: 1}}]\nfile_sd_configs: [{files: [a/*.json]}]\n\
                follow_redirects: false\n";
    let section = read(text).expect("valid");
    assert_eq!(section.discovery.static_configs[0].targets, ["a:1", "b"]);
    assert_eq!(section.discovery.static_configs[0].labels["x"], "1");
    let file = FileSd { files: vec!["a/*.json".to_owned()], ..FileSd::default() };
    assert_eq!(section.discovery.file_sd_configs, [file]);
    assert!(!section.http.follow_redirects && section.discovery.unsupported.is_empty());
}

#[test]
fn mechanisms_are_kept_and_those_to_come_are_checked_and_named() {
    let text = "oci_sd_configs: [{region: a}]\nvultr_sd_configs: []\nkubernetes_sd_configs: [{role: pod}, {role: node}]\n";
    let section = read(text).expect("valid");
    assert_eq!(section.discovery.unsupported, ["oci_sd_configs"]);
    let keys: Vec<&str> = section.discovery.mechanisms.iter().map(super::Mechanism::key).collect();
    assert_eq!(keys, ["kubernetes_sd_configs", "kubernetes_sd_configs"]);
    refused("oci_sd_configs: [{}]", "OCI SD configuration requires region");
    refused("oci_sd_configs: [{region: a, regoin: b}]", "did you mean \"region\"?");
    refused(
        "kubernetes_sd_configs: [{role: pod}, {role: pot}]",
        "kubernetes_sd_configs.1.role: unknown Kubernetes SD role",
    );
    refused("kubernetes_sd_configs: [{role: pod, namespaces: {foo: bar}}]", "unknown key \"foo\"");
    refused("consul_sd_configs: [{refresh_interval: soon}]", "duration");
    refused("hetzner_sd_configs: [{role: cloud}]", "use one of: robot, hcloud");
}

#[test]
fn patterns_of_files_are_checked() {
    for good in ["a.json", "/x/y/tg_*.yml", "*.yaml", "A.JSON"] {
        read(&format!("file_sd_configs: [{{files: ['{good}']}}]")).expect(good);
    }
    for bad in ["a.txt", "*/a.json", "json"] {
        refused(&format!("file_sd_configs: [{{files: ['{bad}']}}]"), "is not valid for file discovery");
    }
    refused("file_sd_configs: [{}]", "must contain at least one path name");
}

#[test]
fn an_address_that_is_a_url_is_refused_unless_rules_may_mend_it() {
    let text = "static_configs: [{targets: ['http://a']}]";
    refused(text, "static_configs.0.targets.0: \"http://a\" is not a valid hostname");
    let section: Section = yaml::from_str(text).expect("valid");
    assert!(section.check(true).is_ok());
}
