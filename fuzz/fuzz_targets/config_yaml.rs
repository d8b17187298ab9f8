//! The configuration file: no file panics, whatever is wrong with it.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

/// One file, written again and again.
static FILE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("prometheus.yml");
    (directory, path)
});

fuzz_target!(|text: &[u8]| {
    // A pattern could make the loader search the whole disk, and a file's name make it read a device.
    let holds = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    if holds(b"scrape_config_files") || holds(b"config_file") {
        return;
    }
    std::fs::write(&FILE.1, text).expect("written");
    match kymo::config::load(&FILE.1, &|_| None, kymo::features::Features::default()) {
        Ok(config) => assert!(!config.redacted.contains("hunter2"), "secrets are hidden"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
