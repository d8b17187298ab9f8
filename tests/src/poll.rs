//! Waiting for something to come true, with a deadline.

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Asks until the answer is `Some`, or panics after [`PATIENCE`] with `what` and the last refusal.
#[track_caller]
pub fn until<T>(what: &str, ask: impl FnMut() -> Result<T, String>) -> T {
    until_within(PATIENCE, what, ask)
}

/// As [`until`], with another deadline.
#[track_caller]
pub fn until_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(refusal) => {
                assert!(Instant::now() < deadline, "waited {patience:?} for {what}; last: {refusal}");
            }
        }
        pause();
    }
}

fn pause() {
    #[expect(clippy::disallowed_methods, reason = "the pause between two questions of a poll")]
    std::thread::sleep(Duration::from_millis(50));
}
