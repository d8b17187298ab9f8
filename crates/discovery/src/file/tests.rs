//! Files in temporary directories: what is read, watched, refused.

use super::*;
use crate::settings::{Settings, StaticGroup};
use crate::testing::PATIENCE;
use crate::{Discovery, start};
use model::time::DurationMs;
use tempfile::TempDir;

/// Addresses and labels of a group.
type Want<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

#[track_caller]
fn check_parse(text: &str, is_json: bool, want: Result<&[Want<'_>], &str>) {
    match (parse_groups(text, is_json, "f"), want) {
        (Ok(groups), Ok(want)) => {
            let want: Vec<TargetGroup> = want
                .iter()
                .enumerate()
                .map(|(i, (targets, labels))| {
                    let mut labels: BTreeMap<String, String> =
                        labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
                    labels.insert(FILEPATH_LABEL.to_owned(), "f".to_owned());
                    TargetGroup::of_addresses(format!("f:{i}"), *targets, &labels)
                })
                .collect();
            assert_eq!(groups, want);
        }
        (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
        (got, want) => panic!("got {got:?}, want {want:?}"),
    }
}

#[test]
fn json_and_yaml_say_the_same() {
    let want: &[Want<'_>] = &[(&["a:1", "b:2"], &[("env", "prod"), ("port", "80")]), (&["c"], &[])];
    check_parse(
        r#"[{"targets":["a:1","b:2"],"labels":{"env":"prod","port":"80"}},{"targets":["c"],"labels":null}]"#,
        true,
        Ok(want),
    );
    let yaml =
        "- targets: ['a:1', \"b:2\"]\n  labels:\n    env: prod\n    port: 80\n- targets:\n  - c\n  labels:\n";
    check_parse(yaml, false, Ok(want));
    check_parse("", false, Ok(&[]));
    check_parse("[]", true, Ok(&[]));
}

#[test]
fn a_file_that_is_not_a_list_of_groups_is_refused() {
    check_parse("[{\"targets\": \"a\"}]", true, Err("not a list of target groups"));
    check_parse("[{\"target\": [\"a\"]}]", true, Err("unknown field `target`"));
    check_parse("- targets: [a]\n  colour: red\n", false, Err("colour"));
    check_parse("[null]", true, Err("nil target group item found (index 0)"));
    check_parse("- targets: [a\n", false, Err("not a list of target groups"));
    check_parse("", true, Err("not a list of target groups"));
    check_parse("[{\"targets\":[],\"labels\":{\"\":\"x\"}}]", true, Err("is not a valid label name"));
}

fn settings(directory: &TempDir, pattern: &str) -> Settings {
    Settings {
        file_sd_configs: vec![FileSd {
            files: vec![directory.path().join(pattern).to_string_lossy().into_owned()],
            refresh_interval: DurationMs(3_600_000),
        }],
        ..Settings::default()
    }
}

/// Puts a whole file there at once, as careful writers do.
fn write(directory: &TempDir, name: &str, text: &str) {
    let mut file = tempfile::NamedTempFile::new_in(directory.path()).expect("a temporary file");
    std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
    file.persist(directory.path().join(name)).expect("renamed");
}

/// Waits until the addresses of all groups are these.
async fn await_addresses(discovery: &mut Discovery, want: &[&str]) {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let snapshot = discovery.current();
            let got: Vec<&str> = snapshot
                .groups()
                .flat_map(|group| group.targets.iter().filter_map(|t| t.get(crate::group::ADDRESS_LABEL)))
                .collect();
            if got == want {
                break;
            }
            discovery.changed().await;
        }
    });
    waited.await.expect("the targets come in time");
}

#[tokio::test]
async fn changes_of_watched_files_are_published_and_bad_files_keep_their_targets() {
    let directory = tempfile::tempdir().expect("a directory");
    let registry = prometheus::Registry::new();
    let shared = Shared::register(&registry).expect("registered");
    write(&directory, "a.json", r#"[{"targets":["one:1"]}]"#);
    let mut discovery = start(&settings(&directory, "*.json"), &shared);
    await_addresses(&mut discovery, &["one:1"]).await;

    write(&directory, "b.json", r#"[{"targets":["two:2"]}]"#);
    await_addresses(&mut discovery, &["one:1", "two:2"]).await;

    write(&directory, "a.json", "this is no JSON");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while shared.metrics.files_failing.get() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "the bad file is noticed in time");
        tokio::task::yield_now().await;
    }
    await_addresses(&mut discovery, &["one:1", "two:2"]).await;
    assert!(shared.metrics.file_reads.with_label_values(&["failed"]).get() >= 1);

    write(&directory, "a.json", r#"[{"targets":["three:3"]}]"#);
    await_addresses(&mut discovery, &["three:3", "two:2"]).await;
    assert_eq!(shared.metrics.files_failing.get(), 0);

    std::fs::remove_file(directory.path().join("b.json")).expect("removed");
    await_addresses(&mut discovery, &["three:3"]).await;
}

#[tokio::test]
async fn many_sections_share_one_watch_and_a_directory_made_anew_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let shared = Shared::register(&prometheus::Registry::new()).expect("registered");
    let mut settings = settings(&directory, "sub/*.json");
    settings.file_sd_configs[0].refresh_interval = DurationMs(1_000);
    let mut discoveries: Vec<Discovery> = (0..300).map(|_| start(&settings, &shared)).collect();
    for round in ["one:1", "two:2"] {
        std::fs::create_dir(directory.path().join("sub")).expect("made");
        write(&directory, "sub/a.json", &format!("[{{\"targets\":[\"{round}\"]}}]"));
        for discovery in &mut discoveries {
            await_addresses(discovery, &[round]).await;
        }
        std::fs::remove_dir_all(directory.path().join("sub")).expect("removed");
        for discovery in &mut discoveries {
            await_addresses(discovery, &[]).await;
        }
    }
}

#[tokio::test]
async fn fixed_targets_are_there_at_once_and_complete_waits_for_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let shared = Shared::register(&prometheus::Registry::new()).expect("registered");
    let mut settings = settings(&directory, "none.yml");
    settings.static_configs = vec![StaticGroup {
        targets: vec!["fixed:1".into()],
        labels: BTreeMap::from([("a".into(), "b".into())]),
    }];
    let mut discovery = start(&settings, &shared);
    let first = discovery.current();
    let group = first.groups().next().expect("the fixed group");
    assert_eq!((group.source.as_str(), group.labels.get("a")), ("0", Some("b")));
    tokio::time::timeout(PATIENCE, discovery.complete()).await.expect("files are read in time");
}
