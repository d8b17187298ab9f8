//! Chores of the house, as `cargo xtask <chore>`.
//!
//! Map: [`tidy`] what no compiler checks: the direction of imports, sizes, module docs, paths in documents.

mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the house.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check what no compiler checks; exit with 1 if something is out of order.
    Tidy,
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on its terminal")]
fn main() -> ExitCode {
    let Arguments { chore: Chore::Tidy } = Arguments::parse();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    match tidy::check(&root) {
        Err(error) => {
            eprintln!("tidy could not look at everything: {error:#}");
            ExitCode::from(2)
        }
        Ok(report) => {
            for warning in &report.warnings {
                println!("warning: {warning}");
            }
            for fault in &report.faults {
                eprintln!("error: {fault}");
            }
            println!(
                "tidy: {} files looked at, {} faults, {} warnings",
                report.files,
                report.faults.len(),
                report.warnings.len()
            );
            if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}
