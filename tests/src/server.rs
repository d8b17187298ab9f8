//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::disk::Disk;
use crate::ports::free_port;
use crate::process::Process;
use crate::{http, paths, poll};

/// A running Kymo with its own port and folder.
#[derive(Debug)]
pub struct Kymo {
    process: Process,
    /// Unmounted after the process has ended, before the folder goes.
    _disk: Option<Disk>,
    folder: TempDir,
    port: u16,
    /// `serve` or `agent`, and what follows.
    arguments: Vec<String>,
    /// Variables that it has beside those of the test.
    environment: Vec<(String, String)>,
}

impl Kymo {
    /// Starts Kymo with no configuration and waits until it is ready.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts Kymo with a configuration file and waits until it is ready. `{port}` stands for its own port.
    pub fn start_configured(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        Self::launch_configured("serve", folder, None, config).ready()
    }

    /// As [`Self::start_configured`], with these environment variables.
    pub fn start_in_environment(config: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(pair).collect();
        Self::launch_in("serve", folder, None, config, environment).ready()
    }

    /// Starts `kymo agent` with a configuration file and waits until it is ready.
    pub fn start_agent(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        Self::launch_configured("agent", folder, None, config).ready()
    }

    /// As [`Self::start_agent`], with more environment variables.
    pub fn start_agent_with_environment(config: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::launch_in("agent", folder, None, config, environment.iter().map(pair).collect()).ready()
    }

    /// As [`Self::start_configured`], with its data on a disk of so many bytes. `None`, and a line that says so, where tests may
    /// not mount one.
    pub fn start_on_disk_of(bytes: u64, config: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("temporary directory");
        let disk = Disk::mount(&folder.path().join("data"), bytes);
        if disk.is_none() {
            use std::io::Write;
            let _ =
                writeln!(std::io::stderr(), "no disk can be mounted here: a test of full disks is left out");
        }
        disk.map(|disk| Self::launch_configured("serve", folder, Some(disk), config).ready())
    }

    fn launch_configured(command: &str, folder: TempDir, disk: Option<Disk>, config: &str) -> Self {
        Self::launch_in(command, folder, disk, config, Vec::new())
    }

    fn launch_in(
        command: &str,
        folder: TempDir,
        disk: Option<Disk>,
        config: &str,
        environment: Vec<(String, String)>,
    ) -> Self {
        let port = free_port();
        let path = folder.path().join("kymo.yml");
        write(&path, &config.replace("{port}", &port.to_string()));
        let arguments = vec![command.to_owned(), "--config".to_owned(), path.display().to_string()];
        let process = Self::spawn(folder.path(), port, &arguments, &environment);
        Self { process, _disk: disk, folder, port, arguments, environment }
    }

    /// Starts Kymo with more arguments of `serve` and waits until it is ready.
    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        let port = free_port();
        let arguments: Vec<String> =
            std::iter::once("serve").chain(arguments.iter().copied()).map(str::to_owned).collect();
        let environment = Vec::new();
        let process = Self::spawn(folder.path(), port, &arguments, &environment);
        Self { process, _disk: None, folder, port, arguments, environment }.ready()
    }

    fn spawn(folder: &Path, port: u16, arguments: &[String], environment: &[(String, String)]) -> Process {
        let mut command = Command::new(paths::kymo_binary());
        let (what, arguments) = arguments.split_first().expect("a command");
        command
            .arg(what)
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"));
        command.args(arguments).envs(environment.iter().cloned()).current_dir(folder);
        Process::start(command, &folder.join("kymo.log"))
    }

    fn ready(mut self) -> Self {
        self.wait_ready();
        self
    }

    /// Waits until it says that it is ready.
    pub fn wait_ready(&mut self) {
        let url = format!("{}/-/ready", self.url());
        let process = &mut self.process;
        poll::until("Kymo to be ready", || {
            if let Some(status) = process.ended() {
                panic!("Kymo ended with {status}:\n{}", process.log());
            }
            match http::get(&url)? {
                ready if ready.status == 200 => Ok(()),
                other => Err(format!("{} {}", other.status, other.text())),
            }
        });
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its folder: configuration, data, log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file, if it was started with one.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("kymo.yml")
    }

    /// Replaces its configuration file; reloading is the test's business.
    pub fn write_config(&self, config: &str) {
        write(&self.config_path(), &config.replace("{port}", &self.port.to_string()));
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it as a crash would and starts it again on the same data.
    pub fn crash_and_restart(&mut self) {
        self.process.kill();
        self.process = Self::spawn(self.folder.path(), self.port, &self.arguments, &self.environment);
        self.wait_ready();
    }

    /// Asks it to stop, and checks that it does so with success.
    pub fn stop(&mut self) {
        let status = self.process.terminate(poll::PATIENCE);
        assert!(status.success(), "a clean stop ends with success, not {status}");
    }

    /// Starts it again on the same data, after it was stopped, or ended through [`Self::process`].
    pub fn start_again(&mut self) {
        self.process = Self::spawn(self.folder.path(), self.port, &self.arguments, &self.environment);
        self.wait_ready();
    }

    /// Asks it to stop, checks that it does so with success, and starts it again on the same data.
    pub fn restart(&mut self) {
        self.stop();
        self.process = Self::spawn(self.folder.path(), self.port, &self.arguments, &self.environment);
        self.wait_ready();
    }

    /// The number behind `line` among its own metrics; 0 if there is none.
    pub fn metric(&self, line: &str) -> f64 {
        let text = http::get(&format!("{}/metrics", self.url())).expect("metrics").text();
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0.0)
    }

    /// The result of an instant query.
    #[track_caller]
    pub fn instant(&self, query: &str) -> Value {
        http::instant(&self.url(), query).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Waits until an instant query gives exactly one sample, and returns its value.
    #[track_caller]
    pub fn wait_for_value(&self, query: &str) -> f64 {
        poll::until(query, || http::single_value(&self.url(), query))
    }

    /// Waits until an instant query gives exactly one sample of this value: where what is asked for changes until it is complete.
    #[track_caller]
    pub fn wait_until(&self, query: &str, want: f64) {
        self.wait_for_result(query, &format!("one sample of {want}"), |result| match result.as_array() {
            Some(samples) if samples.len() == 1 => {
                samples[0]["value"][1].as_str().and_then(|value| value.parse().ok()) == Some(want)
            }
            _ => false,
        });
    }

    /// Waits until an instant query finds nothing any more, or yet.
    #[track_caller]
    pub fn wait_for_nothing(&self, query: &str) {
        self.wait_for_result(query, "nothing", |result| result.as_array().is_some_and(Vec::is_empty));
    }

    /// Waits until the result of an instant query is as it should be.
    #[track_caller]
    pub fn wait_for_result(&self, query: &str, what: &str, mut is_good: impl FnMut(&Value) -> bool) {
        poll::until(&format!("{query} to give {what}"), || {
            let result = http::instant(&self.url(), query)?;
            if is_good(&result) { Ok(()) } else { Err(result.to_string()) }
        });
    }
}

/// Writes a file of a test.
///
/// # Panics
/// If it cannot be written.
pub fn write(path: &Path, text: &str) {
    #[expect(clippy::disallowed_methods, reason = "a fixture needs no crash guarantee")]
    std::fs::write(path, text).expect("written");
}
