//! HTTP/2 with prior knowledge, in literal frames.

use crate::harness::Harness;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn requests_are_answered_on_their_streams() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    // `:method GET`, `:scheme http`, `:path /` from the static table, then a literal `:authority`.
    let request = [&[0x82, 0x86, 0x84, 0x01, 0x06][..], b"a.test"].concat();
    client.send(PREFACE).send(frame(SETTINGS, 0, 0, &[]));
    for stream in [1, 3] {
        client.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, &request));
    }
    let mut bodies = Vec::new();
    let mut ok = 0;
    while bodies.len() < 2 {
        let head = client.bytes(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = client.bytes(length);
        match head[3] {
            // `:status 200` of the static table.
            HEADERS => ok += u32::from(payload[0] == 0x88),
            DATA if !payload.is_empty() => {
                bodies.push((stream, String::from_utf8(payload).unwrap()));
            }
            _ => {}
        }
    }
    bodies.sort();
    assert_eq!(
        bodies,
        [(1, "feature flags".to_owned()), (3, "feature flags".to_owned())]
    );
    assert_eq!(ok, 2);
}
