//! Tells the binary which commit it was built from.

use std::process::Command;

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn main() {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    for (variable, value) in [
        ("KYMO_REVISION", output("git", &["rev-parse", "--short=12", "HEAD"])),
        ("KYMO_BRANCH", output("git", &["rev-parse", "--abbrev-ref", "HEAD"])),
        ("KYMO_COMPILER", output(&compiler, &["--version"])),
        ("KYMO_TARGET", std::env::var("TARGET").ok()),
    ] {
        println!("cargo::rustc-env={variable}={}", value.unwrap_or_default());
    }
    // HEAD names a branch; its log gets a line with each commit, pull and checkout.
    for path in ["../../.git/HEAD", "../../.git/logs/HEAD"] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}
