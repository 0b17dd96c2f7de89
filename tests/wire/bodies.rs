//! Reading bodies (`http.md` 2.4). PUT on a flag route reads its body and then answers 405, so that these
//! tests depend on nothing that comes after.

use crate::client::Client;
use crate::harness::Harness;

const LIMIT: usize = 2 * 1024 * 1024;
const TOO_LARGE: &str = "Failed to buffer the request body: length limit exceeded";
const BROKEN: &str = "Failed to buffer the request body: error reading a body from connection";

fn chunked(line: &str, chunks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in chunks {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn assert_usable(client: &mut Client) {
    assert_eq!(client.request("GET /", &[], b"").text(), "feature flags");
}

#[test]
fn a_body_at_the_limit_passes() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    assert_eq!(client.request("PUT /flags", &[], &vec![b' '; LIMIT]).status, 405);
    assert_ne!(client.request("POST /flags", &[], &vec![b' '; LIMIT]).status, 413);
    assert_usable(&mut client);
}

#[test]
fn one_byte_more_is_413() {
    let server = Harness::start(&[]);
    for method in ["PUT", "POST", "GET"] {
        let mut client = server.client();
        let answer = client.request(
            &format!("{method} /flags"),
            &["origin: null"],
            &vec![b' '; LIMIT + 1],
        );
        assert_eq!((answer.status, answer.text()), (413, TOO_LARGE), "{method}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("null"));
    }
}

#[test]
fn a_length_beyond_patience_is_refused_without_the_body() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    client.send("POST /flags HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000000\r\n\r\n");
    let answer = client.answer_to("POST /flags");
    assert_eq!((answer.status, answer.text()), (413, TOO_LARGE));
    client.expect_close();
}

#[test]
fn chunks_count_without_their_framing() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let half = vec![b' '; LIMIT / 2];
    assert_eq!(
        client
            .send(chunked("PUT /flags", &[&half, &half]))
            .answer_to("PUT")
            .status,
        405
    );
    let answer = client
        .send(chunked("PUT /flags", &[&half, &half, b" "]))
        .answer_to("PUT");
    assert_eq!((answer.status, answer.text()), (413, TOO_LARGE));
    assert_usable(&mut client);
}

#[test]
fn small_chunks_and_trailers_are_one_body() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for chunk in [
        "PUT /flags HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        "1\r\n{\r\n",
        "1;extension=x\r\n}\r\n",
        "0\r\nx-trailer: 1\r\n\r\n",
    ] {
        client.send(chunk);
    }
    assert_eq!(client.answer_to("PUT").status, 405);
    assert_usable(&mut client);
}

#[test]
fn broken_chunking_is_400() {
    let server = Harness::start(&[]);
    for broken in ["zz\r\n", "5\r\nab\r\n0\r\n\r\n", "ffffffffffffffffff\r\n"] {
        let mut client = server.client();
        client
            .send("PUT /flags HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .send(broken);
        let answer = client.answer_to("PUT");
        assert_eq!((answer.status, answer.text()), (400, BROKEN), "{broken:?}");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        client.expect_close();
    }
}

#[test]
fn a_body_shorter_than_its_length_is_400() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    client
        .send("POST /flags HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{}")
        .finish_sending();
    let answer = client.answer_to("POST");
    assert_eq!((answer.status, answer.text()), (400, BROKEN));
    client.expect_close();
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_400() {
    let server = Harness::start(&[("BODY_READ_TIMEOUT_MS", "30")]);
    let mut client = server.client();
    client.send("POST /flags HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{}");
    let answer = client.answer_to("POST");
    assert_eq!((answer.status, answer.text()), (400, BROKEN));
    client.expect_close();
}

#[test]
fn expect_continue_is_honoured() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    client.send("PUT /flags HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    assert_eq!(client.answer_to("PUT").status, 100);
    client.send("{}");
    assert_eq!(client.answer_to("PUT").status, 405);
    assert_usable(&mut client);
}

#[test]
fn a_body_that_would_be_refused_is_not_asked_for() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    client.send(format!(
        "POST /flags HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        LIMIT + 1
    ));
    let answer = client.answer_to("POST");
    assert_eq!((answer.status, answer.text()), (413, TOO_LARGE));
    client.expect_close();
}

#[test]
fn the_query_is_judged_before_the_body() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    client.send("POST /flags?_=abc HTTP/1.1\r\nhost: a\r\ncontent-length: 4000000000\r\n\r\n");
    assert_eq!(client.answer_to("POST").status, 400);
}
