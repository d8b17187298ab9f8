//! `kymo agent`: the same process without storage. It collects (discovery, scrapes, this machine, every push protocol), relabels,
//! keeps what it collected in queues on disk, and sends it to other servers.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::serve;
use crate::cli::Outcome;
use crate::run::Role;

const EXAMPLES: &str = "\
Examples:
  kymo agent --config agent.yml                    collect as the file says, send to its remote_write
  kymo agent --config agent.yml --data /var/lib/kymo-agent --listen 127.0.0.1:9095

The least that the file must say:
  remote_write:
    - url: http://kymo.example:9090/api/v1/write
With \"host_collector: {enabled: true}\" this machine is watched, too. While a receiver is down, samples wait on disk
(queue_config.max_disk_size, 4GiB each); beyond that the oldest make room, and are counted.";

/// What the server's command line says that makes no sense here: it is hidden, and changes nothing.
const OF_STORAGE: [&str; 15] = [
    "alertmanager_config",
    "retention",
    "retention_size",
    "enable_admin_api",
    "query_timeout",
    "query_concurrency",
    "query_max_samples",
    "query_lookback",
    "disable_results_cache",
    "external_url",
    "alert_resend_delay",
    "alert_outage_tolerance",
    "alert_grace_period",
    "alert_queue_capacity",
    "alert_batch_size",
];

/// What can be said on the command line: what the server takes, but for storage and queries.
#[derive(Debug)]
pub struct Arguments(serve::Arguments);

impl Args for Arguments {
    fn augment_args(command: Command) -> Command {
        let command = serve::Arguments::augment_args(command).after_help(EXAMPLES);
        let command = command
            .mut_arg("config", |argument| argument.required(true))
            .mut_arg("data", |argument| argument.default_value("./data-agent"));
        OF_STORAGE
            .into_iter()
            .fold(command, |command, name| command.mut_arg(name, |argument| argument.hide(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Arguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        serve::Arguments::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    serve::run_as(Role::Agent, arguments.0)
}
