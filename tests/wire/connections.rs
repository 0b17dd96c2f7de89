//! Connections: reuse, limits in number, time and size.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use feature_flags::snapshot::BoxFuture;

use crate::harness::Harness;

#[test]
fn a_connection_serves_many_requests() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for _ in 0..50 {
        assert_eq!(client.request("GET /flags?v=2", &[], b"").status, 200);
        assert_eq!(client.request("PUT /flags", &[], b"{\"a\": 1}").status, 405);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    let one = "PUT /flags HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}";
    let two = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let three = "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n";
    client.send(format!("{one}{two}{three}"));
    let statuses = ["PUT", "GET", "GET"].map(|method| client.answer_to(method).status);
    assert_eq!(statuses, [405, 200, 404]);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    for byte in b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.answer_to("GET").text(), "feature flags");
}

#[test]
fn close_is_honoured_and_old_clients_are_served() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    assert_eq!(client.request("GET /", &["connection: close"], b"").status, 200);
    client.expect_close();
    let mut client = server.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer_to("GET").text(), "feature flags");
    client.expect_close();
}

#[test]
fn slow_headers_are_cut_and_idle_connections_are_not() {
    let server = Harness::start(&[("HEADER_READ_TIMEOUT_MS", "1000")]);
    let mut idle = server.client();
    assert_eq!(idle.request("GET /", &[], b"").status, 200);
    let mut silent = server.client();
    let mut slow = server.client();
    slow.send("GET / HTTP/1.1\r\nhost:");
    let mut second = server.client();
    assert_eq!(second.request("GET /", &[], b"").status, 200);
    second.send("GET / HT");
    for client in [&mut silent, &mut slow, &mut second] {
        client.expect_close();
    }
    assert_eq!(idle.request("GET /", &[], b"").status, 200);
}

#[test]
fn idle_connections_are_closed_in_the_end() {
    let server = Harness::start(&[("KEEP_ALIVE_TIMEOUT_MS", "40")]);
    let mut client = server.client();
    assert_eq!(client.request("GET /", &[], b"").status, 200);
    client.expect_close();
}

#[test]
fn connections_over_the_limit_wait() {
    let server = Harness::start(&[("MAX_CONNECTIONS", "1")]);
    let mut first = server.client();
    assert_eq!(first.request("GET /", &[], b"").status, 200);
    let mut second = server.client();
    second.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(second.hears_nothing_for(Duration::from_millis(30)));
    drop(first);
    assert_eq!(second.answer_to("GET").status, 200);
}

#[test]
fn headers_are_bounded_in_number_and_size() {
    let server = Harness::start(&[("HEADER_BYTES_MAX", "8192")]);
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let send = |headers: String| {
        let mut client = server.client();
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{headers}\r\n"));
        client.answer_to("GET").status
    };
    assert_eq!(send(many(99)), 200);
    assert_eq!(send(many(100)), 431);
    assert_eq!(send(format!("x: {}\r\n", "a".repeat(7000))), 200);
    assert_eq!(send(format!("x: {}\r\n", "a".repeat(9000))), 431);
}

#[test]
fn a_client_that_goes_away_takes_its_request_with_it() {
    struct Gone(mpsc::Sender<&'static str>);
    impl Drop for Gone {
        fn drop(&mut self) {
            // The receiver is gone when the test has failed already.
            let _ = self.0.send("dropped");
        }
    }
    let (events, seen) = mpsc::channel();
    let events = Mutex::new(events);
    let server = Harness::with_store(&[], move || -> BoxFuture<'static, Result<(), String>> {
        let events = events.lock().unwrap().clone();
        events.send("entered").unwrap();
        let gone = Gone(events);
        Box::pin(async move {
            std::future::pending::<()>().await;
            drop(gone);
            Ok(())
        })
    });
    let mut client = server.client();
    client.send("GET /_readiness HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(seen.recv(), Ok("entered"));
    drop(client);
    assert_eq!(seen.recv(), Ok("dropped"));
}

#[test]
fn what_is_no_http_is_400() {
    let server = Harness::start(&[]);
    let mut client = server.client();
    client.send("hello\r\n\r\n");
    assert_eq!(client.answer_to("GET").status, 400);
    client.expect_close();
}
