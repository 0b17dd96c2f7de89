//! Waiting for a place, and the deadline of a request (`http.md` 15.4, 15.5).

use crate::harness::Harness;

const TIMED_OUT: &str = "Request timed out";

#[test]
fn a_request_that_finds_no_place_in_time_is_503() {
    let server = Harness::start(&[("MAX_CONCURRENCY", "1"), ("REQUEST_TIMEOUT_MS", "30")]);
    let place = server.wait_for(server.app.concurrency.acquire());
    let mut client = server.client();
    for path in ["/flags", "/decide?v=2"] {
        let answer = client.request(&format!("POST {path}"), &["origin: null"], b"{}");
        assert_eq!((answer.status, answer.text()), (503, TIMED_OUT), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("null"));
    }
    for line in [
        "GET /flags",
        "OPTIONS /flags",
        "GET /_readiness",
        "GET /_liveness",
    ] {
        assert_ne!(client.request(line, &[], b"").status, 503, "{line} waited");
    }
    drop(place);
    assert_ne!(client.request("POST /flags", &[], b"{}").text(), TIMED_OUT);
}

#[test]
fn a_body_on_its_way_holds_no_place() {
    let server = Harness::start(&[("MAX_CONCURRENCY", "1")]);
    let mut slow = server.client();
    slow.send("POST /flags HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
    // The server asks for the body, so it is waiting for it.
    assert_eq!(slow.answer_to("POST").status, 100);
    assert_ne!(
        server.client().request("POST /flags", &[], b"{}").text(),
        TIMED_OUT
    );
    slow.send("{}");
    assert_ne!(slow.answer_to("POST").text(), TIMED_OUT);
}
