//! A small disk of its own, where the machine lets tests mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, mounted until dropped.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one of so many bytes; `None` where that is not allowed.
    pub fn mount(path: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(path).expect("made");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "kymo-test"]).arg(path);
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self { path: path.to_owned() })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nobody can do anything about it here; what is left behind is in memory only.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
    }
}
