//! Block devices and file systems.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use procfs::{DiskStat, DiskStats, MountEntry};
use regex::Regex;

use super::text::Families;
use super::{PartError, Root, parse};

/// The kernel counts in sectors of this size, whatever the device's own are.
const SECTOR_BYTES: f64 = 512.0;

type Field = (&'static str, &'static str, &'static str, fn(&DiskStat) -> Option<f64>);

const DEVICE_FIELDS: [Field; 17] = [
    ("reads_completed_total", "counter", "The total number of reads completed successfully.", |d| {
        Some(d.reads as f64)
    }),
    ("reads_merged_total", "counter", "The total number of reads merged.", |d| Some(d.merged as f64)),
    ("read_bytes_total", "counter", "The total number of bytes read successfully.", |d| {
        Some(d.sectors_read as f64 * SECTOR_BYTES)
    }),
    ("read_time_seconds_total", "counter", "The total number of seconds spent by all reads.", |d| {
        Some(d.time_reading as f64 / 1e3)
    }),
    ("writes_completed_total", "counter", "The total number of writes completed successfully.", |d| {
        Some(d.writes as f64)
    }),
    ("writes_merged_total", "counter", "The number of writes merged.", |d| Some(d.writes_merged as f64)),
    ("written_bytes_total", "counter", "The total number of bytes written successfully.", |d| {
        Some(d.sectors_written as f64 * SECTOR_BYTES)
    }),
    (
        "write_time_seconds_total",
        "counter",
        "This is the total number of seconds spent by all writes.",
        |d| Some(d.time_writing as f64 / 1e3),
    ),
    ("io_now", "gauge", "The number of I/Os currently in progress.", |d| Some(d.in_progress as f64)),
    ("io_time_seconds_total", "counter", "Total seconds spent doing I/Os.", |d| {
        Some(d.time_in_progress as f64 / 1e3)
    }),
    ("io_time_weighted_seconds_total", "counter", "The weighted # of seconds spent doing I/Os.", |d| {
        Some(d.weighted_time_in_progress as f64 / 1e3)
    }),
    ("discards_completed_total", "counter", "The total number of discards completed successfully.", |d| {
        Some(d.discards? as f64)
    }),
    ("discards_merged_total", "counter", "The total number of discards merged.", |d| {
        Some(d.discards_merged? as f64)
    }),
    ("discarded_sectors_total", "counter", "The total number of sectors discarded successfully.", |d| {
        Some(d.sectors_discarded? as f64)
    }),
    (
        "discard_time_seconds_total",
        "counter",
        "This is the total number of seconds spent by all discards.",
        |d| Some(d.time_discarding? as f64 / 1e3),
    ),
    ("flush_requests_total", "counter", "The total number of flush requests completed successfully", |d| {
        Some(d.flushes? as f64)
    }),
    (
        "flush_requests_time_seconds_total",
        "counter",
        "This is the total number of seconds spent by all flush requests.",
        |d| Some(d.time_flushing? as f64 / 1e3),
    ),
];

/// What is not shown: RAM and loop devices and partitions, node_exporter's default.
const DEVICES_LEFT_OUT: &str = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";

/// Mount points and types that are not storage, node_exporter's defaults.
const MOUNTS_LEFT_OUT: &str =
    r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
const TYPES_LEFT_OUT: [&str; 27] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "ramfs",
    "efivarfs",
];

/// A file system that does not answer within this is skipped until it does.
const STAT_TIMEOUT: Duration = Duration::from_secs(2);

/// Expressions, and mount points whose file system hangs.
#[derive(Debug)]
pub(crate) struct Mounts {
    devices_left_out: Regex,
    mounts_left_out: Regex,
    stuck: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Default for Mounts {
    fn default() -> Self {
        Self {
            devices_left_out: Regex::new(DEVICES_LEFT_OUT).expect("a constant expression"),
            mounts_left_out: Regex::new(MOUNTS_LEFT_OUT).expect("a constant expression"),
            stuck: Arc::default(),
        }
    }
}

/// Reads, writes and time of each block device.
pub(crate) fn devices(root: &Root, mounts: &Mounts, out: &mut Families<'_>) -> Result<(), PartError> {
    let DiskStats(mut all) = parse(&root.proc("diskstats"))?;
    all.retain(|disk| !mounts.devices_left_out.is_match(&disk.name));
    for (field, kind, help, value) in DEVICE_FIELDS {
        let name = format!("node_disk_{field}");
        if all.iter().all(|disk| value(disk).is_none()) {
            continue;
        }
        out.family(&name, kind, help);
        for disk in &all {
            if let Some(value) = value(disk) {
                out.sample(&name, &[("device", &disk.name)], value);
            }
        }
    }
    Ok(())
}

struct FileSystem {
    mount: MountEntry,
    /// `None` if it does not answer.
    stat: Option<rustix::fs::StatVfs>,
}

type SpaceField = (&'static str, &'static str, fn(&rustix::fs::StatVfs) -> u64);

const SPACE_FIELDS: [SpaceField; 5] = [
    ("avail_bytes", "Filesystem space available to non-root users in bytes.", |s| s.f_bavail * s.f_frsize),
    ("files", "Filesystem total file nodes.", |s| s.f_files),
    ("files_free", "Filesystem total free file nodes.", |s| s.f_ffree),
    ("free_bytes", "Filesystem free space in bytes.", |s| s.f_bfree * s.f_frsize),
    ("size_bytes", "Filesystem size in bytes.", |s| s.f_blocks * s.f_frsize),
];

/// Space and file nodes of each mounted file system.
pub(crate) fn file_systems(root: &Root, mounts: &Mounts, out: &mut Families<'_>) -> Result<(), PartError> {
    let entries: Vec<MountEntry> = parse(&root.proc("mounts"))?;
    let mut seen = BTreeSet::new();
    let shown: Vec<FileSystem> = entries
        .into_iter()
        .filter(|m| {
            !TYPES_LEFT_OUT.contains(&m.fs_vfstype.as_str()) && !mounts.mounts_left_out.is_match(&m.fs_file)
        })
        .filter(|m| seen.insert((m.fs_spec.clone(), m.fs_file.clone(), m.fs_vfstype.clone())))
        .map(|mount| FileSystem { stat: stat(mounts, &mount), mount })
        .collect();
    let labels = |m: &MountEntry| {
        [("device", m.fs_spec.clone()), ("fstype", m.fs_vfstype.clone()), ("mountpoint", m.fs_file.clone())]
    };
    for (field, help, value) in SPACE_FIELDS {
        let name = format!("node_filesystem_{field}");
        out.family(&name, "gauge", help);
        for fs in &shown {
            if let Some(stat) = &fs.stat {
                sample(out, &name, &labels(&fs.mount), value(stat) as f64);
            }
        }
    }
    let help = "Whether an error occurred while getting statistics for the given device.";
    out.family("node_filesystem_device_error", "gauge", help);
    for fs in &shown {
        sample(
            out,
            "node_filesystem_device_error",
            &labels(&fs.mount),
            f64::from(u8::from(fs.stat.is_none())),
        );
    }
    out.family("node_filesystem_readonly", "gauge", "Filesystem read-only status.");
    for fs in &shown {
        let read_only = fs.mount.fs_mntops.contains_key("ro");
        sample(out, "node_filesystem_readonly", &labels(&fs.mount), f64::from(u8::from(read_only)));
    }
    Ok(())
}

fn sample(out: &mut Families<'_>, name: &str, labels: &[(&str, String); 3], value: f64) {
    let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    out.sample(name, &labels, value);
}

/// Asks a file system for its space. One across a network may hang for ever when its server is gone, so it
/// is asked from a thread of its own, and not again before that thread has come back.
fn stat(mounts: &Mounts, mount: &MountEntry) -> Option<rustix::fs::StatVfs> {
    // The crate leaves the kernel's octal escapes for spaces in place.
    let path =
        PathBuf::from(mount.fs_file.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"));
    let across_network = ["nfs", "cifs", "smb", "fuse", "ceph", "gluster", "9p", "afs", "ncp"]
        .iter()
        .any(|kind| mount.fs_vfstype.starts_with(kind));
    if !across_network {
        return rustix::fs::statvfs(&path).ok();
    }
    if !mounts.stuck.lock().insert(path.clone()) {
        return None;
    }
    let (sender, receiver) = mpsc::channel();
    let stuck = Arc::clone(&mounts.stuck);
    let worker = std::thread::Builder::new().name("host-statvfs".to_owned()).spawn(move || {
        let answer = rustix::fs::statvfs(&path).ok();
        stuck.lock().remove(&path);
        // Nobody listens any more if the answer came too late.
        drop(sender.send(answer));
    });
    worker.ok()?;
    receiver.recv_timeout(STAT_TIMEOUT).ok().flatten()
}
