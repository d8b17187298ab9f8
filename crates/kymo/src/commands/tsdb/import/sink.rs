//! Where an import goes: a data folder, or a running server by remote write.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http_client::{Client, Method, Request, Settings, StatusCode, Url};
use model::{Exemplar, FloatHistogram, TenantId};
use storage::{Appender, BatchSeries, WriteBatch};
use tokio::runtime::Runtime;
use tsdb::Tsdb;
use wire::remote_write::encode::{Encoder, SeriesContent};

/// A server that does not take a request at first is asked so often, after pauses that grow from the first to the longest.
const ATTEMPTS_MAX: u32 = 12;
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Samples of one request.
const REQUEST_SAMPLES_MAX: usize = 20_000;
/// How much is shown of what a server says.
const ANSWER_SHOWN_CHARS_MAX: usize = 300;

/// Samples that were not taken, and why the first of them was not.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) count: u64,
    pub(super) text: String,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) sample_count: u64,
    pub(super) refused: Option<Refusal>,
}

/// Where an import goes.
pub(super) enum Sink {
    Folder { tsdb: Arc<Tsdb>, tenant: TenantId },
    Server(Box<Server>),
}

impl Sink {
    pub(super) fn folder(directory: &Path, tenant: TenantId) -> anyhow::Result<Self> {
        let tsdb = crate::commands::tsdb::open(directory.to_owned())?;
        Ok(Self::Folder { tsdb, tenant })
    }

    pub(super) fn server(url: &str, tenant: &TenantId) -> anyhow::Result<Self> {
        Ok(Self::Server(Box::new(Server::new(url, tenant)?)))
    }

    /// Writes a batch durably.
    ///
    /// # Errors
    /// If nothing can be written any more. What was refused is told in the answer.
    pub(super) fn write(&mut self, batch: &WriteBatch) -> anyhow::Result<Written> {
        match self {
            Self::Folder { tsdb, tenant } => write_to_folder(tsdb, tenant, batch),
            Self::Server(server) => server.write(batch),
        }
    }

    /// What was written into a folder becomes blocks, so that the next to open it has nothing to replay.
    ///
    /// # Errors
    /// If that fails.
    pub(super) fn close(&mut self) -> anyhow::Result<()> {
        if let Self::Folder { tsdb, .. } = self {
            tsdb.stop()?;
        }
        Ok(())
    }
}

fn write_to_folder(tsdb: &Arc<Tsdb>, tenant: &TenantId, batch: &WriteBatch) -> anyhow::Result<Written> {
    let appended = match tsdb.append_durably(tenant, batch) {
        // The head is full: what is in it goes to disk, and then there is room.
        Err(_) => {
            tsdb.flush()?;
            tsdb.append_durably(tenant, batch)?
        }
        Ok(appended) => appended,
    };
    let refused = appended.rejected.first().map(|first| {
        let series = batch.series(first.series).to_labels();
        let text = format!("{series} at {}: {}", first.timestamp_ms, first.reason.message());
        Refusal { count: appended.rejected.len() as u64, text }
    });
    Ok(Written { sample_count: appended.accepted_count as u64, refused })
}

/// A server that takes remote write.
pub(super) struct Server {
    client: Client,
    url: Url,
    tenant: String,
    runtime: Runtime,
}

/// Why a request has to be sent again, or need not be.
enum Sent {
    Taken,
    /// The server said no to some or all of it, and will say so again.
    Refused(String),
    /// It may work later.
    Later(String),
}

impl Server {
    fn new(url: &str, tenant: &TenantId) -> anyhow::Result<Self> {
        let mut url = Url::parse(url).with_context(|| format!("{url:?} is not a URL"))?;
        if !url.path().ends_with("/write") {
            let base = url.path().trim_end_matches('/').to_owned();
            url.set_path(&format!("{base}/api/v1/write"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::new(Settings::default())?;
        Ok(Self { client, url, tenant: tenant.to_string(), runtime })
    }

    fn write(&mut self, batch: &WriteBatch) -> anyhow::Result<Written> {
        let mut written = Written::default();
        for (sample_count, body) in requests(batch) {
            match self.send(&body)? {
                None => written.sample_count += sample_count,
                // Others may be in, but which ones the answer does not say in a form to rely on.
                Some(text) => {
                    let text = format!("of a request with {sample_count} samples: {text}");
                    let refusal = written.refused.get_or_insert(Refusal { count: 0, text });
                    refusal.count += sample_count;
                }
            }
        }
        Ok(written)
    }

    /// Sends until it is taken or refused; what the server said if it was refused.
    fn send(&self, body: &[u8]) -> anyhow::Result<Option<String>> {
        let mut pause = PAUSE_FIRST;
        for attempt in 1.. {
            match self.runtime.block_on(self.post(body))? {
                Sent::Taken => return Ok(None),
                Sent::Refused(text) => return Ok(Some(text)),
                Sent::Later(text) if attempt >= ATTEMPTS_MAX => {
                    bail!("{} does not take samples: {text}; start the import again to go on", self.url)
                }
                Sent::Later(_) => {
                    self.runtime.block_on(tokio::time::sleep(pause));
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        Ok(None)
    }

    async fn post(&self, body: &[u8]) -> anyhow::Result<Sent> {
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.timeout_mut() = Some(REQUEST_TIMEOUT);
        for (name, value) in [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", "0.1.0"),
            (model::tenant::TENANT_HEADER, &self.tenant),
        ] {
            let value = value.parse().context("the tenant's name cannot stand in a header")?;
            request.headers_mut().insert(name, value);
        }
        *request.body_mut() = Some(body.to_vec().into());
        let response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) => return Ok(Sent::Later(error.to_string())),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(Sent::Taken);
        }
        let said = response.text().await.unwrap_or_default();
        let said: String = said.trim().chars().take(ANSWER_SHOWN_CHARS_MAX).collect();
        match status {
            StatusCode::BAD_REQUEST => Ok(Sent::Refused(said)),
            StatusCode::TOO_MANY_REQUESTS => Ok(Sent::Later(format!("{status}: {said}"))),
            status if status.is_server_error() => Ok(Sent::Later(format!("{status}: {said}"))),
            status => bail!("{} answered {status}: {said}", self.url),
        }
    }
}

/// What a batch has of one series.
#[derive(Default)]
struct Content {
    floats: Vec<(i64, f64)>,
    histograms: Vec<(i64, FloatHistogram)>,
    exemplars: Vec<Exemplar>,
}

/// Bodies that hold the batch together, each with the number of its samples.
fn requests(batch: &WriteBatch) -> Vec<(u64, Vec<u8>)> {
    let mut of_series: Vec<Content> = Vec::new();
    of_series.resize_with(batch.series_count(), Content::default);
    for (series, timestamp_ms, value) in batch.floats() {
        of_series[series as usize].floats.push((timestamp_ms, value));
    }
    for one in batch.histograms() {
        of_series[one.series as usize].histograms.push((one.timestamp_ms, one.histogram.clone()));
    }
    for one in batch.exemplars() {
        of_series[one.series as usize].exemplars.push(one.exemplar.clone());
    }
    let (mut bodies, mut encoder, mut sample_count) = (Vec::new(), Encoder::new(), 0);
    for (series, content) in of_series.iter().enumerate() {
        let samples = content.floats.len() + content.histograms.len();
        if samples == 0 && content.exemplars.is_empty() {
            continue;
        }
        let slices = SeriesContent {
            floats: &content.floats,
            histograms: &content.histograms,
            exemplars: &content.exemplars,
        };
        encoder.series(batch.series(series as BatchSeries), slices);
        sample_count += samples;
        if sample_count >= REQUEST_SAMPLES_MAX {
            bodies.push((sample_count as u64, encoder.compress()));
            encoder.clear();
            sample_count = 0;
        }
    }
    for (metric, metadata) in batch.metadata() {
        encoder.metadata(metric, metadata);
    }
    if !encoder.as_bytes().is_empty() {
        bodies.push((sample_count as u64, encoder.compress()));
    }
    bodies
}
