//! A crate imports only from floors below its own. The table is the plan of the house.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Report;

/// Every crate with its floor; ARCHITECTURE.md says what lives there.
const FLOORS: [(&str, u32); 21] = [
    ("stdx", 1),
    ("yaml", 1),
    ("model", 2),
    ("http_client", 2),
    ("chunk", 3),
    ("wire", 3),
    ("template", 3),
    ("storage", 4),
    ("tsdb", 5),
    ("promql", 5),
    ("discovery", 5),
    ("notifier", 5),
    ("catalog", 5),
    ("scrape", 6),
    ("forward", 6),
    ("rules", 6),
    ("api", 7),
    ("kymo", 8),
    // Beside the house: for tests and chores. Nothing that ships may import them.
    ("sim", DEV),
    ("xtask", DEV),
    ("kymo-tests", DEV),
];

const DEV: u32 = 100;

/// Packages with unusual licences or weight keep Cargo.lock honest: more than this needs a reason.
const LOCKED_PACKAGES_MAX: usize = 550;

fn floor(name: &str) -> Option<u32> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

pub(crate) fn check(root: &Path, report: &mut Report) -> Result<()> {
    let mut manifests = vec![root.join("tests/Cargo.toml")];
    for entry in fs::read_dir(root.join("crates")).context("cannot list crates")? {
        manifests.push(entry?.path().join("Cargo.toml"));
    }
    manifests.sort();
    for path in manifests {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        check_manifest(&text, report).with_context(|| format!("in {}", path.display()))?;
    }
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let locked = lock.lines().filter(|line| *line == "[[package]]").count();
    if locked > LOCKED_PACKAGES_MAX {
        report.faults.push(format!("Cargo.lock holds {locked} packages, more than {LOCKED_PACKAGES_MAX}"));
    }
    Ok(())
}

fn check_manifest(text: &str, report: &mut Report) -> Result<()> {
    let manifest: toml::Table = text.parse().context("not TOML")?;
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(|name| name.as_str())
        .context("a package has a name")?;
    let Some(own) = floor(name) else {
        report.faults.push(format!(
            "crate {name} is on no floor: add it to the table in crates/xtask/src/tidy/floors.rs and to ARCHITECTURE.md"
        ));
        return Ok(());
    };
    let Some(dependencies) = manifest.get("dependencies").and_then(|table| table.as_table()) else {
        return Ok(());
    };
    for dependency in dependencies.keys() {
        if let Some(other) = floor(dependency)
            && other >= own
        {
            report.faults.push(format!(
                "{name} (floor {own}) imports {dependency} (floor {other}): a room imports only from floors below"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(manifest: &str) -> Vec<String> {
        let mut report = Report::default();
        check_manifest(manifest, &mut report).expect("well-formed");
        report.faults
    }

    #[test]
    fn imports_go_down_only() {
        assert!(faults("[package]\nname = 'tsdb'\n[dependencies]\nstorage = {}\nserde = '1'").is_empty());
        let upward = faults("[package]\nname = 'storage'\n[dependencies]\ntsdb = {}");
        assert!(upward[0].contains("storage (floor 4) imports tsdb (floor 5)"), "{upward:?}");
        assert_eq!(faults("[package]\nname = 'promql'\n[dependencies]\ntsdb = {}").len(), 1, "sideways");
        assert_eq!(faults("[package]\nname = 'tsdb'\n[dependencies]\nsim = {}").len(), 1, "test code");
        assert!(faults("[package]\nname = 'tsdb'\n[dev-dependencies]\nsim = {}").is_empty());
    }

    #[test]
    fn an_unknown_crate_has_no_place() {
        assert!(faults("[package]\nname = 'utils'")[0].contains("is on no floor"));
    }
}
