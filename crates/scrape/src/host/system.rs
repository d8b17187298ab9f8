//! CPU, load, kernel counters, file descriptors, uname.

use procfs::{CpuTime, FromBufReadSI, KernelStats};

use super::text::Families;
use super::{PartError, Root, parse_error, read};

/// CPU seconds by mode, and what else `/proc/stat` counts.
pub(crate) fn cpu(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.proc("stat");
    let text = read(&path)?;
    let stat = KernelStats::from_buf_read(text.as_bytes(), procfs::current_system_info())
        .map_err(|error| parse_error(&path, error))?;
    // The crate keeps the order of CPUs but not their numbers, which have gaps where a CPU is offline.
    let numbers: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("cpu")?.split(' ').next())
        .filter(|number| !number.is_empty())
        .collect();
    let ticks = procfs::ticks_per_second() as f64;
    out.family(
        "node_cpu_guest_seconds_total",
        "counter",
        "Seconds the CPUs spent in guests (VMs) for each mode.",
    );
    for (number, cpu) in numbers.iter().zip(&stat.cpu_time) {
        for (mode, value) in [("nice", cpu.guest_nice), ("user", cpu.guest)] {
            let seconds = value.unwrap_or(0) as f64 / ticks;
            out.sample("node_cpu_guest_seconds_total", &[("cpu", number), ("mode", mode)], seconds);
        }
    }
    out.family("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.");
    for (number, cpu) in numbers.iter().zip(&stat.cpu_time) {
        for (mode, value) in modes(cpu) {
            out.sample("node_cpu_seconds_total", &[("cpu", number), ("mode", mode)], value as f64 / ticks);
        }
    }
    out.single("node_boot_time_seconds", "gauge", "Node boot time, in unixtime.", stat.btime as f64);
    out.single(
        "node_context_switches_total",
        "counter",
        "Total number of context switches.",
        stat.ctxt as f64,
    );
    out.single("node_forks_total", "counter", "Total number of forks.", stat.processes as f64);
    let interrupts =
        text.lines().find_map(|line| line.strip_prefix("intr ")?.split(' ').next()?.parse::<u64>().ok());
    if let Some(interrupts) = interrupts {
        out.single("node_intr_total", "counter", "Total number of interrupts serviced.", interrupts as f64);
    }
    if let Some(running) = stat.procs_running {
        out.single(
            "node_procs_running",
            "gauge",
            "Number of processes in runnable state.",
            f64::from(running),
        );
    }
    if let Some(blocked) = stat.procs_blocked {
        let help = "Number of processes blocked waiting for I/O to complete.";
        out.single("node_procs_blocked", "gauge", help, f64::from(blocked));
    }
    Ok(())
}

fn modes(cpu: &CpuTime) -> [(&'static str, u64); 8] {
    [
        ("idle", cpu.idle),
        ("iowait", cpu.iowait.unwrap_or(0)),
        ("irq", cpu.irq.unwrap_or(0)),
        ("nice", cpu.nice),
        ("softirq", cpu.softirq.unwrap_or(0)),
        ("steal", cpu.steal.unwrap_or(0)),
        ("system", cpu.system),
        ("user", cpu.user),
    ]
}

/// Load averages. Read here and not through the crate, whose `f32` would print 0.27 as 0.27000001072883606.
pub(crate) fn load(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.proc("loadavg");
    let text = read(&path)?;
    let mut fields = text.split_whitespace();
    for (name, help) in [
        ("node_load1", "1m load average."),
        ("node_load5", "5m load average."),
        ("node_load15", "15m load average."),
    ] {
        let field = fields.next().ok_or_else(|| parse_error(&path, "fewer than three load averages"))?;
        let value = field.parse().map_err(|error| parse_error(&path, error))?;
        out.single(name, "gauge", help, value);
    }
    Ok(())
}

/// Open file descriptors of the whole machine, and the kernel's entropy.
pub(crate) fn file_descriptors(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let path = root.proc("sys/fs/file-nr");
    let text = read(&path)?;
    let mut fields = text.split_whitespace().map(str::parse::<f64>);
    let (Some(Ok(allocated)), Some(Ok(_)), Some(Ok(maximum))) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(parse_error(&path, "expected three numbers"));
    };
    out.single("node_filefd_allocated", "gauge", "File descriptor statistics: allocated.", allocated);
    out.single("node_filefd_maximum", "gauge", "File descriptor statistics: maximum.", maximum);
    for (file, name, help) in [
        ("entropy_avail", "node_entropy_available_bits", "Bits of available entropy."),
        ("poolsize", "node_entropy_pool_size_bits", "Bits of entropy pool."),
    ] {
        if let Ok(text) = read(&root.proc(&format!("sys/kernel/random/{file}")))
            && let Ok(bits) = text.trim().parse()
        {
            out.single(name, "gauge", help, bits);
        }
    }
    Ok(())
}

/// The kernel's name and version.
pub(crate) fn uname(out: &mut Families<'_>) -> Result<(), PartError> {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let (domain, machine) = (text(uname.domainname()), text(uname.machine()));
    let (node, release) = (text(uname.nodename()), text(uname.release()));
    let (system, version) = (text(uname.sysname()), text(uname.version()));
    let help = "Labeled system information as provided by the uname system call.";
    out.family("node_uname_info", "gauge", help);
    let labels = [
        ("domainname", domain.as_str()),
        ("machine", &machine),
        ("nodename", &node),
        ("release", &release),
        ("sysname", &system),
        ("version", &version),
    ];
    out.sample("node_uname_info", &labels, 1.0);
    Ok(())
}
