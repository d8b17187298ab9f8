//! How much memory there is, and who gets which share of it.

use std::sync::Arc;

use stdx::memory::Budget;

/// The share of the machine that is used if nothing else is said.
const DEFAULT_PERCENT: u64 = 70;
/// What is assumed if the machine does not say.
const FALLBACK_BYTES: u64 = 1 << 30;

/// The memory of the process, divided. Shares add up to more than the whole: rarely do all need theirs at once,
/// and the whole is never exceeded.
#[derive(Debug, Clone)]
pub(crate) struct Budgets {
    /// The whole.
    pub(crate) process: Arc<Budget>,
    /// Head and caches of the storage engine.
    pub(crate) storage: Arc<Budget>,
    /// Queries that are running.
    pub(crate) queries: Arc<Budget>,
    /// Results of queries that are kept.
    pub(crate) results: Arc<Budget>,
    /// Requests that list series and labels, federation among them.
    pub(crate) reads: Arc<Budget>,
    /// Answers of targets that are being read.
    pub(crate) scrape: Arc<Budget>,
}

impl Budgets {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        let process = Budget::root("process", limit_bytes);
        let share = |name: &str, percent: u64| process.child(name, percent_of(limit_bytes, percent));
        Self {
            storage: share("storage", 65),
            queries: share("queries", 35),
            results: share("results cache", 5),
            reads: share("reads", 15),
            scrape: share("scrape", 15),
            process,
        }
    }

    /// All of them, the whole first.
    pub(crate) fn all(&self) -> [&Arc<Budget>; 6] {
        [&self.process, &self.storage, &self.queries, &self.results, &self.reads, &self.scrape]
    }

    /// What the head may take of the storage's share.
    pub(crate) fn head_bytes_max(&self) -> u64 {
        percent_of(self.process.limit_bytes(), 50)
    }

    /// What the cache of blocks may take of the storage's share.
    pub(crate) fn cache_bytes_max(&self) -> u64 {
        percent_of(self.process.limit_bytes(), 10)
    }
}

fn percent_of(bytes: u64, percent: u64) -> u64 {
    (u128::from(bytes) * u128::from(percent) / 100) as u64
}

/// The limit if none is given: a share of the machine's memory, or of the cgroup's if that is less.
pub(crate) fn default_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").as_deref().and_then(machine_bytes);
    let cgroup = read("/proc/self/cgroup").as_deref().and_then(|cgroups| cgroup_bytes(cgroups, &read));
    let available = machine.into_iter().chain(cgroup).min();
    percent_of(available.unwrap_or(FALLBACK_BYTES), DEFAULT_PERCENT)
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The smallest limit of the process' cgroup and those around it, version 2 or 1.
fn cgroup_bytes(cgroups: &str, read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let mut limits = Vec::new();
    for line in cgroups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            let text = read(&format!("{root}{path}/{file}"));
            // "max", and version 1's number near 2^63, mean that there is no limit.
            let limit =
                text.and_then(|text| text.trim().parse::<u64>().ok()).filter(|limit| *limit < 1 << 60);
            limits.extend(limit);
            let Some((around, _)) = path.rsplit_once('/') else { break };
            path = around;
        }
    }
    limits.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(machine_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16_384 * 1024));
        assert_eq!(machine_bytes("nonsense"), None);
    }

    #[test]
    fn the_smallest_limit_on_the_way_to_the_root_counts() {
        let read = |path: &str| {
            let text = match path {
                "/sys/fs/cgroup/a/b/memory.max" => "max\n",
                "/sys/fs/cgroup/a/memory.max" => "1000\n",
                "/sys/fs/cgroup/memory/x/memory.limit_in_bytes" => "9223372036854771712\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes" => "500\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        assert_eq!(cgroup_bytes("0::/a/b\n", &read), Some(1000));
        assert_eq!(cgroup_bytes("4:cpu,memory:/x\n3:cpu:/y\n", &read), Some(500));
        assert_eq!(cgroup_bytes("0::/\n", &read), None);
    }

    #[test]
    fn shares_never_exceed_the_whole() {
        let budgets = Budgets::new(1000);
        let held = budgets.storage.reserve(650).expect("its share");
        assert!(budgets.storage.reserve(1).is_err());
        let queries = budgets.queries.reserve(350).expect("what is left");
        assert!(budgets.reads.reserve(1).is_err(), "the whole is used up");
        drop((held, queries));
        assert!(budgets.head_bytes_max() + budgets.cache_bytes_max() <= budgets.storage.limit_bytes());
    }
}
