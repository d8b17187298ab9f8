//! Real peers from Debian's packages.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::ports::free_port;
use crate::process::Process;
use crate::server::write;
use crate::{http, paths, poll};

/// A running peer with its own port and folder.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    folder: TempDir,
    port: u16,
}

impl Peer {
    /// A real node_exporter.
    pub fn node_exporter() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("temporary directory"), free_port());
        let mut command = Command::new(paths::program("prometheus-node-exporter"));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        Self::launch(command, folder, port, "/metrics")
    }

    /// One that serves as a file says (TLS, passwords).
    pub fn node_exporter_behind(web_config: &Path) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("temporary directory"), free_port());
        let mut command = Command::new(paths::program("prometheus-node-exporter"));
        command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--web.config.file={}", web_config.display()));
        let process = Process::start(command, &folder.path().join("log"));
        Self { process, folder, port }
    }

    /// A real Prometheus with this configuration.
    pub fn prometheus(config: &str) -> Self {
        Self::prometheus_with(config, &[])
    }

    /// A real Prometheus with this configuration and more arguments.
    pub fn prometheus_with(config: &str, arguments: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("temporary directory"), free_port());
        let path = folder.path().join("prometheus.yml");
        write(&path, &config.replace("{port}", &port.to_string()));
        let mut command = Command::new(paths::program("prometheus"));
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .args(arguments);
        Self::launch(command, folder, port, "/-/ready")
    }

    /// A real Alertmanager with this configuration, alone.
    pub fn alertmanager(config: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().expect("temporary directory"), free_port());
        let path = folder.path().join("alertmanager.yml");
        write(&path, config);
        let mut command = Command::new(paths::program("prometheus-alertmanager"));
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=");
        Self::launch(command, folder, port, "/-/ready")
    }

    /// Starts a program and waits until it answers.
    pub(crate) fn launch(command: Command, folder: TempDir, port: u16, ready_path: &str) -> Self {
        let process = Process::start(command, &folder.path().join("log"));
        let mut peer = Self { process, folder, port };
        let url = format!("{}{ready_path}", peer.url());
        poll::until(&format!("{url} to answer"), || {
            assert!(peer.process.ended().is_none(), "ended: {}", peer.process.log());
            match http::get(&url)? {
                ready if ready.status == 200 => Ok(()),
                other => Err(other.text()),
            }
        });
        peer
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `host:port`, as a target names it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a crash would; its folder stays.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}
