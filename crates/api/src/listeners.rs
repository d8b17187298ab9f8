//! Listeners of protocols that are not HTTP: Graphite and OpenTSDB lines, StatsD, Zabbix' senders.
//!
//! Map: here they are bound and stopped · `lines` what a line becomes · `tcp`, `datagrams` the sockets · `kernel` what the system throws
//! away before anybody reads it · `statsd` aggregation ·
//! `zabbix` requests and answers in frames.
//!
//! Invariants: a socket is read without ever waiting for storage. Lines gather in batches; between them and storage is a short queue, a protocol
//! each. When it is full, what comes is dropped and counted, over TCP after a second in which there was no room. No client can hold a
//! connection without sending, or memory without bound. Off unless configured.

mod datagrams;
mod kernel;
mod lines;
mod statsd;
mod tcp;
mod zabbix;

use std::io;
use std::path::Path;
use std::sync::Arc;

use stdx::memory::Budget;
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::push::{LineSettings, Noticed, Protocol, Refusals, Seen, Source, begin_store};
use crate::server::StartError;
use crate::state::State;
use datagrams::Datagrams;
use lines::{LineProtocol, Parcel};
use statsd::Statsd;

/// Batches between the sockets of a protocol and storage.
const QUEUE_MAX: usize = 1_024;

/// Listeners that were bound.
pub(crate) struct Listeners {
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What every listener's task needs.
#[derive(Clone)]
struct Common {
    state: Arc<State>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listeners {
    /// Binds what is configured. Nothing is read before storage is open.
    ///
    /// # Errors
    /// If an address or path cannot be listened on.
    pub(crate) async fn start(state: &Arc<State>) -> Result<Self, StartError> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let common = Common { state: Arc::clone(state), stop: stop.clone(), tasks: tasks.clone() };
        let settings = &state.settings.push;
        for (protocol, line_protocol, lines) in [
            (Protocol::Graphite, LineProtocol::Graphite, &settings.graphite),
            (Protocol::OpenTsdb, LineProtocol::OpenTsdb, &settings.opentsdb),
        ] {
            let (queue, parcels) = mpsc::channel(QUEUE_MAX);
            let wants = lines.clone();
            common.bind(&wants, protocol, &line_protocol, &queue).await?;
            common.spawn(write_parcels(Arc::clone(state), parcels));
        }
        let (queue, parcels) = mpsc::channel(QUEUE_MAX);
        let statsd = Statsd::new(settings.statsd.clone(), state.intake.budget(Protocol::Statsd));
        let line_protocol = LineProtocol::Statsd(Arc::clone(&statsd));
        common.bind(&settings.statsd.lines, Protocol::Statsd, &line_protocol, &queue).await?;
        if let Some(path) = &settings.statsd.listen_unix {
            let socket =
                bind_unix(path).map_err(|e| listen_error(Protocol::Statsd, path.display().to_string(), e))?;
            common.spawn_datagrams(socket, Protocol::Statsd, &settings.statsd.lines, &line_protocol, &queue);
        }
        drop(queue);
        common.bind_zabbix(&settings.zabbix).await?;
        common.spawn(write_parcels(Arc::clone(state), parcels));
        if settings.statsd.is_on() {
            common.spawn(statsd::flush_regularly(statsd, Arc::clone(state), stop.clone()));
        }
        Ok(Self { tasks, stop })
    }

    /// Stops reading, and writes what was gathered.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Common {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let opened = self.state.opened.clone();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = opened.cancelled() => task.await,
                () = stop.cancelled() => {}
            }
        });
    }

    async fn bind(
        &self,
        settings: &LineSettings,
        protocol: Protocol,
        lines: &LineProtocol,
        queue: &mpsc::Sender<Parcel>,
    ) -> Result<(), StartError> {
        if let Some(address) = &settings.listen_tcp {
            let listener =
                TcpListener::bind(address).await.map_err(|e| listen_error(protocol, address.clone(), e))?;
            let endpoint = self.endpoint(protocol, settings, lines, queue);
            self.spawn(tcp::accept_lines(listener, endpoint, self.stop.clone(), self.tasks.clone()));
        }
        if let Some(address) = &settings.listen_udp {
            let socket =
                UdpSocket::bind(address).await.map_err(|e| listen_error(protocol, address.clone(), e))?;
            kernel::widen(&socket, protocol, settings.udp_buffer_bytes);
            let endpoint = self.endpoint(protocol, settings, lines, queue);
            match kernel::Drops::of(&socket) {
                Ok(drops) => self.spawn(kernel::watch(drops, endpoint, self.stop.clone())),
                Err(error) => {
                    tracing::warn!(%error, %protocol, "datagrams that the system drops are not counted");
                }
            }
            self.spawn_datagrams(socket, protocol, settings, lines, queue);
        }
        Ok(())
    }

    async fn bind_zabbix(&self, settings: &LineSettings) -> Result<(), StartError> {
        let Some(address) = &settings.listen_tcp else { return Ok(()) };
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|e| listen_error(Protocol::Zabbix, address.clone(), e))?;
        let source = Source::of_listener(Protocol::Zabbix, settings.tenant.clone());
        let (state, stop) = (Arc::clone(&self.state), self.stop.clone());
        let serve = move |socket, peer| {
            let source = Source { address: Some(peer), ..source.clone() };
            zabbix::serve(socket, source, Arc::clone(&state), stop.clone())
        };
        self.spawn(tcp::accept(listener, self.stop.clone(), self.tasks.clone(), serve));
        Ok(())
    }

    fn spawn_datagrams(
        &self,
        socket: impl Datagrams,
        protocol: Protocol,
        settings: &LineSettings,
        lines: &LineProtocol,
        queue: &mpsc::Sender<Parcel>,
    ) {
        let endpoint = self.endpoint(protocol, settings, lines, queue);
        self.spawn(datagrams::receive(socket, endpoint, self.stop.clone()));
    }

    fn endpoint(
        &self,
        protocol: Protocol,
        settings: &LineSettings,
        lines: &LineProtocol,
        queue: &mpsc::Sender<Parcel>,
    ) -> Endpoint {
        let source = Source::of_listener(protocol, settings.tenant.clone());
        Endpoint { state: Arc::clone(&self.state), source, lines: lines.clone(), queue: queue.clone() }
    }
}

/// What a socket's task needs.
#[derive(Clone)]
struct Endpoint {
    state: Arc<State>,
    source: Source,
    lines: LineProtocol,
    queue: mpsc::Sender<Parcel>,
}

impl Endpoint {
    /// The memory of the protocol.
    fn budget(&self) -> &Arc<Budget> {
        self.state.intake.budget(self.source.protocol)
    }

    /// Counts what was thrown away, in metrics and with its source.
    fn dropped(&self, reason: &'static str, items: usize) {
        let state = &self.state;
        state.metrics.push.count_dropped(self.source.protocol, reason, items);
        let mut refusals = Refusals::default();
        refusals.add(reason, items, || format!("{items} items were dropped: {}", reason.replace('_', " ")));
        let seen = Seen::of(0, 0, &refusals, None);
        state.intake.sources.record(self.source.clone(), &seen, state.deps.clock.now_ms());
    }
}

/// Writes what the sockets of a protocol have gathered. What has come meanwhile shares one sync of the disk.
async fn write_parcels(state: Arc<State>, mut parcels: mpsc::Receiver<Parcel>) {
    let mut together = Vec::new();
    while parcels.recv_many(&mut together, QUEUE_MAX).await > 0 {
        let (state, parcels) = (Arc::clone(&state), std::mem::take(&mut together));
        let written = tokio::task::spawn_blocking(move || write_together(&state, parcels));
        if let Err(error) = written.await {
            tracing::error!(%error, "writing what a listener gathered panicked");
        }
    }
}

fn write_together(state: &State, parcels: Vec<Parcel>) {
    let begin = |parcel: Parcel| {
        let Parcel { source, mut batch, noticed, .. } = parcel;
        let (tenant, protocol, samples) = (source.tenant.clone(), source.protocol, batch.sample_count());
        let storing = begin_store(state, &tenant, source, &mut batch, noticed);
        state.intake.give_back(batch);
        (storing, protocol, samples)
    };
    let begun: Vec<_> = parcels.into_iter().map(begin).collect();
    for (storing, protocol, samples) in begun {
        if let Err(error) = storing.finish(state) {
            state.metrics.push.count_dropped(protocol, "not_written", samples);
            tracing::warn!(%protocol, error = error.message(), samples, "what a listener gathered is not written");
        }
    }
}

fn listen_error(protocol: Protocol, listen: String, source: io::Error) -> StartError {
    StartError::Push { protocol: protocol.as_str(), listen, source }
}

/// Binds a Unix datagram socket that anybody on this machine may write to; one that a process before left behind is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixDatagram> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let socket = UnixDatagram::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(socket)
}

/// What a connection or datagram noticed beside its samples.
fn noticed(bytes: usize, refusals: crate::push::Refusals) -> Noticed {
    Noticed { bytes, refusals }
}
