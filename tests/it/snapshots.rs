//! Snapshots, restoring, verifying, exporting: the server and its tools, driven from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use kymo_tests::push::{self, Series};
use kymo_tests::server::Kymo;
use kymo_tests::{http, paths};

const MINUTE: i64 = 60_000;

fn write(kymo: &Kymo, metric: &str, from_ms: i64) {
    let samples: Vec<(i64, f64)> = (0..30).map(|m| (from_ms + m * MINUTE, m as f64 / 4.0)).collect();
    let all: Vec<Series> =
        (0..5).map(|i| Series::new(&[("__name__", metric), ("i", &i.to_string())], &samples)).collect();
    assert_eq!(push::send(&kymo.url(), &all).expect("answered").status, 204);
}

fn count(kymo: &Kymo, metric: &str) -> f64 {
    http::single_value(&kymo.url(), &format!("sum(count_over_time({metric}[3h])) or vector(0)"))
        .expect("a value")
}

/// Runs `kymo tsdb`; returns its exit status and all it said.
fn tsdb(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(paths::kymo_binary()).arg("tsdb").args(arguments).output().expect("started");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code().unwrap_or(-1), said.concat())
}

#[track_caller]
fn tsdb_ok(arguments: &[&str]) -> String {
    let (status, said) = tsdb(arguments);
    assert_eq!(status, 0, "{arguments:?}: {said}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("utf-8")
}

/// Files below a folder whose names end so.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, suffix));
        } else if text(&path).ends_with(suffix) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_running_server_is_backed_up_and_restored() {
    let mut kymo = Kymo::start_with(&["--enable-admin-api"]);
    let from_ms = push::now_ms() - 60 * MINUTE;
    write(&kymo, "backup_test", from_ms);
    let said = tsdb_ok(&["snapshot", &kymo.url()]);
    let name = said.split_whitespace().next().expect("a path").to_owned();
    write(&kymo, "too_late", from_ms);
    let answer = http::post(&format!("{}/api/v1/admin/tsdb/snapshot?skip_head=true", kymo.url()), &[], b"");
    let answer = answer.expect("answered").json();
    assert!(answer["data"]["name"].as_str().is_some_and(|name| name.contains("Z-")), "{answer}");

    let snapshot = kymo.folder().join("data").join(&name);
    assert!(tsdb_ok(&["verify", text(&snapshot)]).contains("all is well"));
    let (status, said) = tsdb(&["verify", text(&kymo.folder().join("data"))]);
    assert!(status == 1 && said.contains("in use by a server"), "{said}");
    let (status, said) = tsdb(&["restore", text(&snapshot), text(kymo.folder())]);
    assert!(status == 1 && said.contains("is not empty"), "{said}");

    let restored = kymo.folder().join("restored");
    assert!(tsdb_ok(&["restore", text(&snapshot), text(&restored)]).contains("kymo serve --data"));
    kymo.stop();
    let data = kymo.folder().join("data");
    std::fs::rename(&data, kymo.folder().join("old")).expect("renamed");
    std::fs::rename(&restored, &data).expect("renamed");
    kymo.start_again();
    assert_eq!((count(&kymo, "backup_test"), count(&kymo, "too_late")), (150.0, 0.0));
}

#[test]
fn after_a_clean_stop_nothing_is_replayed() {
    let mut kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    write(&kymo, "stop_test", push::now_ms() - 60 * MINUTE);
    kymo.stop();
    assert_eq!(files(&kymo.folder().join("data/wal"), ".wal"), Vec::<PathBuf>::new());
    kymo.start_again();
    let progress = http::api(&kymo.url(), "/api/v1/status/walreplay", &[]).expect("answered");
    assert_eq!(progress["max"], 0, "{progress}");
    assert_eq!(count(&kymo, "stop_test"), 150.0);
}

#[test]
fn what_is_exported_can_be_imported_and_damage_is_named() {
    let mut kymo = Kymo::start_configured("global: {scrape_interval: 1h}\n");
    let from_ms = push::now_ms() / 1000 * 1000 - 60 * MINUTE;
    write(&kymo, "export_test", from_ms);
    write(&kymo, "other_test", from_ms);
    kymo.stop();
    let (data, file) = (kymo.folder().join("data"), kymo.folder().join("series.jsonl"));
    let (data, file) = (text(&data), text(&file));
    let said = tsdb_ok(&["export", data, file, "--match", "export_test"]);
    assert!(said.contains("150 samples in 5 lines"), "{said}");
    let (status, said) = tsdb(&["export", data, file]);
    assert!(status == 1 && said.contains(file), "a file is not written over: {said}");
    let copy = kymo.folder().join("copy");
    assert!(tsdb_ok(&["import", text(&copy), file]).contains("150 samples imported"));
    let dumped = |folder: &str| tsdb_ok(&["dump", folder, "--match", "{__name__=~\".*_test\",i=~\"[12]\"}"]);
    assert_eq!(dumped(text(&copy)).lines().count(), 60);
    assert_eq!(dumped(data).lines().count(), 120);
    let start = format!("{}", (from_ms + 29 * MINUTE) / 1000);
    let json = tsdb_ok(&["dump", text(&copy), "--start", &start, "--output", "json"]);
    assert_eq!(json.lines().count(), 5);
    assert!(json.contains(&format!(r#""timestamps":[{}]"#, from_ms + 29 * MINUTE)), "{json}");

    kymo_tests::server::write(
        Path::new(file),
        "{\"metric\":{\"__name__\":\"a\"},\"timestamps\":[1],\"values\":[]}\n",
    );
    let (status, said) = tsdb(&["import", text(&copy), file]);
    assert!(status == 1 && said.contains("line 1"), "{said}");

    assert!(tsdb_ok(&["verify", data]).contains("all is well"));
    let block = files(Path::new(data), ".block").into_iter().next().expect("a block");
    let mut bytes = std::fs::read(&block).expect("read");
    bytes[20] ^= 1;
    #[expect(clippy::disallowed_methods, reason = "damage needs no crash guarantee")]
    std::fs::write(&block, bytes).expect("written");
    let (status, said) = tsdb(&["verify", data]);
    assert!(status == 1 && said.contains("DAMAGED") && said.contains(text(&block)), "{said}");
}
