//! Exporters of Debian's packages beside what they watch: etcd, redis, PostgreSQL, and probes of blackbox_exporter.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::peer::Peer;
use crate::poll;
use crate::ports::free_port;
use crate::process::Process;
use crate::server::write;
use crate::{http, paths};

impl Peer {
    /// A real etcd of one node; it has metrics of its own, and probes at `/health`.
    pub fn etcd() -> Self {
        let (folder, port, peer_port) =
            (tempfile::tempdir().expect("temporary directory"), free_port(), free_port());
        let (url, peer_url) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let mut command = Command::new(paths::program("etcd"));
        command
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("default={peer_url}")])
            .env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH);
        Self::launch(command, folder, port, "/health")
    }

    /// A real blackbox_exporter with a module `http_2xx`.
    pub fn blackbox_exporter() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("temporary directory"), free_port());
        let config = folder.path().join("blackbox.yml");
        write(&config, "modules: {http_2xx: {prober: http, timeout: 5s}}\n");
        let mut command = Command::new(paths::program("prometheus-blackbox-exporter"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        Self::launch(command, folder, port, "/metrics")
    }
}

/// A real redis and its exporter.
#[derive(Debug)]
pub struct Redis {
    /// What is scraped.
    pub exporter: Peer,
    _server: Process,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    /// Starts both.
    pub fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("temporary directory"), free_port());
        let mut command = Command::new(paths::program("redis-server"));
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(folder.path());
        let server = Process::start(command, &folder.path().join("redis.log"));
        poll::until("redis to answer", || command_of_redis(port, "PING"));
        let exporter_port = free_port();
        let mut command = Command::new(paths::program("prometheus-redis-exporter"));
        command
            .arg("-redis.addr")
            .arg(format!("redis://127.0.0.1:{port}"))
            .arg("-web.listen-address")
            .arg(format!("127.0.0.1:{exporter_port}"));
        let exporter_folder = tempfile::tempdir().expect("temporary directory");
        let exporter = Peer::launch(command, exporter_folder, exporter_port, "/metrics");
        Self { exporter, _server: server, port, _folder: folder }
    }

    /// Does what a command says.
    ///
    /// # Panics
    /// If redis does not do it.
    pub fn command(&self, line: &str) {
        command_of_redis(self.port, line).expect("done");
    }
}

fn command_of_redis(port: u16, line: &str) -> Result<(), String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(poll::PATIENCE)).map_err(|e| e.to_string())?;
    stream.write_all(format!("{line}\r\n").as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = [0; 64];
    let len = stream.read(&mut answer).map_err(|e| e.to_string())?;
    match answer.first() {
        Some(b'+' | b':') if len > 0 => Ok(()),
        _ => Err(String::from_utf8_lossy(&answer[..len]).into_owned()),
    }
}

/// A real PostgreSQL and its exporter.
#[derive(Debug)]
pub struct Postgres {
    /// What is scraped.
    pub exporter: Peer,
    server: Process,
    _folder: TempDir,
}

impl Postgres {
    /// Starts both. The server has these settings.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("temporary directory");
        let (data, port) = (folder.path().join("data"), free_port());
        run(Command::new("chmod").arg("755").arg(folder.path()), "chmod");
        std::fs::create_dir(&data).expect("a folder");
        if rustix::process::geteuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(&data), "chown");
        }
        let mut initdb = as_postgres(&postgres_program("initdb").to_string_lossy());
        run(initdb.args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"]).arg(&data), "initdb");
        let mut command = as_postgres(&postgres_program("postgres").to_string_lossy());
        command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "fsync=off", "-c", "unix_socket_directories="]);
        for (name, value) in settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let server = Process::start(command, &folder.path().join("postgres.log"));
        let exporter_port = free_port();
        let mut command = Command::new(paths::program("prometheus-postgres-exporter"));
        command.arg(format!("--web.listen-address=127.0.0.1:{exporter_port}")).env(
            "DATA_SOURCE_NAME",
            format!("postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"),
        );
        let exporter_folder = tempfile::tempdir().expect("temporary directory");
        let exporter = Peer::launch(command, exporter_folder, exporter_port, "/metrics");
        poll::until("PostgreSQL to be up", || {
            match http::get(&format!("{}/metrics", exporter.url()))?.text() {
                text if text.contains("\npg_up 1") => Ok(()),
                _ => Err(server.log()),
            }
        });
        Self { exporter, server, _folder: folder }
    }
}

impl Drop for Postgres {
    /// Its children share memory with it: it must end them itself.
    fn drop(&mut self) {
        if self.server.ended().is_none() {
            self.server.signal(Signal::INT);
            let server = &mut self.server;
            poll::until("the end of PostgreSQL", || {
                server.ended().map(|_| ()).ok_or_else(|| "it runs".to_owned())
            });
        }
    }
}

/// A program run by a user that PostgreSQL does not refuse.
fn as_postgres(program: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new(paths::program("setpriv"));
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
    command
}

fn run(command: &mut Command, what: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Debian keeps each version's programs in a folder of their own.
fn postgres_program(name: &str) -> PathBuf {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").expect("installed: run scripts/install-test-tools.sh");
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|program| program.is_file())
        .collect();
    found.sort();
    found.pop().expect("installed: run scripts/install-test-tools.sh")
}
