//! HTTP/2 with prior knowledge, in literal frames.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::harness::Harness;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
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

/// Of SETTINGS.
const HEADER_TABLE_SIZE: u16 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The largest frame that anybody may send without asking.
const FRAME_BYTES_MAX: usize = 16_384;

fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// `POST /flags/?v=2` with a JSON body to come.
fn post(stream: u32) -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x01, 0x06];
    block.extend_from_slice(b"a.test");
    block.extend_from_slice(&[0x04, 0x0b]);
    block.extend_from_slice(b"/flags/?v=2");
    // `content-type`, index 31: 15 and 16 more.
    block.extend_from_slice(&[0x0f, 0x10, 0x10]);
    block.extend_from_slice(b"application/json");
    frame(HEADERS, END_HEADERS, stream, &block)
}

fn body(distinct_id: &str) -> String {
    format!(r#"{{"token":"phc_sdk_fixture_4242","distinct_id":"{distinct_id}"}}"#)
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn next(client: &mut Client) -> Frame {
    let head = client.bytes(9);
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    Frame {
        kind: head[3],
        flags: head[4],
        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
        payload: client.bytes(length),
    }
}

/// Reads until so many streams have ended: their bodies. Every one must be a 200.
fn answers(client: &mut Client, streams: usize) -> BTreeMap<u32, Vec<u8>> {
    let mut bodies = BTreeMap::new();
    let mut ended = 0;
    while ended < streams {
        let frame = next(client);
        match frame.kind {
            HEADERS => {
                // A change of the table's size may come first.
                let status = frame.payload.iter().find(|byte| **byte & 0xe0 != 0x20);
                assert_eq!(status, Some(&0x88), "stream {}", frame.stream);
            }
            DATA => bodies
                .entry(frame.stream)
                .or_insert_with(Vec::new)
                .extend_from_slice(&frame.payload),
            SETTINGS | WINDOW_UPDATE => continue,
            kind => panic!("frame of kind {kind} on stream {}", frame.stream),
        }
        ended += usize::from(frame.flags & END_STREAM != 0);
    }
    bodies
}

fn is_answer(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|value: serde_json::Value| value["flags"].is_object())
}

#[test]
fn many_streams_of_one_packet_are_answered() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let mut packet = [PREFACE, &settings(&[(HEADER_TABLE_SIZE, 0)])].concat();
    let streams: Vec<u32> = (0..64).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        packet.extend_from_slice(&post(*stream));
    }
    // Bodies in the opposite order.
    for stream in streams.iter().rev() {
        packet.extend_from_slice(&frame(DATA, END_STREAM, *stream, body("one").as_bytes()));
    }
    // Room for all answers, whatever they take.
    packet.extend_from_slice(&window_update(0, 1 << 24));
    client.send(packet);
    let bodies = answers(&mut client, streams.len());
    assert!(bodies.keys().copied().eq(streams));
    assert!(bodies.values().all(|body| is_answer(body)));
}

#[test]
fn large_bodies_flow_in_the_windows_that_the_server_opens() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    client.send(PREFACE).send(settings(&[])).send(post(1));
    let mut content = body(&"x".repeat(190));
    content.insert_str(1, &format!("\"ignored\":\"{}\",", "y".repeat(1_900_000)));
    // What both sides start with; the server's SETTINGS and updates add to it.
    let (mut connection, mut stream) = (65_535_i64, 65_535_i64);
    let mut rest = content.as_bytes();
    while !rest.is_empty() {
        let allowed = usize::try_from(connection.min(stream).max(0)).unwrap();
        let now = allowed.min(FRAME_BYTES_MAX).min(rest.len());
        if now == 0 {
            let frame = next(&mut client);
            match frame.kind {
                WINDOW_UPDATE => {
                    let more = i64::from(u32::from_be_bytes(frame.payload[..4].try_into().unwrap()));
                    *(if frame.stream == 0 {
                        &mut connection
                    } else {
                        &mut stream
                    }) += more;
                }
                SETTINGS if frame.flags & ACK != 0 => {}
                SETTINGS => {
                    // They count from then on.
                    client.send(self::frame(SETTINGS, ACK, 0, &[]));
                    for setting in frame.payload.chunks(6) {
                        if setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                            let size = u32::from_be_bytes(setting[2..].try_into().unwrap());
                            stream += i64::from(size) - 65_535;
                        }
                    }
                }
                kind => panic!("frame of kind {kind} before the body has ended"),
            }
            continue;
        }
        let (piece, later) = rest.split_at(now);
        let flags = if later.is_empty() { END_STREAM } else { 0 };
        client.send(frame(DATA, flags, 1, piece));
        (connection, stream) = (connection - now as i64, stream - now as i64);
        rest = later;
    }
    assert!(is_answer(&answers(&mut client, 1)[&1]));
}

#[test]
fn an_answer_keeps_to_the_window_of_its_client() {
    const WINDOW: u32 = 16;
    let server = Harness::start(&[]);
    let mut client = server.client();
    client
        .send(PREFACE)
        .send(settings(&[(INITIAL_WINDOW_SIZE, WINDOW)]))
        .send(post(1))
        .send(frame(DATA, END_STREAM, 1, body("one").as_bytes()));
    let mut content = Vec::new();
    loop {
        let frame = next(&mut client);
        if frame.kind != DATA {
            continue;
        }
        assert!(frame.payload.len() <= WINDOW as usize);
        content.extend_from_slice(&frame.payload);
        if frame.flags & END_STREAM != 0 {
            break;
        }
        if !frame.payload.is_empty() {
            client.send(window_update(1, frame.payload.len() as u32));
        }
    }
    assert!(is_answer(&content));
}

const GOAWAY: u8 = 7;

#[test]
fn an_orderly_end_says_goaway_and_closes() {
    let mut server = Harness::start(&[]);
    let mut client = server.client();
    let request = [&[0x82, 0x86, 0x84, 0x01, 0x06][..], b"a.test"].concat();
    client.send(PREFACE).send(frame(SETTINGS, 0, 0, &[]));
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, &request));
    while next(&mut client).kind != DATA {}
    server.stop();
    let goaway = loop {
        let frame = next(&mut client);
        match frame.kind {
            GOAWAY => break frame,
            // A PING, so that what was sent before the announcement arrived is not lost.
            6 if frame.flags & ACK == 0 => pong(&mut client, &frame.payload),
            _ => {}
        }
    };
    // No error.
    assert_eq!(goaway.payload[4..8], [0; 4]);
}

fn pong(client: &mut Client, payload: &[u8]) {
    client.send(frame(6, ACK, 0, payload));
}
