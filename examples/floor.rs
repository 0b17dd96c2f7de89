//! The floor of comparisons: a bare hyper server that reads a request and sends the same bytes to everyone.
//!
//! It has the runtime, the connection settings, the allocator and the build profile of the real server, and reads the same
//! environment, so the difference between the two is the cost of our own work.
//!
//! ```text
//! floor --address 127.0.0.1:0 --body FILE [--header 'name: value']... [--listeners N]
//! ```
//!
//! `--listeners`: instead of one multi-thread runtime, so many threads, each with a runtime and a listening socket of its own
//! (`SO_REUSEPORT`). It shows what that would save the server; `ARCHITECTURE.md` has the answer.
//!
//! Prints `listening on http://ADDRESS` when it takes connections and runs until it is killed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use feature_flags::config::{Config, Environment};
use feature_flags::server::runtime;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

struct Answer {
    headers: HeaderMap,
    body: Bytes,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let (address, answer, listeners) = parse_options()?;
    // Every connection borrows it for as long as the process lives.
    let answer: &'static Answer = Box::leak(Box::new(answer));
    let settings = Config::read(&Environment)?.server;
    let mut http1 = http1::Builder::new();
    // As the server has it: no timer for each request, and a limited buffer.
    http1
        .header_read_timeout(None)
        .max_buf_size(settings.header_bytes_max);
    let Some(listeners) = listeners else {
        let listen = async { TcpListener::bind(address).await };
        return runtime::build(settings.worker_threads)?.block_on(serve(listen, http1, answer));
    };
    let threads: Vec<_> = (0..listeners)
        .map(|_| {
            let http1 = http1.clone();
            std::thread::spawn(move || -> Result<(), String> {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| error.to_string())?;
                runtime
                    .block_on(serve(async { shared(address) }, http1, answer))
                    .map_err(|error| error.to_string())
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}

/// One of several sockets that listen on the same address.
fn shared(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn parse_options() -> Result<(SocketAddr, Answer, Option<usize>), Failure> {
    use lexopt::prelude::*;

    let (mut address, mut body, mut headers, mut listeners) = (None, None, HeaderMap::new(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("address") => address = Some(parser.value()?.parse()?),
            Long("body") => body = Some(std::fs::read(parser.value()?)?),
            Long("listeners") => listeners = Some(parser.value()?.parse()?),
            Long("header") => {
                let line = parser.value()?.string()?;
                let (name, value) = line.split_once(": ").ok_or("--header takes 'name: value'")?;
                headers.append(name.parse::<HeaderName>()?, value.parse::<HeaderValue>()?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let body = Bytes::from(body.ok_or("--body is missing")?);
    let answer = Answer { headers, body };
    Ok((address.ok_or("--address is missing")?, answer, listeners))
}

async fn serve(
    listen: impl Future<Output = std::io::Result<TcpListener>>,
    http1: http1::Builder,
    answer: &'static Answer,
) -> Result<(), Failure> {
    let listener = listen.await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(move |request| reply(request, answer));
        let connection = http1.serve_connection(TokioIo::new(stream), service);
        // A client that goes away ends its connection with an error; the next one is not concerned.
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

async fn reply(request: Request<Incoming>, answer: &Answer) -> Result<Response<Full<Bytes>>, Infallible> {
    // The body is read to its end and dropped, as any server of POST requests must.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(answer.body.clone()));
    response.headers_mut().clone_from(&answer.headers);
    Ok(response)
}
