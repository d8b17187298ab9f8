//! Another server as the source: it is asked by Prometheus' remote read, a few hours at a time, and answers series by series.

use std::time::Duration;

use anyhow::{Context, anyhow};
use http_client::{Client, Method, Request, Response, Settings, Url, header};
use model::{Matcher, UNKNOWN_START_MS};
use stdx::clock::SystemClock;
use wire::prometheus_tsdb::chunk::Samples;
use wire::remote_read::{CHUNKS_CONTENT_TYPE, FrameReader, encode_request, read_chunked, read_samples};

use super::ImportArguments;
use super::intake::{Intake, Place};

/// Asked for at one time: little is lost if a connection breaks.
const SLICE_MS: i64 = 6 * 3_600_000;
const ATTEMPTS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);
/// A server that sends nothing for so long has stopped.
const STALL_MAX: Duration = Duration::from_secs(120);
/// An answer in one message, of servers that know no frames.
const MESSAGE_BYTES_MAX: usize = 512 << 20;
const UNIT: &str = "remote read";

struct Reader<'a> {
    client: Client,
    url: Url,
    intake: &'a mut Intake,
    samples: Samples,
}

/// A range of time, both ends included.
#[derive(Clone, Copy)]
struct Slice {
    start_ms: i64,
    end_ms: i64,
}

pub(super) fn import(url: &str, arguments: &ImportArguments, intake: &mut Intake) -> anyhow::Result<()> {
    let mut url = Url::parse(url).with_context(|| format!("{url:?} is not a URL"))?;
    if !url.path().ends_with("/read") {
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/api/v1/read"));
    }
    let start_ms = arguments.start.context("--from-url needs --start")?;
    let end_ms = arguments.end.unwrap_or_else(|| SystemClock::shared().now_ms());
    let mut queries = intake.filter().selectors().to_vec();
    if queries.is_empty() {
        queries.push(vec![Matcher::new(model::MatchOp::Regex, model::METRIC_NAME, ".+")?]);
    }
    let slices: Vec<Slice> = (start_ms..=end_ms)
        .step_by(SLICE_MS as usize)
        .map(|start_ms| Slice { start_ms, end_ms: end_ms.min(start_ms + SLICE_MS - 1) })
        .collect();
    intake.expect(slices.len() as u64, "time slices");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(Settings::default())?;
    let written = intake.position(UNIT);
    let mut reader = Reader { client, url, intake, samples: Samples::default() };
    for (number, slice) in (1u64..).zip(slices) {
        if number > written {
            for matchers in &queries {
                runtime.block_on(reader.slice_patiently(slice, matchers))?;
            }
            reader.intake.reached(UNIT, number)?;
        }
        reader.intake.advance(1);
    }
    reader.intake.done(UNIT)
}

impl Reader<'_> {
    /// What came before a connection broke comes again, and is a duplicate then.
    async fn slice_patiently(&mut self, slice: Slice, matchers: &[Matcher]) -> anyhow::Result<()> {
        for attempt in 1.. {
            match self.slice(slice, matchers).await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error)) if attempt >= ATTEMPTS_MAX => {
                    return Err(error
                        .context(format!("{} does not answer; start the import again to go on", self.url)));
                }
                Err(Failure::Passing(error)) => {
                    self.intake.remark(&format!("{}: {error:#}; once more", self.url));
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }

    async fn slice(&mut self, slice: Slice, matchers: &[Matcher]) -> Result<(), Failure> {
        let mut request = Request::new(Method::POST, self.url.clone());
        for (name, value) in [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-read-version", "0.1.0"),
        ] {
            request.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        *request.body_mut() = Some(encode_request(slice.start_ms, slice.end_ms, matchers).into());
        let response = self.client.execute(request).await.map_err(|error| Failure::Passing(error.into()))?;
        let status = response.status();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(Failure::Passing(anyhow!("{status}: {}", said(response).await)));
        }
        if !status.is_success() {
            return Err(Failure::Final(anyhow!("{} answered {status}: {}", self.url, said(response).await)));
        }
        let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type.is_some_and(|found| found == CHUNKS_CONTENT_TYPE) {
            self.frames(response, slice).await
        } else {
            self.message(response, slice).await
        }
    }

    async fn frames(&mut self, mut response: Response, slice: Slice) -> Result<(), Failure> {
        let mut frames = FrameReader::new();
        while let Some(bytes) = next_bytes(&mut response).await? {
            frames.push(&bytes);
            while let Some(message) = frames.next_message().map_err(|fault| Failure::Final(fault.into()))? {
                let intake = &mut *self.intake;
                let mut place = Place::default();
                let read = read_chunked(&message, &mut self.samples, |labels, samples| {
                    place = intake.place(Place::default(), labels.as_ref());
                    add(intake, place, samples, slice);
                });
                read.map_err(|fault| Failure::Final(fault.into()))?;
                self.intake.relieve().map_err(Failure::Final)?;
            }
        }
        // A connection that breaks off may look like an end.
        if frames.is_within_message() {
            return Err(Failure::Passing(anyhow!("the answer ended in the middle")));
        }
        Ok(())
    }

    async fn message(&mut self, mut response: Response, slice: Slice) -> Result<(), Failure> {
        let mut body = Vec::new();
        while let Some(bytes) = next_bytes(&mut response).await? {
            if body.len() + bytes.len() > MESSAGE_BYTES_MAX {
                return Err(Failure::Final(anyhow!(
                    "an answer of more than {MESSAGE_BYTES_MAX} bytes; ask for less by --match"
                )));
            }
            body.extend_from_slice(&bytes);
        }
        let mut message = Vec::new();
        let unpacked = wire::remote_write::decompress(&body, MESSAGE_BYTES_MAX, &mut message);
        unpacked.map_err(|fault| Failure::Final(fault.into()))?;
        let intake = &mut *self.intake;
        let mut failed = None;
        let read = read_samples(&message, &mut self.samples, |labels, samples| {
            let place = intake.place(Place::default(), labels.as_ref());
            add(intake, place, samples, slice);
            if failed.is_none() {
                failed = intake.relieve().err();
            }
        });
        read.map_err(|fault| Failure::Final(fault.into()))?;
        failed.map_or(Ok(()), |error| Err(Failure::Final(error)))
    }
}

/// Servers send whole chunks: what is outside of the slice belongs to another.
fn add(intake: &mut Intake, place: Place, samples: &mut Samples, slice: Slice) {
    let within = |timestamp_ms: i64| (slice.start_ms..=slice.end_ms).contains(&timestamp_ms);
    for (timestamp_ms, value) in samples.floats.drain(..) {
        if within(timestamp_ms) {
            intake.float(place, timestamp_ms, value, UNKNOWN_START_MS);
        }
    }
    for (timestamp_ms, value) in samples.histograms.drain(..) {
        if within(timestamp_ms) {
            intake.histogram(place, timestamp_ms, value, UNKNOWN_START_MS);
        }
    }
}

/// Why a slice was not read.
enum Failure {
    /// It may work if it is tried again.
    Passing(anyhow::Error),
    Final(anyhow::Error),
}

async fn next_bytes(response: &mut Response) -> Result<Option<Vec<u8>>, Failure> {
    match tokio::time::timeout(STALL_MAX, response.chunk()).await {
        Ok(Ok(bytes)) => Ok(bytes.map(Into::into)),
        Ok(Err(error)) => Err(Failure::Passing(error.into())),
        Err(_) => Err(Failure::Passing(anyhow!("nothing came for {STALL_MAX:?}"))),
    }
}

async fn said(response: Response) -> String {
    response.text().await.unwrap_or_default().trim().chars().take(300).collect()
}
