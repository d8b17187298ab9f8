//! `kymo routes`: the routing tree of an Alertmanager's file, and where an alert would go.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use model::Labels;
use notifier::Route;

use crate::cli::{Outcome, UsageError};
use crate::config;

const SHOW_EXAMPLES: &str = "\
Examples:
  kymo routes show alertmanager.yml";

const TEST_EXAMPLES: &str = "\
Examples:
  kymo routes test alertmanager.yml alertname=DiskFull team=db severity=page
  kymo routes test alertmanager.yml team=db --expect db,pager

Exit status: 0 fine, 1 it goes elsewhere than --expect says, 2 the file or a label is wrong.";

/// What can be said on the command line.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the routing tree.
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Alertmanager's configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the receivers of an alert with these labels.
    #[command(after_help = TEST_EXAMPLES)]
    Test {
        /// Alertmanager's configuration file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The alert's labels.
        #[arg(value_name = "NAME=VALUE", value_parser = parse_label)]
        labels: Vec<(String, String)>,
        /// The receivers that it must go to, in their order, separated by commas.
        #[arg(long, value_name = "RECEIVERS", value_delimiter = ',')]
        expect: Option<Vec<String>>,
    },
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.trim_matches('"').to_owned())),
        _ => Err("write NAME=VALUE, such as severity=page".to_owned()),
    }
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Outcome> {
    match arguments.what {
        What::Show { file } => {
            show(&load(&file)?.route, 0, out)?;
            Ok(Outcome::Success)
        }
        What::Test { file, labels, expect } => {
            let config = load(&file)?;
            let found = config.route.find(&Labels::from_pairs(labels));
            let found: Vec<&str> = found.iter().map(|route| &*route.options.receiver).collect();
            writeln!(out, "{}", found.join(","))?;
            match expect {
                Some(expected) if expected != found => {
                    writeln!(err, "it should go to {}", expected.join(","))?;
                    Ok(Outcome::Faults)
                }
                _ => Ok(Outcome::Success),
            }
        }
    }
}

fn load(file: &Path) -> anyhow::Result<notifier::Config> {
    Ok(config::load_alertmanager(file).map_err(|error| UsageError(error.to_string()))?)
}

/// A node and those below it, each on a line: its conditions, its receiver, its times.
fn show(route: &Route, depth: usize, out: &mut dyn Write) -> anyhow::Result<()> {
    let options = &route.options;
    let matchers = if depth == 0 { "(all)".to_owned() } else { notifier::matchers::format(&route.matchers) };
    let group_by = match &options.group_by {
        None => "...".to_owned(),
        Some(names) => names.iter().map(String::as_str).collect::<Vec<_>>().join(","),
    };
    let [wait, interval, repeat] =
        [options.group_wait_ms, options.group_interval_ms, options.repeat_interval_ms]
            .map(model::time::format_duration_ms);
    let goes_on = if route.goes_on { ", continues" } else { "" };
    writeln!(
        out,
        "{}{matchers} -> {} (by [{group_by}], wait {wait}, interval {interval}, repeat {repeat}{goes_on})",
        "  ".repeat(depth),
        options.receiver
    )?;
    route.routes.iter().try_for_each(|child| show(child, depth + 1, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_a_line_a_route() {
        let text = "route:\n  receiver: a\n  group_by: [x]\n  routes:\n  - matchers: [team=db]\n    receiver: b\n    continue: true\n    group_by: ['...']\nreceivers: [{name: a}, {name: b}]\n";
        let config = notifier::Config::parse(text.as_bytes(), Path::new("")).expect("fine");
        let mut out = Vec::new();
        show(&config.route, 0, &mut out).expect("written");
        assert_eq!(
            String::from_utf8_lossy(&out),
            "(all) -> a (by [x], wait 30s, interval 5m, repeat 4h)\n  {team=\"db\"} -> b (by [...], wait 30s, interval 5m, repeat 4h, continues)\n"
        );
    }

    #[test]
    fn labels_are_names_and_values() {
        assert_eq!(parse_label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_label("a=\"b\""), Ok(("a".to_owned(), "b".to_owned())));
        assert!(parse_label("a").is_err() && parse_label("=b").is_err());
    }
}
