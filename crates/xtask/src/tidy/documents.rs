//! Documents: every path of the repository that they name exists.

use std::path::Path;

use super::Report;

/// Folders whose paths are checked wherever a document names one in backquotes.
const FOLDERS: [&str; 8] = ["crates/", "docs/", "tests/", "web/", "fuzz/", "bench/", ".ci/", "clients/"];

pub(crate) fn check(root: &Path, name: &str, text: &str, report: &mut Report) {
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for path in named_paths(line) {
            if !exists(root, &path) {
                report.faults.push(format!("{name}:{}: names {path}, which does not exist", index + 1));
            }
        }
        for target in links(line) {
            let base = root.join(name);
            let base = base.parent().unwrap_or(root);
            if !base.join(target).exists() {
                report.faults.push(format!("{name}:{}: links to {target}, which does not exist", index + 1));
            }
        }
    }
}

fn exists(root: &Path, path: &str) -> bool {
    root.join(path).exists()
}

/// Paths in backquotes that begin with a folder of ours; braces stand for several.
fn named_paths(line: &str) -> Vec<String> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| FOLDERS.iter().any(|folder| code.starts_with(folder)))
        .filter(|code| !code.contains(['*', ' ', '<', '…', '$']))
        .flat_map(expand_braces)
        // Made by the build, so not there in a clean checkout.
        .filter(|path| !path.starts_with("web/dist") && !path.starts_with("web/node_modules"))
        .collect()
}

fn expand_braces(path: &str) -> Vec<String> {
    let Some((head, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let Some((choices, tail)) = rest.split_once('}') else { return vec![path.to_owned()] };
    choices.split(',').map(|choice| format!("{head}{choice}{tail}")).collect()
}

/// Relative targets of `[text](target)`, without anchors.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?;
        let target = target.split('#').next()?;
        let is_outside = target.contains("://") || target.starts_with("mailto:") || target.is_empty();
        (!is_outside).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_links_are_found() {
        let line =
            "see `crates/{a,b}/src` and `cargo test`, [docs](docs/x.md#part), [out](https://kymo.example)";
        assert_eq!(named_paths(line), ["crates/a/src", "crates/b/src"]);
        assert_eq!(links(line).collect::<Vec<_>>(), ["docs/x.md"]);
    }

    #[test]
    fn what_does_not_exist_is_a_fault_with_its_line() {
        let root = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir_all(root.path().join("docs")).expect("created");
        let mut report = Report::default();
        check(
            root.path(),
            "A.md",
            "fine: `docs/`\n`docs/missing.md`\n```\n`docs/in-code.md`\n```\n[x](gone.md)",
            &mut report,
        );
        assert_eq!(report.faults.len(), 2, "{:?}", report.faults);
        assert!(report.faults[0].starts_with("A.md:2:") && report.faults[1].starts_with("A.md:6:"));
    }
}
