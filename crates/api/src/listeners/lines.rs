//! What a line of each protocol becomes: a sample in a batch, a value in the aggregate, or an answer.

use std::mem;
use std::sync::Arc;

use stdx::memory::Reservation;
use storage::WriteBatch;
use wire::opentsdb::Command;
use wire::statsd;

use super::statsd::Statsd;
use super::{Endpoint, noticed};
use crate::push::import::add_graphite;
use crate::push::{Noticed, Refusals, SeriesLabels, Source};

/// A protocol of lines.
#[derive(Clone)]
pub(super) enum LineProtocol {
    Graphite,
    OpenTsdb,
    Statsd(Arc<Statsd>),
}

/// A batch on its way to storage.
pub(super) struct Parcel {
    pub(super) source: Source,
    pub(super) batch: WriteBatch,
    pub(super) noticed: Noticed,
    /// Memory of the batch, while it waits.
    pub(super) _held: Reservation,
}

/// What to do on a connection after a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    Text(String),
    Close,
}

/// What a socket has gathered since it last handed over.
pub(super) struct Gathering {
    labels: SeriesLabels,
    batch: WriteBatch,
    refusals: Refusals,
    bytes: usize,
}

impl Gathering {
    pub(super) fn new() -> Self {
        let labels = SeriesLabels::new(Vec::new());
        Self { labels, batch: WriteBatch::new(), refusals: Refusals::default(), bytes: 0 }
    }

    /// Takes a line without its newline.
    pub(super) fn add(&mut self, endpoint: &Endpoint, line: &[u8]) -> Reply {
        self.bytes += line.len() + 1;
        match &endpoint.lines {
            LineProtocol::Graphite => {
                let now_ms = endpoint.state.deps.clock.now_ms();
                let place = || shown(line);
                add_graphite(line, now_ms, &mut self.labels, &mut self.batch, &mut self.refusals, place);
                Reply::Nothing
            }
            LineProtocol::OpenTsdb => self.add_opentsdb(line),
            LineProtocol::Statsd(aggregate) => {
                self.add_statsd(aggregate, endpoint, line);
                Reply::Nothing
            }
        }
    }

    fn add_opentsdb(&mut self, line: &[u8]) -> Reply {
        let (labels, batch) = (&mut self.labels, &mut self.batch);
        let added = Command::parse(line).map_err(str::to_owned).and_then(|command| match command {
            Command::Nothing => Ok(Reply::Nothing),
            Command::Exit => Ok(Reply::Close),
            Command::Version => Ok(Reply::Text("Kymo, speaking OpenTSDB's telnet put\n".to_owned())),
            Command::Put(put) => {
                labels.begin();
                for tag in put.tags() {
                    let (name, value) = tag?;
                    labels.add(name, value)?;
                }
                let series = labels.series(put.metric, batch);
                batch.add_float(series, put.timestamp_ms, put.value);
                Ok(Reply::Nothing)
            }
        });
        added.unwrap_or_else(|message| {
            let text = format!("put: {message}: {}", shown(line));
            self.refusals.add("invalid", 1, || text.clone());
            Reply::Text(text + "\n")
        })
    }

    fn add_statsd(&mut self, aggregate: &Statsd, endpoint: &Endpoint, line: &[u8]) {
        match statsd::Line::parse(line) {
            Ok(statsd::Line::Nothing) => {}
            Ok(statsd::Line::Event) => self.refusals.ignore("event", 1),
            Ok(statsd::Line::ServiceCheck) => self.refusals.ignore("service_check", 1),
            Ok(statsd::Line::Metric(metric)) => {
                let now_ms = endpoint.state.deps.clock.now_ms();
                if let Err((reason, message)) = aggregate.add(&metric, now_ms) {
                    self.refusals.add(reason, 1, || format!("{}: {message}", shown(line)));
                }
            }
            Err(message) => self.refusals.add("malformed", 1, || format!("{}: {message}", shown(line))),
        }
    }

    /// Notes an item that was not even read.
    pub(super) fn refuse(&mut self, reason: &'static str, text: &str) {
        self.refusals.add(reason, 1, || text.to_owned());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.refusals.is_empty()
    }

    /// Bytes that wait.
    pub(super) fn size_bytes(&self) -> usize {
        self.batch.size_bytes() + self.bytes
    }

    /// Bytes of the batch.
    pub(super) fn batch_bytes(&self) -> u64 {
        self.batch.size_bytes() as u64
    }

    /// Hands over what was gathered. StatsD's values wait in the aggregate; here only what was noticed goes.
    pub(super) fn take(&mut self, endpoint: &Endpoint, held: Reservation) -> Parcel {
        let next = endpoint.state.intake.take_batch();
        Parcel {
            _held: held,
            source: endpoint.source.clone(),
            batch: mem::replace(&mut self.batch, next),
            noticed: noticed(mem::take(&mut self.bytes), mem::take(&mut self.refusals)),
        }
    }
}

/// A line in an error, cut.
fn shown(line: &[u8]) -> String {
    const SHOWN_MAX: usize = 100;
    format!("{:?}", String::from_utf8_lossy(&line[..line.len().min(SHOWN_MAX)]))
}
