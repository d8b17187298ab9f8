//! The scheduler and what it has to give: run queues, CPU frequencies.

use super::text::Families;
use super::{PartError, Root, names, number, parse_error, read_optional};

/// Time that tasks ran and waited on each CPU, from `/proc/schedstat`, where the kernel keeps it.
pub(crate) fn statistics(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.proc("schedstat");
    let Some(text) = read_optional(&path)? else { return Ok(()) };
    let mut rows = Vec::new();
    for line in text.lines() {
        let Some((cpu, rest)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        // Nanoseconds running, nanoseconds waiting, time slices; what comes before is of wake-ups.
        let fields: Result<Vec<u64>, _> = rest.split_whitespace().skip(6).map(str::parse).collect();
        let fields = fields.map_err(|error| parse_error(&path, error))?;
        let [running, waiting, slices, ..] = fields[..] else {
            return Err(parse_error(&path, "expected nine numbers for each CPU"));
        };
        rows.push((cpu, [running as f64 / 1e9, waiting as f64 / 1e9, slices as f64]));
    }
    for (i, (name, help)) in [
        ("node_schedstat_running_seconds_total", "Number of seconds CPU spent running a process."),
        (
            "node_schedstat_waiting_seconds_total",
            "Number of seconds spent by processing waiting for this CPU.",
        ),
        ("node_schedstat_timeslices_total", "Number of timeslices executed by CPU."),
    ]
    .into_iter()
    .enumerate()
    {
        if !rows.is_empty() {
            out.family(name, "counter", help);
        }
        for (cpu, values) in &rows {
            out.sample(name, &[("cpu", cpu)], values[i]);
        }
    }
    Ok(())
}

/// How fast each CPU runs and may run. The kernel counts kHz. Virtual machines have no such files.
pub(crate) fn frequencies(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.sys("devices/system/cpu");
    let is_cpu = |name: &str| {
        name.strip_prefix("cpu")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let cpus: Vec<String> = names(&path).into_iter().filter(|name| is_cpu(name)).collect();
    for (file, metric, help) in [
        ("cpuinfo_cur_freq", "frequency_hertz", "Current CPU thread frequency in hertz."),
        ("cpuinfo_max_freq", "frequency_max_hertz", "Maximum CPU thread frequency in hertz."),
        ("cpuinfo_min_freq", "frequency_min_hertz", "Minimum CPU thread frequency in hertz."),
        ("scaling_cur_freq", "scaling_frequency_hertz", "Current scaled CPU thread frequency in hertz."),
        ("scaling_max_freq", "scaling_frequency_max_hertz", "Maximum scaled CPU thread frequency in hertz."),
        ("scaling_min_freq", "scaling_frequency_min_hertz", "Minimum scaled CPU thread frequency in hertz."),
    ] {
        let values: Vec<(&str, f64)> = cpus
            .iter()
            .filter_map(|cpu| Some((&cpu[3..], number(&path.join(cpu).join("cpufreq").join(file))? * 1e3)))
            .collect();
        if values.is_empty() {
            continue;
        }
        let name = format!("node_cpu_{metric}");
        out.family(&name, "gauge", help);
        for (cpu, value) in values {
            out.sample(&name, &[("cpu", cpu)], value);
        }
    }
    Ok(())
}
