//! The `kymo` binary; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    kymo::cli::main()
}
