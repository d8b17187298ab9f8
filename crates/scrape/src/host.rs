//! The built-in host collector: this machine's vital signs, named as node_exporter names them, so that its
//! dashboards and rules work unchanged. Linux only; elsewhere it yields nothing but the time.
//!
//! Map: [`text`] writes families · [`system`] CPU, load, kernel, uname, time · [`memory`] meminfo, vmstat ·
//! [`disk`] block devices and file systems · [`network`] interfaces, protocols, sockets · [`packets`] neighbours,
//! tracked connections, the softirq queue · [`pressure`] stalls · [`processes`] counts by state · [`scheduler`]
//! run queues and CPU frequencies · [`platform`] distribution, clock source, heat, power.
//!
//! Each part reads files below `proc`, `sys` and `etc` anew; a part that fails is skipped, logged once per change,
//! and shown by `node_scrape_collector_success`, as node_exporter does. Never a panic, never a half line.

mod disk;
mod memory;
mod network;
mod packets;
mod platform;
mod pressure;
mod processes;
mod scheduler;
mod system;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use stdx::clock::Clock;

use text::Families;

/// Why a part has nothing to say.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file has an unknown form.
    #[error("cannot understand {path}: {reason}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Collects this machine's vital signs as exposition text.
#[derive(Debug)]
pub struct HostCollector {
    root: Root,
    clock: Arc<dyn Clock>,
    mounts: disk::Mounts,
    /// Parts that failed the last time, so that a lasting failure is logged once.
    failing: Mutex<Vec<&'static str>>,
}

/// Where `proc`, `sys` and `etc` are; elsewhere than `/` in tests and containers that mount the host's.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    proc: PathBuf,
    sys: PathBuf,
    etc: PathBuf,
}

impl Root {
    fn proc(&self, path: &str) -> PathBuf {
        self.proc.join(path)
    }

    fn sys(&self, path: &str) -> PathBuf {
        self.sys.join(path)
    }

    fn etc(&self, path: &str) -> PathBuf {
        self.etc.join(path)
    }
}

fn read(path: &Path) -> Result<String, PartError> {
    std::fs::read_to_string(path).map_err(|source| PartError::Read { path: path.to_owned(), source })
}

/// What is in a file that a kernel may well be without: `None` then, and nothing is said of it.
fn read_optional(path: &Path) -> Result<Option<String>, PartError> {
    match read(path) {
        Err(PartError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// A number that is all a file holds; `None` if there is no such file, or its device has none to give.
fn number(path: &Path) -> Option<f64> {
    read(path).ok()?.trim().parse().ok()
}

/// Names in a folder, sorted as people count: `cpu2` before `cpu10`; none if there is no such folder.
fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    names
}

fn parse_error(path: &Path, reason: impl ToString) -> PartError {
    PartError::Parse { path: path.to_owned(), reason: reason.to_string() }
}

/// Reads a file through the `procfs` crate.
fn parse<T: procfs::FromBufRead>(path: &Path) -> Result<T, PartError> {
    let text = read(path)?;
    T::from_buf_read(text.as_bytes()).map_err(|error| parse_error(path, error))
}

type Part = fn(&HostCollector, &mut Families<'_>) -> Result<(), PartError>;

/// Parts in node_exporter's order of names.
const PARTS: [(&str, Part); 24] = [
    ("arp", |host, out| packets::neighbours(&host.root, out)),
    ("conntrack", |host, out| packets::tracked(&host.root, out)),
    ("cpu", |host, out| system::cpu(&host.root, out)),
    ("cpufreq", |host, out| scheduler::frequencies(&host.root, out)),
    ("diskstats", |host, out| disk::devices(&host.root, &host.mounts, out)),
    ("filefd", |host, out| system::file_descriptors(&host.root, out)),
    ("filesystem", |host, out| disk::file_systems(&host.root, &host.mounts, out)),
    ("loadavg", |host, out| system::load(&host.root, out)),
    ("meminfo", |host, out| memory::meminfo(&host.root, out)),
    ("netclass", |host, out| network::classes(&host.root, out)),
    ("netdev", |host, out| network::devices(&host.root, out)),
    ("netstat", |host, out| network::protocols(&host.root, out)),
    ("os", |host, out| platform::distribution(&host.root, out)),
    ("powersupplyclass", |host, out| platform::power(&host.root, out)),
    ("pressure", |host, out| pressure::all(&host.root, out)),
    ("processes", |host, out| processes::counts(&host.root, out)),
    ("schedstat", |host, out| scheduler::statistics(&host.root, out)),
    ("sockstat", |host, out| network::sockets(&host.root, out)),
    ("softnet", |host, out| packets::softirq(&host.root, out)),
    ("thermal_zone", |host, out| platform::heat(&host.root, out)),
    ("time", |host, out| platform::clock_source(&host.root, out)),
    ("udp_queues", |host, out| packets::udp_queues(&host.root, out)),
    ("uname", |_, out| system::uname(out)),
    ("vmstat", |host, out| memory::vmstat(&host.root, out)),
];

impl HostCollector {
    /// A collector of the machine it runs on.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::below(Path::new("/"), clock)
    }

    /// A collector of the machine whose `proc`, `sys` and `etc` are below `root`.
    pub fn below(root: &Path, clock: Arc<dyn Clock>) -> Self {
        let root = Root { proc: root.join("proc"), sys: root.join("sys"), etc: root.join("etc") };
        Self { root, clock, mounts: disk::Mounts::default(), failing: Mutex::default() }
    }

    /// Appends everything known now, in Prometheus' text format.
    pub fn collect(&self, out: &mut String) {
        let mut durations = Vec::with_capacity(PARTS.len());
        let mut families = Families::new(out);
        for (name, part) in PARTS {
            let start = self.clock.monotonic();
            let result = part(self, &mut families);
            self.remember(name, result.as_ref().err());
            durations.push((name, (self.clock.monotonic() - start).as_secs_f64(), result.is_ok()));
        }
        families.family("node_time_seconds", "gauge", "System time in seconds since epoch (1970).");
        families.sample("node_time_seconds", &[], self.clock.now_ms() as f64 / 1e3);
        families.family(
            "node_scrape_collector_duration_seconds",
            "gauge",
            "Duration of one part of the host collector.",
        );
        for (name, seconds, _) in &durations {
            families.sample("node_scrape_collector_duration_seconds", &[("collector", name)], *seconds);
        }
        families.family(
            "node_scrape_collector_success",
            "gauge",
            "Whether one part of the host collector worked.",
        );
        for (name, _, worked) in &durations {
            families.sample(
                "node_scrape_collector_success",
                &[("collector", name)],
                f64::from(u8::from(*worked)),
            );
        }
    }

    fn remember(&self, part: &'static str, error: Option<&PartError>) {
        let mut failing = self.failing.lock();
        let known = failing.iter().position(|name| *name == part);
        match (error, known) {
            (Some(error), None) => {
                tracing::warn!(part, %error, "host collector: a part has nothing to report");
                failing.push(part);
            }
            (None, Some(at)) => {
                tracing::info!(part, "host collector: a part works again");
                failing.swap_remove(at);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
