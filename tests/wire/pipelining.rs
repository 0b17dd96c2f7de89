//! Many HTTP/1.1 requests on the way at once on one connection: each has its own answer, in order, however they were cut
//! into packets.

use std::time::Duration;

use crate::harness::Harness;

/// Long enough for an answer on this machine to arrive, were one sent.
const MOMENT: Duration = Duration::from_millis(300);

fn post(distinct_id: &str) -> String {
    let body = format!(r#"{{"token":"phc_sdk_fixture_4242","distinct_id":"{distinct_id}"}}"#);
    format!(
        "POST /flags/?v=2 HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn get(path: &str, method: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Requests of every kind, with the status of each.
fn mixture() -> Vec<(&'static str, String, u16)> {
    vec![
        ("POST", post("one"), 200),
        ("HEAD", get("/flags?v=2", "HEAD"), 200),
        ("POST", post("two"), 200),
        ("POST", post("three").replace("{\"token\"", "[\"token\""), 400),
        ("GET", get("/nowhere", "GET"), 404),
        ("POST", post("four").replace("_4242", "_4243"), 401),
        ("OPTIONS", get("/flags", "OPTIONS"), 200),
        ("PUT", get("/flags", "PUT"), 405),
        ("GET", get("/", "GET"), 200),
        ("POST", post("five"), 200),
    ]
}

#[test]
fn every_request_of_one_packet_has_its_answer_in_order() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let mixture = mixture();
    // Twice in the same packet: more than hyper answers in one turn.
    let packet: String = mixture
        .iter()
        .chain(&mixture)
        .map(|(_, text, _)| text.as_str())
        .collect();
    client.send(&packet);
    let mut answers = Vec::new();
    for (method, text, status) in mixture.iter().chain(&mixture) {
        let answer = client.answer_to(&format!("{method} "));
        assert_eq!(answer.status, *status, "{text}");
        answers.push(answer);
    }
    let (first, second) = answers.split_at(mixture.len());
    for (one, other) in first.iter().zip(second) {
        assert_eq!(one.headers, other.headers);
    }
    // The connection is as it was.
    assert_eq!(client.request("GET /", &[], b"").text(), "feature flags");
}

#[test]
fn each_answer_is_that_of_its_own_request() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let id = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    let packet: String = (0..64)
        .map(|number| {
            post("somebody").replace("host: a", &format!("host: a\r\nx-request-id: {}", id(number)))
        })
        .collect();
    client.send(packet);
    for number in 0..64 {
        let answer = client.answer_to("POST ");
        assert_eq!(answer.json()["requestId"], id(number));
    }
}

#[test]
fn a_mixture_may_come_byte_by_byte() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let mixture = mixture();
    for (_, text, _) in &mixture {
        for byte in text.bytes() {
            client.send([byte]);
        }
    }
    for (method, text, status) in &mixture {
        assert_eq!(client.answer_to(&format!("{method} ")).status, *status, "{text}");
    }
}

#[test]
fn no_answer_waits_for_the_rest_of_a_later_request() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let last = post("four");
    for cut in [3, 60, last.len() - 1] {
        let (begun, rest) = last.split_at(cut);
        client.send(format!("{}{}{}{begun}", post("one"), post("two"), post("three")));
        for _ in 0..3 {
            assert_eq!(client.answer_to("POST ").status, 200);
        }
        assert!(client.hears_nothing_for(MOMENT));
        client.send(rest);
        assert_eq!(client.answer_to("POST ").status, 200);
    }
}

#[test]
fn answers_before_a_close_are_sent() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let closing = get("/", "GET").replace("host: a", "host: a\r\nconnection: close");
    client.send(format!(
        "{}{}{}{closing}{}",
        post("a"),
        post("b"),
        post("c"),
        post("never")
    ));
    for _ in 0..3 {
        assert_eq!(client.answer_to("POST ").status, 200);
    }
    assert_eq!(client.answer_to("GET ").text(), "feature flags");
    client.expect_close();

    // Garbage ends the connection, after all that came before it.
    let mut client = server.client();
    client.send(format!("{}{}{}\u{1}\r\n\r\n", post("a"), post("b"), post("c")));
    for _ in 0..3 {
        assert_eq!(client.answer_to("POST ").status, 200);
    }
    assert_eq!(client.answer_to("GET ").status, 400);
    client.expect_close();
}

#[test]
fn a_client_that_does_not_read_gets_everything_in_the_end() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    // Far more than sockets hold: the server must stop reading, and go on where it stopped.
    const REQUESTS: usize = 60_000;
    let packet = post("somebody").repeat(REQUESTS).into_bytes();
    let sent = client.send_until_stuck(&packet, MOMENT);
    assert!(sent < packet.len(), "the server has read everything");
    let (mut sender, mut receiver) = client.halves();
    let sending = std::thread::spawn(move || {
        sender.send(&packet[sent..]);
    });
    for _ in 0..REQUESTS {
        assert_eq!(receiver.answer_to("POST ").status, 200);
    }
    sending.join().unwrap();
}
