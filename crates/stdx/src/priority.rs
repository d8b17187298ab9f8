//! Threads that others go before: for work in the background on machines with few processors.

/// What the processor's time of such a thread weighs against that of others: about a tenth.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// Lets all threads of ordinary priority go before the calling thread, for the processor and (unless that is set apart)
/// for the disk. There is no way back without privileges, and threads that it starts inherit it. Such a thread should hold
/// no lock that others wait for, because whoever takes the processor from it makes them wait, too.
///
/// Does nothing where priorities belong to whole processes.
///
/// # Errors
/// As the operating system says.
pub fn lower_priority() -> std::io::Result<()> {
    // For Linux, "this process" is the calling thread.
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(None, NICE)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_thread_that_steps_back_and_not_the_process() {
        let nice = || rustix::process::getpriority_process(None).expect("Linux has it");
        let before = nice();
        let lowered = std::thread::spawn(move || {
            lower_priority().expect("allowed to everybody");
            nice()
        });
        assert_eq!((lowered.join().expect("no panic"), nice()), (NICE.max(before), before));
    }
}
