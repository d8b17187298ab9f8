//! How many processes and threads there are, by state.

use std::collections::BTreeMap;

use super::text::Families;
use super::{PartError, Root, number, read};

/// Counts all of `/proc/<pid>/stat`. A process that ends meanwhile is left out.
pub(crate) fn counts(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.proc("");
    let entries =
        std::fs::read_dir(&path).map_err(|source| PartError::Read { path: path.clone(), source })?;
    let (mut states, mut pids, mut threads) = (BTreeMap::<String, u64>::new(), 0u64, 0u64);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_pid = name.to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if !is_pid {
            continue;
        }
        let Ok(text) = read(&entry.path().join("stat")) else { continue };
        // The command's name, in parentheses, may hold anything; the fields begin after the last one.
        let Some((_, fields)) = text.rsplit_once(") ") else { continue };
        let mut fields = fields.split(' ');
        let Some(state) = fields.next() else { continue };
        *states.entry(state.to_owned()).or_default() += 1;
        pids += 1;
        // After the state (field 3) come fields 4 to 19; field 20 is the number of threads.
        threads += fields.nth(16).and_then(|count| count.parse::<u64>().ok()).unwrap_or(1);
    }
    for (file, name, help) in [
        ("pid_max", "node_processes_max_processes", "Number of max PIDs limit"),
        ("threads-max", "node_processes_max_threads", "Limit of threads in the system"),
    ] {
        if let Some(limit) = number(&root.proc(&format!("sys/kernel/{file}"))) {
            out.single(name, "gauge", help, limit);
        }
    }
    out.single("node_processes_pids", "gauge", "Number of PIDs", pids as f64);
    out.family("node_processes_state", "gauge", "Number of processes in each state.");
    for (state, count) in &states {
        out.sample("node_processes_state", &[("state", state)], *count as f64);
    }
    out.single("node_processes_threads", "gauge", "Allocated threads in system", threads as f64);
    Ok(())
}
