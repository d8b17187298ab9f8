//! Blocking work for a request: on its own thread, stopped when the client goes away.

use std::sync::Arc;
use std::time::Duration;

use stdx::cancel::Cancel;

use crate::error::{ApiError, ErrorType};
use crate::state::State;

/// A flag for work that must end within the server's limit, or sooner if the client wants it.
pub(crate) fn cancel_after(state: &State, timeout: Option<Duration>) -> Cancel {
    let longest = state.settings.request_timeout;
    Cancel::after(timeout.map_or(longest, |timeout| timeout.min(longest)))
}

/// Runs `work` on a blocking thread. If the returned future is dropped (the client closed its connection, or
/// the request ran out of time), `cancel` tells the work to stop.
///
/// # Errors
/// 500 if it panics; the process lives on.
pub(crate) async fn blocking<T: Send + 'static>(
    state: &Arc<State>,
    cancel: Cancel,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let _guard = CancelOnDrop(cancel);
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        state.metrics.panics.inc();
        tracing::error!(%error, "a request's work panicked");
        ApiError::new(ErrorType::Internal, "internal error; the log has more")
    })
}

/// Tells the work to stop when whoever waits for it is gone.
pub(crate) struct CancelOnDrop(pub(crate) Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        // After the work has ended nobody looks at the flag any more.
        self.0.cancel();
    }
}
