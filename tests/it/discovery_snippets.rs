//! The snippets of `docs/user/discovery.md`, each as it stands there, run by the real binary: the servers that mechanisms ask are
//! played from recorded answers, and every target must appear with its labels, and with no others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use kymo_tests::internet::{Played, authority, is_recorded, name_server};
use kymo_tests::server::{Kymo, write};
use kymo_tests::{docs, http, paths, poll};
use serde_json::{Value, json};

/// Blocks that are no section of a job.
const OTHERS: [&str; 2] = ["discovery-alert", "file-targets"];
/// Labels of a target, as they are written here.
type Written = &'static [(&'static str, &'static str)];

/// Sections whose targets come from no played server, and those targets.
const UNPLAYED: [(&str, &[Written]); 3] = [
    (
        "static",
        &[
            &[("__address__", "10.0.0.1:9100"), ("team", "a")],
            &[("__address__", "10.0.0.2:9100"), ("team", "a")],
        ],
    ),
    (
        "file",
        &[&[
            ("__address__", "10.0.0.3:9100"),
            ("__meta_filepath", "{folder}/targets/web.yml"),
            ("team", "b"),
        ]],
    ),
    (
        "dns",
        &[
            &[
                ("__address__", "a.example.com:9100"),
                ("__meta_dns_name", "_prometheus._tcp.example.com"),
                ("__meta_dns_srv_record_port", "9100"),
                ("__meta_dns_srv_record_target", "a.example.com."),
            ],
            &[("__address__", "10.0.0.7:9100"), ("__meta_dns_name", "nodes.example.com")],
        ],
    ),
];

/// Labels of a target.
type Labels = BTreeMap<String, String>;

/// A section of a job, and what plays the server that it asks.
struct Job {
    name: String,
    section: String,
    played: Option<Played>,
}

impl Job {
    fn new(name: &str, section: &str, folder: &Path) -> Self {
        let played = is_recorded(name).then(|| Played::start(name));
        let mut section = section.to_owned();
        let mut replace = |there: &str, here: &str| {
            assert!(section.contains(there), "{name}: {there:?} is not in\n{section}");
            section = section.replacen(there, here, 1);
        };
        if name == "file" {
            for path in ["targets/*.yml", "targets/*.json"] {
                replace(path, &folder.join(path).to_string_lossy());
            }
        }
        if let Some(played) = &played {
            let (url, port) = (played.url(), played.port());
            match name {
                "docker" | "dockerswarm" => {
                    let socket = folder.join(format!("{name}.sock"));
                    played.listen_on(&socket);
                    replace("unix:///var/run/docker.sock", &format!("unix://{}", socket.display()));
                }
                "triton" => {
                    replace("cmon.example", "localhost");
                    replace("9163", &port.to_string());
                }
                "openstack" => replace("https://keystone.example:5000", &url),
                // Neither has settings of a client: one has an endpoint, the others are found through the environment.
                "ovhcloud" => replace("  - ", &format!("  - endpoint: '{url}'\n    ")),
                "gce" | "kubernetes" => {}
                // All others ask whom the snippet names, through a proxy.
                _ => replace("  - ", &format!("  - proxy_url: '{url}'\n    ")),
            }
            if name == "stackit" {
                replace("/etc/kymo", &folder.to_string_lossy());
            }
        }
        Self { name: name.to_owned(), section, played }
    }

    fn url(&self) -> String {
        self.played.as_ref().map_or(String::new(), Played::url)
    }

    fn config(&self) -> String {
        let lines = self.section.lines().map(|line| format!("    {line}\n"));
        format!("  - job_name: {}\n{}", self.name, lines.collect::<String>())
    }

    /// Targets that must be there: those that have an address.
    fn wanted(&self, folder: &Path) -> Vec<Labels> {
        let folder = folder.to_string_lossy();
        let all: Vec<Labels> = match &self.played {
            None => {
                let own = UNPLAYED.iter().find(|(name, _)| *name == self.name);
                let (_, targets) = own.expect("a section has a played server, or its targets are known");
                let label =
                    |(name, value): &(&str, &str)| ((*name).to_owned(), value.replace("{folder}", &folder));
                targets.iter().map(|target| target.iter().map(label).collect()).collect()
            }
            Some(played) => {
                // Triton's targets are on the port that it is asked on.
                let port = format!(":{}", played.port());
                let label = |(name, value): (String, String)| (name, value.replace(":9163", &port));
                played
                    .targets(&self.name)
                    .into_iter()
                    .map(|target| target.into_iter().map(label).collect())
                    .collect()
            }
        };
        all.into_iter().filter(|labels| labels.contains_key("__address__")).collect()
    }
}

/// What of a target was found by discovery.
fn discovered(target: &Value) -> Labels {
    let labels = target["discoveredLabels"].as_object().cloned().unwrap_or_default();
    labels.into_iter().map(|(name, value)| (name, value.as_str().unwrap_or("").to_owned())).collect()
}

/// Whether a target has these labels, and no others of discovery.
fn is_same(found: &Labels, want: &Labels) -> bool {
    want.iter().all(|(name, value)| found.get(name) == Some(value))
        && found.keys().all(|name| !name.starts_with("__meta_") || want.contains_key(name))
}

fn check(kymo: &Kymo, job: &Job, folder: &Path) {
    let wanted = job.wanted(folder);
    assert!(!wanted.is_empty(), "{}: no targets are wanted", job.name);
    poll::until(&format!("targets of {}", job.name), || {
        let asked = [("scrapePool", job.name.as_str()), ("state", "active")];
        let answer = http::get_with(&kymo.url(), "/api/v1/targets", &asked)?.json();
        let targets = answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let found: Vec<Labels> = targets.iter().map(discovered).collect();
        let missing: Vec<&Labels> =
            wanted.iter().filter(|want| !found.iter().any(|found| is_same(found, want))).collect();
        if missing.is_empty() && found.len() == wanted.len() {
            return Ok(());
        }
        let warnings = answer["warnings"].as_array().into_iter().flatten();
        let warnings: Vec<&Value> = warnings
            .filter(|warning| warning.as_str().is_some_and(|text| text.starts_with(&job.name)))
            .collect();
        let unanswered = job.played.as_ref().map(Played::unanswered).unwrap_or_default();
        Err(format!("found {found:#?}, missing {missing:#?}, {warnings:?}, not answered {unanswered:#?}"))
    });
}

/// The pod's account, the key of a service account, a list of servers: files that snippets presuppose.
fn write_files(folder: &Path) {
    let account = folder.join("account");
    std::fs::create_dir(&account).expect("a folder");
    let ca = std::fs::read_to_string(authority()).expect("a certificate");
    for (name, text) in [("ca.crt", ca.as_str()), ("token", "service-account-token"), ("namespace", "shop")] {
        write(&account.join(name), text);
    }
    let private = paths::root().join("crates/discovery/testdata/rsa.key");
    let key = json!({ "credentials": {
        "kid": "k1", "iss": "i", "sub": "s", "aud": "a",
        "privateKey": std::fs::read_to_string(private).expect("a key"),
    }});
    write(&folder.join("stackit.json"), &key.to_string());
    std::fs::create_dir(folder.join("targets")).expect("a folder");
    write(&folder.join("resolv.conf"), &format!("nameserver [127.0.0.1]:{}\n", name_server()));
}

#[test]
fn every_snippet_of_a_mechanism_finds_its_targets() {
    let files = tempfile::tempdir().expect("a folder");
    let folder = files.path();
    write_files(folder);
    let sections = docs::blocks("discovery.md");
    let sections = sections.iter().filter_map(|block| Some((block.name.as_deref()?, block.text.as_str())));
    let sections = sections.filter(|(name, _)| !OTHERS.contains(name));
    let jobs: Vec<Job> = sections.map(|(name, text)| Job::new(name, text, folder)).collect();
    let url = |name: &str| jobs.iter().find(|job| job.name == name).map_or(String::new(), Job::url);
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (gce, kubernetes, sts) = (url("gce"), url("kubernetes"), url("ec2"));
    let [account, resolver] = ["account", "resolv.conf"].map(path);
    let (home, authority) = (path(""), authority().to_string_lossy().into_owned());
    let environment: [(&str, &str); 11] = [
        ("HOME", home.as_str()),
        ("SSL_CERT_FILE", authority.as_str()),
        ("KYMO_RESOLV_CONF", resolver.as_str()),
        ("KYMO_KUBERNETES_SERVICE_ACCOUNT", account.as_str()),
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", kubernetes.rsplit(':').next().unwrap_or("")),
        ("HTTPS_PROXY", gce.as_str()),
        ("GCE_METADATA_HOST", gce.trim_start_matches("http://")),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL_STS", sts.as_str()),
    ];
    let config: String = jobs.iter().map(Job::config).collect();
    // What is found here is not there to be scraped.
    let config = format!("global: {{scrape_interval: 1h}}\nscrape_configs:\n{config}");
    let kymo = Kymo::start_in_environment(&config, &environment);
    // A file that comes later is seen, too.
    write(&folder.join("targets/web.yml"), &docs::snippet("discovery.md", "file-targets"));
    for job in &jobs {
        check(&kymo, job, folder);
    }
}

#[test]
fn every_mechanism_has_a_snippet_and_every_snippet_is_run() {
    let blocks = docs::blocks("discovery.md");
    let mut sections = BTreeSet::new();
    for block in &blocks {
        let line = block.line;
        let name = block.name.as_deref();
        let name =
            name.unwrap_or_else(|| panic!("discovery.md:{line}: a block without test=NAME is not run"));
        assert!(
            is_recorded(name) || OTHERS.contains(&name) || UNPLAYED.iter().any(|(known, _)| *known == name),
            "discovery.md:{line}: nothing runs {name:?}; write crates/discovery/testdata/{name}.txt"
        );
        sections.extend(block.text.lines().next().map(|line| line.trim_end_matches(':').to_owned()));
    }
    let table =
        std::fs::read_to_string(paths::root().join("crates/discovery/src/mechanism.rs")).expect("read");
    let keys = table
        .split('"')
        .filter(|key| key.ends_with("_sd_configs"))
        .chain(["static_configs", "file_sd_configs"]);
    let keys: BTreeSet<&str> = keys.collect();
    assert!(keys.len() >= 29, "{keys:?}");
    for key in keys {
        assert!(sections.contains(key), "discovery.md has no snippet of {key}");
    }
}

#[test]
fn the_alert_is_a_rule() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rules.yml");
    write(&path, &docs::snippet("discovery.md", "discovery-alert"));
    let output = Command::new(paths::program("promtool")).args(["check", "rules"]).arg(&path).output();
    let output = output.expect("promtool starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 rules found"), "{said}");
}
