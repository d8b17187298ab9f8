//! Disks that are full, and data that somebody deletes under the running server.

use std::path::PathBuf;

use kymo_tests::push::{self, Series};
use kymo_tests::server::{Kymo, write};
use kymo_tests::{http, poll};

const QUIET: &str = "global: {scrape_interval: 1h}\n";
const SERIES: i64 = 200;

/// Sends one sample of many series at a time; the status of the answer, and its text.
fn send(kymo: &Kymo, at_ms: i64) -> (u16, String) {
    let batch: Vec<Series> = (0..SERIES)
        .map(|i| {
            Series::new(&[("__name__", "disk_test"), ("i", &i.to_string())], &[(at_ms, value(i, at_ms))])
        })
        .collect();
    let answer = push::send(&kymo.url(), &batch).expect("answered");
    (answer.status, answer.text())
}

/// Bits that do not compress.
fn value(i: i64, at_ms: i64) -> f64 {
    let mixed = (at_ms * SERIES + i).unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    f64::from_bits((mixed ^ mixed >> 29) & !(1 << 62))
}

/// How many samples there are of each series at these times; all must have the same.
fn count(kymo: &Kymo, from_ms: i64, to_ms: i64) -> i64 {
    let query = format!("min(count_over_time(disk_test[{}ms]))", to_ms - from_ms + 1);
    let time = format!("{:.3}", to_ms as f64 / 1e3);
    let data =
        http::api(&kymo.url(), "/api/v1/query", &[("query", &query), ("time", &time)]).expect("answered");
    data["result"][0]["value"][1].as_str().and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn data(kymo: &Kymo) -> PathBuf {
    kymo.folder().join("data")
}

#[test]
fn a_full_disk_refuses_writes_answers_queries_and_recovers_by_itself() {
    let Some(mut kymo) = Kymo::start_on_disk_of(6 << 20, QUIET) else { return };
    let ballast = data(&kymo).join("ballast");
    write(&ballast, &"x".repeat(3 << 20));
    let from_ms = push::now_ms() - 600_000;
    let (mut at_ms, mut acknowledged) = (from_ms, 0);
    let refusal = loop {
        let (status, text) = send(&kymo, at_ms);
        if status != 204 {
            break (status, text);
        }
        (at_ms, acknowledged) = (at_ms + 1, acknowledged + 1);
        assert!(acknowledged < 20_000, "the disk does not get full");
    };
    assert!(refusal.0 == 503 && refusal.1.contains("space"), "{refusal:?}");
    assert_eq!(count(&kymo, from_ms, at_ms - 1), acknowledged, "queries go on");
    std::fs::remove_file(&ballast).expect("removed");
    poll::until("writes to be taken again", || match send(&kymo, at_ms) {
        (204, _) => Ok(()),
        refused => Err(format!("{refused:?}")),
    });
    for crash in [true, false] {
        assert_eq!(count(&kymo, from_ms, at_ms), acknowledged + 1);
        if crash { kymo.crash_and_restart() } else { kymo.restart() }
    }
    assert_eq!(count(&kymo, from_ms, at_ms), acknowledged + 1);
}

#[test]
fn a_journal_that_was_deleted_takes_no_write_and_begins_anew() {
    let mut kymo = Kymo::start_configured(QUIET);
    let at_ms = push::now_ms() - 600_000;
    assert_eq!(send(&kymo, at_ms).0, 204);
    std::fs::remove_dir_all(data(&kymo).join("wal")).expect("removed");
    let (status, text) = send(&kymo, at_ms + 1);
    assert!(status == 503 && text.contains("while the server runs"), "{status} {text}");
    poll::until("writes to be taken again", || match send(&kymo, at_ms + 1) {
        (204, _) => Ok(()),
        refused => Err(format!("{refused:?}")),
    });
    assert_eq!(count(&kymo, at_ms, at_ms + 1), 2);
    // What the lost journal had is on disk as soon as the head was flushed, which is asked for at once.
    poll::until("the head to be flushed", || {
        let blocks = std::fs::read_dir(data(&kymo).join("tenants/anonymous")).map_err(|e| e.to_string())?;
        // One that is being written has another name.
        let mut names = blocks.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        if names.any(|name| name.ends_with(".block")) { Ok(()) } else { Err("no block yet".to_owned()) }
    });
    kymo.crash_and_restart();
    assert_eq!(count(&kymo, at_ms, at_ms + 1), 2);
}

#[test]
fn a_data_directory_that_was_moved_away_takes_no_write_until_it_is_back() {
    let mut kymo = Kymo::start_configured(QUIET);
    let at_ms = push::now_ms() - 600_000;
    assert_eq!(send(&kymo, at_ms).0, 204);
    let aside = kymo.folder().join("aside");
    std::fs::rename(data(&kymo), &aside).expect("moved");
    for _ in 0..3 {
        let (status, text) = send(&kymo, at_ms + 1);
        assert!(status == 503 && text.contains("while the server runs"), "{status} {text}");
    }
    assert_eq!(count(&kymo, at_ms, at_ms), 1, "queries go on");
    std::fs::rename(&aside, data(&kymo)).expect("moved back");
    poll::until("writes to be taken again", || match send(&kymo, at_ms + 2) {
        (204, _) => Ok(()),
        refused => Err(format!("{refused:?}")),
    });
    kymo.crash_and_restart();
    let found = count(&kymo, at_ms, at_ms + 2);
    assert!(found == 2 || found == 3, "acknowledged ones and perhaps a refused one: {found}");
}
