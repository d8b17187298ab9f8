//! Where things are.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// The binary under test: `$KYMO_BIN`, or what `cargo build` left in the target directory.
///
/// # Panics
/// If there is none: `make test` builds it first.
pub fn kymo_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("KYMO_BIN") {
        return PathBuf::from(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = target.join("debug/kymo");
    assert!(path.exists(), "{} is missing: run `cargo build --package kymo` first", path.display());
    path
}

/// A file or folder of the test data beside the repository; `None`, with a printed line, where there is none.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    #[expect(clippy::print_stdout, reason = "a skipped test says so")]
    {
        println!("skipped: {} is not there", path.display());
    }
    None
}

/// The Python that has the clients of `tests/python/requirements.txt`.
///
/// # Panics
/// If it is not installed: `make test` installs it.
pub fn python() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = target.join("test-python/bin/python");
    assert!(path.exists(), "{} is missing: run scripts/install-test-tools.sh", path.display());
    path
}

/// A program of the machine.
///
/// # Panics
/// If it is not installed: `make test` installs it.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| is_file(candidate))
        .unwrap_or_else(|| panic!("{name} is not installed: run scripts/install-test-tools.sh"))
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}
