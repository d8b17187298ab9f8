//! Bodies in both directions: requests read within limits of size and time, responses rendered as they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::Frame;
use http_body_util::BodyExt;
use stdx::cancel::Cancel;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::Settings;
use crate::error::{ApiError, ErrorType};
use crate::work::CancelOnDrop;

/// A body of pieces as they come, or broken off with what went wrong; when the client has gone, `cancel` tells who makes them.
pub(crate) fn received(pieces: mpsc::Receiver<Result<Bytes, String>>, cancel: Cancel) -> Body {
    let source = (pieces, CancelOnDrop(cancel));
    let pieces = futures_util::stream::unfold(source, |(mut pieces, guard)| async move {
        pieces.recv().await.map(|piece| (piece, (pieces, guard)))
    });
    // Who compresses an answer asks once more after its end.
    Body::from_stream(pieces.fuse())
}

/// Reads a whole body of at most `bytes_max`.
///
/// # Errors
/// 413 if it is larger, 408 if it stalls or trickles for too long, 400 if the connection breaks.
pub(crate) async fn read_body(body: Body, bytes_max: usize, settings: &Settings) -> Result<Bytes, ApiError> {
    read_body_with(body, bytes_max, settings, |_| Ok(())).await
}

/// As [`read_body`]; `grow` is told before so many bytes more are held.
///
/// # Errors
/// As [`read_body`], and what `grow` says.
pub(crate) async fn read_body_with(
    mut body: Body,
    bytes_max: usize,
    settings: &Settings,
    mut grow: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Bytes, ApiError> {
    let too_large = || {
        let message = format!("the body is larger than the limit of {bytes_max} bytes");
        ApiError::new(ErrorType::PayloadTooLarge, message)
    };
    // A declared length is believed to refuse early, and to allocate no more than a client may have for nothing.
    let declared = http_body::Body::size_hint(&body).lower();
    if declared > bytes_max as u64 {
        if declared <= (bytes_max + DISCARDED_BYTES_MAX) as u64 {
            discard(body, settings).await;
        }
        return Err(too_large());
    }
    let end = Instant::now() + settings.body_timeout;
    let mut collected = Vec::with_capacity((declared as usize).min(CHUNK_BYTES));
    loop {
        let deadline = end.min(Instant::now() + settings.stall_timeout);
        let Ok(frame) = timeout_at(deadline, body.frame()).await else {
            return Err(ApiError::new(ErrorType::RequestTimeout, "the body did not arrive in time"));
        };
        let Some(frame) = frame else { return Ok(Bytes::from(collected)) };
        let frame = frame.map_err(|e| ApiError::bad_data(format!("cannot read the body: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = if collected.len() + data.len() > bytes_max { Err(too_large()) } else { grow(data.len()) };
        if let Err(refused) = room {
            discard(body, settings).await;
            return Err(refused);
        }
        collected.extend_from_slice(&data);
    }
}

/// Of a body that is refused, so much is still read.
const DISCARDED_BYTES_MAX: usize = 4 << 20;

/// Reads what a client is still sending: if the connection were closed on it, it would see a broken pipe instead of the answer.
pub(crate) async fn discard(mut body: Body, settings: &Settings) {
    let end = Instant::now() + settings.stall_timeout;
    let mut bytes = 0;
    while bytes < DISCARDED_BYTES_MAX {
        match timeout_at(end, body.frame()).await {
            Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
            // At its end, broken, or too slow: there is nobody to be kind to.
            _ => return,
        }
    }
}

/// How much is rendered at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Something that is written piece by piece.
pub(crate) trait Render: Send + Unpin + 'static {
    /// Appends a little (far less than a chunk, as a rule). Returns whether there is more.
    fn render(&mut self, out: &mut Vec<u8>) -> bool;
}

/// Renders as the client reads: a large result is never held twice, and a slow client holds no thread.
pub(crate) fn streamed(mut source: impl Render) -> Body {
    let (first, more) = next_chunk(&mut source);
    if !more {
        // The usual case: it fits one chunk, and the response can tell its length.
        return Body::from(first);
    }
    Body::new(Streamed { first: Some(first), source: Some(source) })
}

fn next_chunk(source: &mut impl Render) -> (Bytes, bool) {
    let mut out = Vec::with_capacity(4 << 10);
    let mut more = true;
    while more && out.len() < CHUNK_BYTES {
        more = source.render(&mut out);
    }
    (Bytes::from(out), more)
}

struct Streamed<R> {
    first: Option<Bytes>,
    source: Option<R>,
}

impl<R: Render> http_body::Body for Streamed<R> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        let (chunk, more) = next_chunk(source);
        if !more {
            self.source = None;
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}
