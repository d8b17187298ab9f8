//! Pressure stall information: time lost waiting for CPU, I/O and memory.

use procfs::{CpuPressure, IoPressure, MemoryPressure};

use super::text::Families;
use super::{PartError, Root, parse};

/// All three resources. Kernels without pressure information have no such files.
pub(crate) fn all(root: &Root, out: &mut Families<'_>) -> Result<(), PartError> {
    let mut seconds = |name: &str, help: &str, total_us: u64| {
        out.single(name, "counter", help, total_us as f64 / 1e6);
    };
    let cpu: CpuPressure = parse(&root.proc("pressure/cpu"))?;
    let io: IoPressure = parse(&root.proc("pressure/io"))?;
    let memory: MemoryPressure = parse(&root.proc("pressure/memory"))?;
    seconds(
        "node_pressure_cpu_waiting_seconds_total",
        "Total time in seconds that processes have waited for CPU time",
        cpu.some.total,
    );
    seconds(
        "node_pressure_io_stalled_seconds_total",
        "Total time in seconds no process could make progress due to IO congestion",
        io.full.total,
    );
    seconds(
        "node_pressure_io_waiting_seconds_total",
        "Total time in seconds that processes have waited due to IO congestion",
        io.some.total,
    );
    seconds(
        "node_pressure_memory_stalled_seconds_total",
        "Total time in seconds no process could make progress due to memory congestion",
        memory.full.total,
    );
    seconds(
        "node_pressure_memory_waiting_seconds_total",
        "Total time in seconds that processes have waited for memory",
        memory.some.total,
    );
    Ok(())
}
