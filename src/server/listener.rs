//! Accepts connections until told to stop, then drains them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval, sleep, timeout};

use super::connection::{Protocols, serve};
use super::registry::Registry;
use super::watch::{Limits, watch};
use crate::config::ServerSettings;
use crate::http::AppState;
use crate::telemetry::log;

/// Accepting fails for want of descriptors or memory; trying again at once would only burn the processor.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A bound listener.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    settings: ServerSettings,
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every connection ended by itself.
    Complete,
    /// So many were still open at the deadline and were closed.
    Cut(usize),
}

impl Server {
    /// Binds `settings.address`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(settings: &ServerSettings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.address).await?;
        Ok(Self {
            listener,
            settings: settings.clone(),
        })
    }

    /// The address in use, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is ready; then closes the readiness gate, serves on for the shutdown delay,
    /// stops accepting, lets requests in flight end and closes what is left at the deadline. Dropping the
    /// future stops accepting and leaves open connections to their tasks.
    pub async fn run(self, app: Arc<AppState>, stop: impl Future<Output = ()>) -> Drained {
        let Self { listener, settings } = self;
        let registry = Arc::new(Registry::new());
        let limits = Limits {
            header_read: settings.header_read_timeout,
            keep_alive: settings.keep_alive_timeout,
        };
        let _helpers = [
            AbortOnDrop(tokio::spawn(watch(Arc::clone(&registry), limits)).abort_handle()),
            AbortOnDrop(tokio::spawn(beat(Arc::clone(&app))).abort_handle()),
        ];
        let stopped = async {
            stop.await;
            app.readiness.close();
            sleep(settings.shutdown_delay).await;
        };
        tokio::select! {
            biased;
            () = stopped => {}
            () = accept(&listener, &settings, &app, &registry) => {}
        }
        drop(listener);
        registry.drain();
        match timeout(settings.drain_timeout, registry.wait_empty()).await {
            Ok(()) => Drained::Complete,
            Err(_) => Drained::Cut(registry.cut()),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    settings: &ServerSettings,
    app: &Arc<AppState>,
    registry: &Arc<Registry>,
) {
    let protocols = Arc::new(Protocols::new(settings));
    let places = Arc::new(Semaphore::new(settings.max_connections));
    loop {
        let place = Arc::clone(&places)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let (stream, peer) = next(listener).await;
        // Answers are written whole, so waiting to fill a packet only delays them. Failure costs latency.
        let _ = stream.set_nodelay(true);
        let open = registry.open(Arc::clone(app), peer.ip(), Instant::now());
        let protocols = Arc::clone(&protocols);
        tokio::spawn(async move {
            serve(stream, protocols, open).await;
            drop(place);
        });
    }
}

async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut reported = false;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The peer gave up before it was accepted: nothing of ours is short.
            Err(error) if concerns_peer(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut reported, true) {
                    log::warn(format_args!("accepting a connection failed: {error}"));
                }
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

fn concerns_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

async fn beat(app: Arc<AppState>) {
    let mut beats = interval(app.heartbeat.interval());
    loop {
        beats.tick().await;
        app.heartbeat.beat(Instant::now());
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
