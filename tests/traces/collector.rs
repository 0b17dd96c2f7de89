//! A collector: speaks OTLP as it is told, over gRPC and HTTP at the same port, and keeps what it takes.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Far above anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Nothing, ever.
    Silence,
    /// A status of HTTP, or of gRPC.
    Refuse(u16),
}

/// A span with the resource that it came with.
#[derive(Debug, Clone)]
pub struct Received {
    pub span: Span,
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct Kept {
    spans: Vec<Received>,
    /// Headers of every export, taken or not.
    exports: Vec<(Version, HeaderMap)>,
    replies: VecDeque<Reply>,
    /// What is answered when nothing else is said.
    always: Option<Reply>,
}

#[derive(Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
}

pub struct Collector {
    shared: Arc<Shared>,
    pub port: u16,
    _runtime: Runtime,
}

impl Collector {
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// With TLS, as the acceptor says.
    pub fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&serving), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&shared), request));
                    let server = Builder::new(TokioExecutor::new());
                    match tls {
                        None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                        Some(tls) => {
                            // A client that does not trust it goes away.
                            let Ok(stream) = tls.accept(stream).await else {
                                return;
                            };
                            drop(server.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                });
            }
        });
        Self {
            shared,
            port,
            _runtime: runtime,
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next exports are answered so, and all others well.
    pub fn answer(&self, replies: &[Reply]) {
        self.shared
            .kept
            .lock()
            .unwrap()
            .replies
            .extend(replies.iter().cloned());
    }

    /// All exports are answered so.
    pub fn answer_always(&self, reply: Reply) {
        self.shared.kept.lock().unwrap().always = Some(reply);
    }

    /// Waits until `wanted` finds something in what has come so far.
    pub fn wait<T>(
        &self,
        what: &str,
        mut wanted: impl FnMut(&[Received], &[(Version, HeaderMap)]) -> Option<T>,
    ) -> T {
        let mut kept = self.shared.kept.lock().unwrap();
        loop {
            if let Some(found) = wanted(&kept.spans, &kept.exports) {
                return found;
            }
            let (next, waited) = self.shared.changed.wait_timeout(kept, PATIENCE).unwrap();
            kept = next;
            assert!(
                !waited.timed_out(),
                "{what} did not come; came: {:#?}",
                kept.spans
            );
        }
    }

    /// The spans of the trace with a request of that id, once the request's own span is there.
    pub fn trace_of(&self, request_id: &str) -> Trace {
        self.wait(request_id, |spans, _| {
            let own = spans
                .iter()
                .find(|received| received.text("feature_flags.request_id") == request_id)?;
            let id = &own.span.trace_id;
            Some(Trace(
                spans
                    .iter()
                    .filter(|received| received.span.trace_id == *id)
                    .cloned()
                    .collect(),
            ))
        })
    }

    /// Everything that has come.
    pub fn spans(&self) -> Vec<Received> {
        self.shared.kept.lock().unwrap().spans.clone()
    }

    pub fn exports(&self) -> Vec<(Version, HeaderMap)> {
        self.shared.kept.lock().unwrap().exports.clone()
    }
}

/// Spans of one trace.
#[derive(Debug)]
pub struct Trace(pub Vec<Received>);

impl Trace {
    #[track_caller]
    pub fn one(&self, name: &str) -> &Received {
        let mut named = self.0.iter().filter(|received| received.span.name == name);
        match (named.next(), named.next()) {
            (Some(one), None) => one,
            _ => panic!("not one {name} in {:?}", self.names()),
        }
    }

    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.iter().map(|received| &*received.span.name).collect();
        names.sort_unstable();
        names
    }

    /// Names of what is directly below a span.
    pub fn below(&self, parent: &Received) -> Vec<&str> {
        let children = self
            .0
            .iter()
            .filter(|received| received.span.parent_span_id == parent.span.span_id);
        let mut names: Vec<_> = children.map(|received| &*received.span.name).collect();
        names.sort_unstable();
        names
    }
}

impl Received {
    /// An attribute as text; empty when it is not there.
    pub fn text(&self, name: &str) -> String {
        texts(&self.span.attributes).remove(name).unwrap_or_default()
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| {
        let value = match attribute.value.clone()?.value? {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            Value::BoolValue(value) => value.to_string(),
            other => panic!("{other:?}"),
        };
        Some((attribute.key.clone(), value))
    };
    let all: Vec<_> = attributes.iter().filter_map(text).collect();
    let count = all.len();
    let map: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(map.len(), count, "an attribute twice: {attributes:?}");
    map
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    assert_eq!(parts.method, Method::POST);
    let kind = parts.headers[CONTENT_TYPE].to_str().unwrap().to_owned();
    let is_grpc = kind == "application/grpc";
    let message = if is_grpc {
        assert_eq!(parts.version, Version::HTTP_2);
        assert_eq!(
            parts.uri.path(),
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        );
        assert_eq!(parts.headers["te"], "trailers");
        assert_eq!(body[0], 0, "not compressed");
        assert_eq!(
            u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize,
            body.len() - 5
        );
        body.slice(5..)
    } else {
        assert_eq!(kind, "application/x-protobuf");
        assert_eq!(parts.uri.path(), "/v1/traces");
        body
    };
    let export = ExportTraceServiceRequest::decode(message).expect("the official definitions read it");
    let reply = {
        let mut kept = shared.kept.lock().unwrap();
        kept.exports.push((parts.version, parts.headers));
        let reply = kept.replies.pop_front().or_else(|| kept.always.clone());
        if reply.is_none() {
            take(&mut kept, export);
        }
        reply
    };
    shared.changed.notify_all();
    match reply {
        None => Ok(reply_with(is_grpc, 0)),
        Some(Reply::Refuse(status)) => Ok(reply_with(is_grpc, status)),
        Some(Reply::Silence) => std::future::pending().await,
    }
}

fn take(kept: &mut Kept, export: ExportTraceServiceRequest) {
    for group in export.resource_spans {
        let resource = texts(&group.resource.expect("a resource").attributes);
        for scope in group.scope_spans {
            assert_eq!(scope.scope.expect("a scope").name, "feature-flags");
            kept.spans.extend(scope.spans.into_iter().map(|span| Received {
                span,
                resource: resource.clone(),
            }));
        }
    }
}

/// `status`: 0 is success.
fn reply_with(is_grpc: bool, status: u16) -> Response<BoxBody<Bytes, Infallible>> {
    let message = ExportTraceServiceResponse::default().encode_to_vec();
    if !is_grpc {
        let status = if status == 0 { 200 } else { status };
        let body = Full::new(Bytes::from(message)).boxed();
        return Response::builder().status(status).body(body).unwrap();
    }
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    let body = Full::new(framed.freeze()).with_trailers(async { Some(Ok(trailers)) });
    Response::builder()
        .header(CONTENT_TYPE, "application/grpc")
        .body(body.boxed())
        .unwrap()
}
