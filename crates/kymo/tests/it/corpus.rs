//! Prometheus' and Alertmanager's own test files: each loads or is refused as its `expected.tsv` says.
//!
//! The files live beside the repository (`../shared/corpus`, or where `KYMO_CORPUS` says); without them this
//! test says so and passes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use kymo::features::Features;

fn corpus() -> Option<PathBuf> {
    collection("prometheus-config")
}

/// A folder of the corpus; `None`, with a printed line, where there is none.
fn collection(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let folder = std::env::var_os("KYMO_CORPUS").map_or(beside, PathBuf::from).join(name);
    if folder.join("expected.tsv").exists() {
        return Some(folder);
    }
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    {
        eprintln!("skipped: no corpus beside the repository; KYMO_CORPUS names another place");
    }
    None
}

/// A copy, because two files name one that is not part of the collection.
fn copy(corpus: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    for entry in std::fs::read_dir(corpus).expect("readable") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
    }
    let missing =
        "scrape_configs:\n- job_name: prometheus\n  static_configs:\n  - targets: [localhost:8080]\n";
    super::config::write(&copy.path().join("scrape_config_files.good.yml"), missing);
    copy
}

#[test]
fn every_file_of_the_corpus_loads_or_is_refused_as_expected() {
    let Some(corpus) = corpus() else { return };
    let copy = copy(&corpus);
    let expected = std::fs::read_to_string(copy.path().join("expected.tsv")).expect("readable");
    let mut faults = String::new();
    let mut count = 0;
    for line in expected.lines().filter(|line| !line.is_empty()) {
        let mut columns = line.split('\t');
        let (name, want) = (columns.next().unwrap_or(""), columns.next().unwrap_or(""));
        let reason = columns.next().unwrap_or("");
        count += 1;
        let result = kymo::config::load(&copy.path().join(name), &|_| None, Features::default());
        match (result, want) {
            (Ok(_), "ok") => {}
            (Err(error), "refused") => {
                let text = error.to_string();
                if !text.contains(reason) {
                    writeln!(faults, "{name}: want {reason:?}\n    got {text}").expect("text");
                }
                if error.fault.mark.is_none() || error.fault.path.is_empty() && error.fault.mark.is_none() {
                    writeln!(faults, "{name}: no line: {text}").expect("text");
                }
            }
            (Ok(_), _) => writeln!(faults, "{name}: loaded, but should be refused: {reason}").expect("text"),
            (Err(error), _) => writeln!(faults, "{name}: refused, but should load: {error}").expect("text"),
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(count > 100, "only {count} files");
}

#[test]
fn every_file_of_alertmanager_loads_or_is_refused_as_expected() {
    let Some(corpus) = collection("alertmanager-config") else { return };
    let expected = std::fs::read_to_string(corpus.join("expected.tsv")).expect("readable");
    let (mut faults, mut count) = (String::new(), 0);
    for line in expected.lines().filter(|line| !line.is_empty()) {
        let (name, want) = line.split_once('\t').expect("two columns");
        count += 1;
        match (kymo::config::load_alertmanager(&corpus.join(name)), want) {
            (Ok(_), "ok") => {}
            (Err(error), "refused") if error.fault.mark.is_some() => {}
            (Ok(_), _) => writeln!(faults, "{name}: loaded, but should be refused").expect("text"),
            (Err(error), _) => writeln!(faults, "{name}: want {want}, got {error}").expect("text"),
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert!(count > 30, "only {count} files");
}
