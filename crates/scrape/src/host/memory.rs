//! Memory: `/proc/meminfo` and the part of `/proc/vmstat` that node_exporter shows.

use procfs::VmStat;

use super::text::Families;
use super::{PartError, Root, parse, parse_error, read};

/// Every line of `/proc/meminfo`. Read here and not through the crate, because the names of the metrics are
/// those of the lines, and kernels add lines.
pub(crate) fn meminfo(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.proc("meminfo");
    for line in read(&path)?.lines() {
        let wrong = || parse_error(&path, format!("line {line:?}"));
        let (key, rest) = line.split_once(':').ok_or_else(wrong)?;
        let mut fields = rest.split_whitespace();
        let value: f64 = fields.next().and_then(|value| value.parse().ok()).ok_or_else(wrong)?;
        // "Active(anon)" is called Active_anon.
        let key = key.trim_end_matches(')').replace('(', "_");
        let (suffix, factor) = match fields.next() {
            Some("kB") => ("_bytes", 1024.0),
            _ => ("", 1.0),
        };
        let name = format!("node_memory_{key}{suffix}");
        out.single(&name, "gauge", &format!("Memory information field {key}{suffix}."), value * factor);
    }
    Ok(())
}

/// Paging, swapping, faults and kills.
pub(crate) fn vmstat(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let VmStat(all) = parse(&root.proc("vmstat"))?;
    for field in ["oom_kill", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout"] {
        if let Some(value) = all.get(field) {
            let help = format!("/proc/vmstat information field {field}.");
            out.single(&format!("node_vmstat_{field}"), "untyped", &help, *value as f64);
        }
    }
    Ok(())
}
