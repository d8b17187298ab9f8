//! Mechanisms that are asked for everything at an interval.
//!
//! The first request goes out at once; the next ones after the interval, up to a tenth earlier, so that many jobs do
//! not ask one server at one moment. After a failure it is tried again sooner. What was known last stays.

use std::future::Future;
use std::time::Duration;

use model::time::DurationMs;

use crate::fetch::Fault;
use crate::group::TargetGroup;
use crate::place::{Publisher, Shared};

/// The shortest time between requests.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Wait after the first of several failures; it doubles with each, up to the interval.
const RETRY_FIRST: Duration = Duration::from_secs(5);

/// Something that can be asked for all its targets.
pub(crate) trait Refresh: Send {
    /// All targets there are now.
    fn refresh(&mut self) -> impl Future<Output = Result<Vec<TargetGroup>, Fault>> + Send;

    /// What could not be asked although the rest was; its targets are among the others as they were known last.
    fn failure(&self) -> Option<&str> {
        None
    }
}

/// How long a mechanism's requests may take, and how often they are made.
pub(crate) fn interval(setting: DurationMs) -> Duration {
    Duration::from_millis(u64::try_from(setting.0).unwrap_or(0)).max(INTERVAL_MIN)
}

/// Asks until it is aborted. `make` is tried again if it fails (a file of certificates may come later).
pub(crate) async fn run<R: Refresh>(
    setting: DurationMs,
    shared: Shared,
    mut publisher: Publisher,
    make: impl Fn(&Shared) -> Result<R, Fault> + Send,
) {
    let interval = interval(setting);
    let mut source: Option<R> = None;
    let mut retry = RETRY_FIRST;
    loop {
        if source.is_none() {
            match make(&shared) {
                Ok(made) => source = Some(made),
                Err(fault) => publisher.failed(&fault.to_string()),
            }
        }
        let mut failed = source.is_none();
        if let Some(source) = &mut source {
            let result = source.refresh().await;
            failed = result.is_err() || source.failure().is_some();
            let word = if failed { "failed" } else { "ok" };
            shared.metrics.refreshes.with_label_values(&[publisher.mechanism(), word]).inc();
            match result {
                Ok(groups) => match source.failure() {
                    None => publisher.publish(groups),
                    Some(failure) => {
                        publisher.set(groups);
                        publisher.failed(failure);
                    }
                },
                Err(fault) => publisher.failed(&fault.to_string()),
            }
        }
        let wait = if failed { retry.min(interval) } else { interval };
        retry = if failed { (retry * 2).min(interval.max(RETRY_FIRST)) } else { RETRY_FIRST };
        tokio::time::sleep(jittered(wait, &shared)).await;
    }
}

/// Up to a tenth less.
pub(crate) fn jittered(wait: Duration, shared: &Shared) -> Duration {
    wait.mul_f64(1.0 - shared.random.unit_f64() / 10.0)
}
