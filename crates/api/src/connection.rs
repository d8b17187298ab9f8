//! A connection that does not wait for ever: clients that are silent, trickle, or do not take their answer.
//!
//! Three clocks, one at a time on the reading side: between requests the connection may be idle for long; once
//! the first byte of a head has come, the whole head must come soon (a client that trickles holds a connection
//! no longer); within a request nobody reads here, because bodies have their own limits where they are read, and
//! a long query is no fault of the client's. On the writing side a client must take something from time to time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::request_line::RequestLine;

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Phase {
    Idle,
    Head,
    Request,
}

/// Shared by the socket, which learns of bytes, and the service, which learns of requests.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// How often the phase has changed, times four, plus the phase.
    state: AtomicU64,
    /// The connection's task, while it waits for bytes.
    reader: AtomicWaker,
}

impl Activity {
    fn state(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    fn phase(&self) -> Phase {
        phase_of(self.state())
    }

    fn set(&self, phase: Phase) {
        let next = (self.state() / 4 + 1) * 4 + phase as u64;
        // Phases change one after the other, in the connection's task; there is no race to lose.
        self.state.store(next, Ordering::Release);
    }

    /// A head is complete. The request lasts until the guard is dropped, with the body of its response.
    pub(crate) fn begin_request(self: &Arc<Self>) -> RequestGuard {
        self.set(Phase::Request);
        RequestGuard(Arc::clone(self))
    }
}

fn phase_of(state: u64) -> Phase {
    match state % 4 {
        0 => Phase::Idle,
        1 => Phase::Head,
        _ => Phase::Request,
    }
}

/// Held while a request is in progress.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.set(Phase::Idle);
        // The connection may be waiting for bytes already, without a limit because of this request.
        self.0.reader.wake();
    }
}

/// How long a connection waits for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) idle: Duration,
    pub(crate) head: Duration,
    pub(crate) stall: Duration,
}

/// Counts connections that ran out of patience, by what they waited for.
pub(crate) type OnTimeout = Arc<dyn Fn(&'static str) + Send + Sync>;

/// A socket whose reads and writes fail with `TimedOut` when the client is too slow.
pub(crate) struct Watched<S> {
    socket: S,
    activity: Arc<Activity>,
    patience: Patience,
    on_timeout: OnTimeout,
    read: Timer,
    /// The state of the activity that `read` was set for.
    read_state: u64,
    write: Timer,
    line: RequestLine,
}

/// Armed at the first wait, disarmed by progress. The sleep is kept and reset, not made anew.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Timer {
    fn arm(&mut self, after: Duration) {
        let deadline = Instant::now() + after;
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(deadline),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline))),
        }
        self.armed = true;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) if self.armed => sleep.as_mut().poll(context),
            _ => Poll::Pending,
        }
    }
}

impl<S> Watched<S> {
    pub(crate) fn new(socket: S, activity: Arc<Activity>, patience: Patience, on_timeout: OnTimeout) -> Self {
        let (read, write) = (Timer::default(), Timer::default());
        let line = RequestLine::default();
        Self { socket, activity, patience, on_timeout, read, read_state: u64::MAX, write, line }
    }

    fn poll_read_timer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.reader.register(context.waker());
        let state = self.activity.state();
        let phase = phase_of(state);
        if state != self.read_state {
            self.read_state = state;
            match phase {
                Phase::Idle => self.read.arm(self.patience.idle),
                Phase::Head => self.read.arm(self.patience.head),
                Phase::Request => self.read.armed = false,
            }
        }
        ready!(self.read.poll(context));
        let waited_for = if phase == Phase::Head { "head" } else { "idle" };
        Poll::Ready(Err(self.out_of_patience(waited_for)))
    }

    fn poll_write_timer(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.write.armed {
            self.write.arm(self.patience.stall);
        }
        ready!(self.write.poll(context));
        Poll::Ready(self.out_of_patience("write"))
    }

    fn out_of_patience(&self, waited_for: &'static str) -> io::Error {
        (self.on_timeout)(waited_for);
        io::Error::new(io::ErrorKind::TimedOut, format!("client too slow: {waited_for}"))
    }

    fn after_write<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write.armed = false;
            return result;
        }
        self.poll_write_timer(context).map(Err)
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads on behalf of the request line, which may grow on its way.
    fn poll_read_line(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.line.has_pending() {
            let mut bytes = [0; 2 << 10];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut read))?;
            self.line.push(read.filled());
        }
        into.put_slice(self.line.take(into.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let is_idle = self.activity.phase() == Phase::Idle;
        if is_idle && !self.line.has_pending() {
            self.line.restart();
        }
        let before = into.filled().len();
        let result = if self.line.is_active() {
            self.poll_read_line(context, into)
        } else {
            Pin::new(&mut self.socket).poll_read(context, into)
        };
        if result.is_pending() {
            return self.poll_read_timer(context);
        }
        if is_idle && into.filled().len() > before {
            self.activity.set(Phase::Head);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.after_write(result, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.after_write(result, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.socket).poll_flush(context);
        self.after_write(result, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.socket).poll_shutdown(context);
        self.after_write(result, context)
    }
}

/// A response's body that ends its request when it has been sent or given up.
pub(crate) struct Guarded<B> {
    pub(crate) body: B,
    /// Only to be dropped with the body.
    pub(crate) _guard: RequestGuard,
}

impl<B: Body + Unpin> Body for Guarded<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
