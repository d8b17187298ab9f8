//! Zabbix' senders over TCP: frames with JSON in, each answered when its values are durable, with how many were taken.
//!
//! Each frame goes the way of a request: a slot of the protocol's lane, memory before it is used, decompression within the limit. What is
//! no frame, or none that is taken, is answered with a reason, and the connection ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use wire::zabbix::{self, Header, Key};

use crate::error::ApiError;
use crate::push::{Encoding, Filling, Items, Message, SeriesLabels, Source, receive_message};
use crate::state::State;

/// The label of an item's host.
const HOST_LABEL: &str = "host";
/// Memory for a frame is asked for in steps of this size, as its data come: its header may lie.
const STEP_BYTES: usize = 64 << 10;

/// Answers frames until the client goes, is silent for too long, or it is time to stop.
pub(super) async fn serve(mut socket: TcpStream, source: Source, state: Arc<State>, stop: CancellationToken) {
    let mut buffer = Vec::new();
    loop {
        let frame = tokio::select! {
            () = stop.cancelled() => return,
            frame = read_frame(&mut socket, &mut buffer, &source, &state) => frame,
        };
        let answer = match frame {
            Ok(None) => return,
            Ok(Some(message)) => take(&state, message).await,
            Err(refused) => Err(refused),
        };
        let (bytes, goes_on) = match answer {
            Ok(bytes) => (bytes, true),
            Err(why) => {
                tracing::debug!(%why, address = ?source.address, "a Zabbix sender is refused");
                (zabbix::refusal(&why), false)
            }
        };
        let patience = state.settings.stall_timeout;
        let written = tokio::time::timeout(patience, socket.write_all(&bytes)).await;
        if !goes_on || !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

/// The next frame; `None` at the end of the connection, whatever ended it. The error is said to the client.
async fn read_frame(
    socket: &mut TcpStream,
    buffer: &mut Vec<u8>,
    source: &Source,
    state: &State,
) -> Result<Option<Message>, String> {
    let settings = &state.settings;
    // Between frames a client may be silent for long, within one it may not.
    let mut end = Instant::now() + settings.idle_timeout;
    let header = loop {
        if let Some(header) = Header::parse(buffer)? {
            break header;
        }
        if !read_more(socket, buffer, end, settings.idle_timeout).await {
            return Ok(None);
        }
        end = end.min(Instant::now() + settings.stall_timeout);
    };
    let (data_max, plain_max) = (settings.write_bytes_max, settings.write_decompressed_bytes_max);
    let data_bytes = usize::try_from(header.data_bytes).unwrap_or(usize::MAX);
    if data_bytes > data_max || usize::try_from(header.plain_bytes).unwrap_or(usize::MAX) > plain_max {
        return Err(format!(
            "the frame is larger than {data_max} bytes, or {plain_max} decompressed: send less at a time"
        ));
    }
    let frame_bytes = header.header_bytes + data_bytes;
    let mut held = state.intake.budget(source.protocol).reserve_none();
    let end = Instant::now() + settings.body_timeout;
    while buffer.len() < frame_bytes {
        if buffer.len() as u64 + STEP_BYTES as u64 > held.bytes() {
            held.grow(STEP_BYTES as u64).map_err(|error| error.to_string())?;
        }
        if !read_more(socket, buffer, end, settings.stall_timeout).await {
            return Ok(None);
        }
    }
    let rest = buffer.split_off(frame_bytes);
    let frame = Bytes::from(std::mem::replace(buffer, rest));
    let encoding = if header.is_compressed { Encoding::Deflate } else { Encoding::Identity };
    let body = frame.slice(header.header_bytes..);
    Ok(Some(Message { source: source.clone(), encoding, body, held }))
}

/// Whether something came in time.
async fn read_more(socket: &mut TcpStream, buffer: &mut Vec<u8>, end: Instant, patience: Duration) -> bool {
    let deadline = end.min(Instant::now() + patience);
    buffer.reserve(4 << 10);
    let read: Result<io::Result<usize>, _> = timeout_at(deadline, socket.read_buf(buffer)).await;
    matches!(read, Ok(Ok(1..)))
}

/// Writes what is in a frame; yields the answer, or why there is none.
async fn take(state: &Arc<State>, message: Message) -> Result<Vec<u8>, String> {
    let started = state.deps.clock.monotonic();
    let received = receive_message(state, message, fill).await;
    let received = received.map_err(|error| error.message().to_owned())?;
    let elapsed = state.deps.clock.monotonic().saturating_sub(started);
    Ok(zabbix::answer(received.accepted_count, received.refusals.count(), elapsed.as_secs_f64()))
}

fn fill(filling: &mut Filling<'_>) -> Result<(), ApiError> {
    let body = std::mem::take(&mut filling.body);
    let mut labels = SeriesLabels::new(Vec::new());
    let mut items = Items::default();
    let read = zabbix::read(&body, |number, item| {
        let added = item.and_then(|item| add(filling, item, &mut labels));
        items.note(filling, number, added)
    });
    items.end(filling, read)?;
    filling.body = body;
    Ok(())
}

fn add(filling: &mut Filling<'_>, item: &zabbix::Item<'_>, labels: &mut SeriesLabels) -> Result<(), String> {
    let key = Key::parse(&item.key)?;
    labels.begin();
    labels.add(HOST_LABEL, &item.host)?;
    for label in key.labels() {
        let (name, value) = label?;
        labels.add(name, &value)?;
    }
    let timestamp_ms = item.timestamp_ms.unwrap_or(filling.now_ms);
    let series = labels.series(key.name, filling.batch);
    filling.batch.add_float(series, timestamp_ms, item.value);
    Ok(())
}
