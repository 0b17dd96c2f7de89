//! One connection: which protocol it speaks, and its requests.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use super::counted::Counted;
use super::registry::{Connection, Open, Order};
use crate::config::ServerSettings;
use crate::http;

/// hyper parses so many headers without a heap allocation; a limit that differs costs one a request.
const HEADER_COUNT_ON_STACK: usize = 100;

/// How an HTTP/1 client never begins: no method has this prefix.
const HTTP2_PREFACE_START: &[u8; 3] = b"PRI";

/// Pings that find dead peers of idle HTTP/2 connections.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);

/// Connection settings, made once and shared by all connections.
#[derive(Clone)]
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocols {
    pub(super) fn new(settings: &ServerSettings) -> Self {
        let mut http1 = http1::Builder::new();
        // Time limits on headers are kept by `watch.rs`.
        http1
            .header_read_timeout(None)
            .max_buf_size(settings.header_bytes_max);
        if settings.header_count_max != HEADER_COUNT_ON_STACK {
            http1.max_headers(settings.header_count_max);
        }
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(settings.http2_streams_max)
            .max_header_list_size(u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(HTTP2_PING_INTERVAL);
        Self { http1, http2 }
    }
}

/// Serves a connection to its end. Errors end it and concern nobody else.
pub(super) async fn serve(stream: TcpStream, protocols: Arc<Protocols>, open: Open) {
    let connection = Arc::clone(&open.connection);
    let speaks_http2 = match first_bytes(&stream, &connection).await {
        Ok(Some(speaks_http2)) => speaks_http2,
        Ok(None) | Err(_) => return,
    };
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&connection)));
    let service = {
        let connection = Arc::clone(&connection);
        // Each request holds its connection, not the process-wide state: that count would be shared by
        // all cores.
        service_fn(move |request: Request<Incoming>| {
            let connection = Arc::clone(&connection);
            async move {
                let _in_flight = connection.begin_request();
                Ok::<_, Infallible>(http::handle(&connection.app, connection.peer, request).await)
            }
        })
    };
    if speaks_http2 {
        connection.note_multiplexed();
        obey(&connection, protocols.http2.serve_connection(io, service)).await;
    } else {
        obey(&connection, protocols.http1.serve_connection(io, service)).await;
    }
}

/// Waits for the first bytes and leaves them in the socket. Whether they begin HTTP/2 with prior
/// knowledge; `None` when the peer closes or an order comes first. A client that sends less than three
/// bytes of the preface in its first packet is taken for HTTP/1; none is known to.
async fn first_bytes(stream: &TcpStream, connection: &Connection) -> io::Result<Option<bool>> {
    let mut bytes = [0; HTTP2_PREFACE_START.len()];
    let mut listening = false;
    poll_fn(|context| {
        if !listening {
            connection.listen(context.waker());
            listening = true;
        }
        if connection.order() > Order::Serve {
            return Poll::Ready(Ok(None));
        }
        let mut buffer = ReadBuf::new(&mut bytes);
        stream.poll_peek(context, &mut buffer).map_ok(|peeked| {
            let begins_http2 = buffer.filled() == HTTP2_PREFACE_START;
            (peeked > 0).then_some(begins_http2)
        })
    })
    .await
}

/// Runs a connection under the orders of the registry.
async fn obey<C: GracefulConnection>(connection: &Connection, protocol: C) {
    let mut protocol = pin!(protocol);
    let mut listening = false;
    let mut draining = false;
    poll_fn(|context| {
        if !listening {
            connection.listen(context.waker());
            listening = true;
        }
        match connection.order() {
            Order::Drain if !draining => {
                draining = true;
                protocol.as_mut().graceful_shutdown();
            }
            Order::Cut => return Poll::Ready(()),
            Order::Serve | Order::Drain => {}
        }
        protocol.as_mut().poll(context).map(drop)
    })
    .await;
}
