//! Work that queries and writes go before: done by threads of low priority.
//!
//! Such a thread must hold no lock that a write or a query waits for, or whoever takes the processor from it makes them wait, too.

use std::io;

/// Behind the name of the thread that waits for one. Simulations know by it whose work is done.
const NAME_SUFFIX: &str = ":low";

/// Does `work` in a thread of low priority.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn run<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    run_beside(work, || ())
}

/// Does `work` in a thread of low priority, and `beside` in this one meanwhile.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn run_beside<T: Send>(work: impl FnOnce() -> T + Send, beside: impl FnOnce()) -> io::Result<T> {
    let low = move || {
        if let Err(error) = stdx::priority::lower_priority() {
            tracing::debug!(%error, "a flush or compaction runs at ordinary priority");
        }
        work()
    };
    let name = format!("{}{NAME_SUFFIX}", std::thread::current().name().unwrap_or("tsdb"));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, low)?;
        beside();
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
