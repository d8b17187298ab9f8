//! Listening, and stopping again: one accept loop, a bounded number of connections, one task for each.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::asker::PeerAddress;
use crate::connection::{Activity, Guarded, OnTimeout, Patience, Watched};
use crate::listeners::Listeners;
use crate::metrics::Metrics;
use crate::push::otlp;
use crate::push::pushgateway::expose_regularly;
use crate::routes;
use crate::settings::GrpcSettings;
use crate::state::State;
use crate::{Backends, Deps, Settings};

/// Wait after a failed accept (no file descriptor left), so that the loop does not spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}: {source}; choose another address with --listen")]
    Listen {
        /// The address as it was given.
        listen: String,
        /// What the system said.
        source: io::Error,
    },
    /// A listener of the section `push` cannot listen.
    #[error(
        "cannot listen on {listen} for {protocol}: {source}; change push.{protocol} in the configuration"
    )]
    Push {
        /// Whose listener.
        protocol: &'static str,
        /// The address or path as it was given.
        listen: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address of gRPC cannot be listened on.
    #[error("cannot listen for gRPC on {listen}: {source}; choose another address with --otlp-grpc-listen")]
    ListenGrpc {
        /// The address as it was given.
        listen: String,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of pushed groups cannot be made.
    #[error("cannot keep pushed groups in {directory}: {source}")]
    Directory {
        /// The folder.
        directory: String,
        /// What the system said.
        source: io::Error,
    },
    /// The registry refused the server's own metrics.
    #[error("cannot register the server's metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A running server.
#[must_use = "dropping the handle does not stop the server; call stop()"]
pub struct Handle {
    local_addr: SocketAddr,
    grpc_addr: Option<SocketAddr>,
    state: Arc<State>,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
    listeners: Listeners,
    exposing: JoinHandle<()>,
    accepting_grpc: Option<JoinHandle<()>>,
}

impl Handle {
    /// Where it listens, with the port that was taken if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where it listens for gRPC; `None` if it does not.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc_addr
    }

    /// Storage is open: from now on the API answers. Only the first call counts.
    pub fn open(&self, backends: Backends) {
        self.state.open(backends);
    }

    /// Refuses new connections, lets requests in progress end within the drain timeout, then cuts them off.
    pub async fn stop(self) {
        self.stop.cancel();
        let accepting_grpc = async {
            match self.accepting_grpc {
                Some(accepting) => accepting.await,
                None => Ok(()),
            }
        };
        let (ended, ended_grpc) = tokio::join!(self.accepting, accepting_grpc);
        if let Err(error) = ended.and(ended_grpc) {
            tracing::error!(%error, "an accept loop ended by a panic");
        }
        self.listeners.stop().await;
        if let Err(error) = self.exposing.await {
            tracing::error!(%error, "the task of pushed groups ended by a panic");
        }
    }
}

/// Begins to listen. May be called before storage is open: readiness is false and the API answers 503 until
/// [`Handle::open`].
///
/// # Errors
/// If the address cannot be listened on, or the registry has metrics of the same names.
pub async fn start(settings: Settings, deps: Deps) -> Result<Handle, StartError> {
    let listen_error = |source| StartError::Listen { listen: settings.listen.clone(), source };
    let listener = TcpListener::bind(&settings.listen).await.map_err(listen_error)?;
    let local_addr = listener.local_addr().map_err(listen_error)?;
    let grpc = listen_for_grpc(settings.grpc.as_ref()).await?;
    let grpc_addr = grpc.as_ref().and_then(|listener| listener.local_addr().ok());
    let metrics = Metrics::register(&deps.registry)?;
    let directory = settings.push.directory.clone().unwrap_or_default().display().to_string();
    let state = State::new(settings, deps, metrics);
    let state = Arc::new(state.map_err(|source| StartError::Directory { directory, source })?);
    let listeners = Listeners::start(&state).await?;
    let stop = CancellationToken::new();
    let acceptor = Acceptor {
        router: routes::router(&state),
        state: Arc::clone(&state),
        slots: Arc::new(Semaphore::new(state.settings.connections_max)),
        connections: TaskTracker::new(),
        cut_off: CancellationToken::new(),
    };
    let accepting = tokio::spawn(acceptor.run(listener, stop.clone()));
    let exposing = tokio::spawn(expose_regularly(Arc::clone(&state), stop.clone()));
    let accepting_grpc =
        grpc.map(|listener| tokio::spawn(otlp::listener::serve(Arc::clone(&state), listener, stop.clone())));
    Ok(Handle { local_addr, grpc_addr, state, stop, accepting, accepting_grpc, listeners, exposing })
}

async fn listen_for_grpc(settings: Option<&GrpcSettings>) -> Result<Option<TcpListener>, StartError> {
    let Some(GrpcSettings { listen, required }) = settings else { return Ok(None) };
    match TcpListener::bind(listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) if *required => Err(StartError::ListenGrpc { listen: listen.clone(), source }),
        Err(error) => {
            tracing::info!(%error, "OTLP over gRPC is not received: {listen} cannot be listened on");
            Ok(None)
        }
    }
}

struct Acceptor {
    router: Router,
    state: Arc<State>,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    cut_off: CancellationToken,
}

impl Acceptor {
    async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let graceful = GracefulShutdown::new();
        while let Some(accepted) = self.accept(&listener, &stop).await {
            let (socket, peer, slot) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let connection = self.serve(socket, PeerAddress(peer), graceful.watcher());
            let (cut_off, open) = (self.cut_off.clone(), self.state.metrics.connections.clone());
            self.connections.spawn(async move {
                open.inc();
                tokio::select! {
                    () = connection => {}
                    () = cut_off.cancelled() => {}
                }
                open.dec();
                drop(slot);
            });
        }
        drop(listener);
        self.drain(graceful).await;
    }

    /// `None` when it is time to stop.
    async fn accept(
        &self,
        listener: &TcpListener,
        stop: &CancellationToken,
    ) -> Option<io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)>> {
        let next = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
            listener.accept().await.map(|(socket, peer)| (socket, peer, slot))
        };
        tokio::select! {
            () = stop.cancelled() => None,
            accepted = next => Some(accepted),
        }
    }

    fn serve(
        &self,
        socket: TcpStream,
        peer: PeerAddress,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + use<> {
        let settings = &self.state.settings;
        let patience = Patience {
            idle: settings.idle_timeout,
            head: settings.header_timeout,
            stall: settings.stall_timeout,
        };
        let timed_out = self.state.metrics.connections_timed_out.clone();
        let on_timeout: OnTimeout =
            Arc::new(move |waited_for| timed_out.with_label_values(&[waited_for]).inc());
        let activity = Arc::new(Activity::default());
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch Nagle's algorithm off");
        }
        let socket = Watched::new(socket, Arc::clone(&activity), patience, on_timeout);
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (router, guard) = (router.clone(), activity.begin_request());
            async move {
                let response = router.oneshot(request.map(Body::new)).await?;
                Ok::<_, std::convert::Infallible>(response.map(|body| Guarded { body, _guard: guard }))
            }
        });
        let mut builder = http1::Builder::new();
        // Heads are timed by `Watched`; hyper's own timer would also cut idle connections off.
        builder.header_read_timeout(None).max_buf_size(settings.header_bytes_max.max(8 << 10));
        let connection = builder.serve_connection(TokioIo::new(socket), service);
        async move {
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }

    async fn drain(self, graceful: GracefulShutdown) {
        self.connections.close();
        let drained = async {
            graceful.shutdown().await;
            self.connections.wait().await;
        };
        if tokio::time::timeout(self.state.settings.drain_timeout, drained).await.is_err() {
            tracing::warn!(
                connections = self.connections.len(),
                "cutting off requests that did not end in time"
            );
            self.cut_off.cancel();
            self.connections.wait().await;
        }
    }
}
