//! `kymo completions`: a script that makes a shell complete commands and flags.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, Outcome};

const EXAMPLES: &str = "\
Examples:
  kymo completions bash > /etc/bash_completion.d/kymo
  kymo completions zsh  > \"${fpath[1]}/_kymo\"
  kymo completions fish > ~/.config/fish/completions/kymo.fish";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "kymo", &mut script);
    out.write_all(&script)?;
    Ok(Outcome::Success)
}
