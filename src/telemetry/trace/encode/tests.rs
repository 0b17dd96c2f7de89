//! What is written, read with the official definitions.

use std::num::NonZeroU64;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Official;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use super::*;
use crate::span::SpanId;

fn id(number: u64) -> SpanId {
    NonZeroU64::new(number).unwrap()
}

fn span(number: u64, parent: Option<u64>, kind: Kind) -> Span {
    Span {
        id: id(number),
        parent: parent.map(id),
        name: format!("span {number}").into(),
        kind,
        began: Duration::new(1_700_000_000, 1),
        ended: Duration::new(1_700_000_000, 500),
        attributes: vec![
            ("text", "a\u{e9}".into()),
            ("empty", "".into()),
            ("number", Value::Integer(-7)),
            ("truth", true.into()),
        ],
        status: Status::Unset,
    }
}

#[test]
fn the_official_definitions_read_every_field() {
    let failed = Span {
        status: Status::Error("57014".into()),
        ..span(3, Some(2), Kind::Client)
    };
    let traces = [
        Finished {
            trace_id: 0xab,
            state: Some("a=b".into()),
            spans: vec![failed, span(2, Some(1), Kind::Server)],
        },
        Finished {
            trace_id: u128::MAX,
            state: None,
            spans: vec![span(9, None, Kind::Server)],
        },
    ];
    let resource = Resource(vec![("service.name".into(), "flags".into())]);
    let bytes = request(&resource, &traces);
    let read = ExportTraceServiceRequest::decode(&bytes[..]).unwrap();
    // Nothing that the definitions do not know, and nothing twice.
    assert_eq!(read.encoded_len(), bytes.len());
    let [spans] = &read.resource_spans[..] else {
        panic!("{read:?}")
    };
    let attribute = &spans.resource.as_ref().unwrap().attributes[0];
    assert_eq!(attribute.key, "service.name");
    let [scope] = &spans.scope_spans[..] else {
        panic!("{read:?}")
    };
    let [failed, request, alone] = &scope.spans[..] else {
        panic!("{read:?}")
    };
    let scope = scope.scope.as_ref().unwrap();
    assert_eq!(
        (&*scope.name, &*scope.version),
        ("feature-flags", env!("CARGO_PKG_VERSION"))
    );
    let mut trace_id = [0; 16];
    trace_id[15] = 0xab;
    assert_eq!(
        (&failed.trace_id, &alone.trace_id),
        (&trace_id.to_vec(), &vec![0xff; 16])
    );
    assert_eq!((&*failed.trace_state, &*alone.trace_state), ("a=b", ""));
    assert_eq!(failed.parent_span_id, request.span_id);
    assert_eq!(
        (failed.span_id.clone(), alone.parent_span_id.clone()),
        (vec![0, 0, 0, 0, 0, 0, 0, 3], vec![])
    );
    assert_eq!(
        (failed.kind(), request.kind()),
        (SpanKind::Client, SpanKind::Server)
    );
    assert_eq!(failed.start_time_unix_nano, 1_700_000_000_000_000_001);
    assert_eq!(failed.end_time_unix_nano, 1_700_000_000_000_000_500);
    let status = failed.status.as_ref().unwrap();
    assert_eq!((status.code(), &*status.message), (StatusCode::Error, "57014"));
    assert_eq!(request.status, None);
    // Sampled; whether the parent is remote is known, and it is only for the request whose sender is another process.
    assert_eq!([failed.flags, request.flags, alone.flags], [0x101, 0x301, 0x101]);
    let values: Vec<_> = failed
        .attributes
        .iter()
        .map(|attribute| (&*attribute.key, attribute.value.clone().unwrap().value.unwrap()))
        .collect();
    assert_eq!(
        values,
        [
            ("text", Official::StringValue("a\u{e9}".into())),
            ("empty", Official::StringValue(String::new())),
            ("number", Official::IntValue(-7)),
            ("truth", Official::BoolValue(true)),
        ]
    );
}

#[test]
fn what_was_not_taken_is_read() {
    let answer = |rejected_spans, words: &str| {
        ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans,
                error_message: words.to_owned(),
            }),
        }
        .encode_to_vec()
    };
    assert_eq!(rejected(&answer(3, "too old")), Some((3, "too old".into())));
    assert_eq!(rejected(&answer(0, "a warning")), Some((0, "a warning".into())));
    assert_eq!(rejected(&answer(0, "")), None);
    assert_eq!(
        rejected(&ExportTraceServiceResponse::default().encode_to_vec()),
        None
    );
    assert_eq!(rejected(b"\xff\xff"), None);
}
