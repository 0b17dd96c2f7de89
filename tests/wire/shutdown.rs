//! An orderly end.

use std::net::TcpStream;
use std::sync::{Arc, mpsc};

use feature_flags::server::Drained;
use feature_flags::snapshot::BoxFuture;
use tokio::sync::Semaphore;

use crate::client::Client;
use crate::harness::Harness;

/// A server whose readiness probe waits for the semaphore, and says when it does.
fn waiting_server(variables: &[(&str, &str)]) -> (Harness, Arc<Semaphore>, mpsc::Receiver<()>) {
    let release = Arc::new(Semaphore::new(0));
    let (entered, entries) = mpsc::channel();
    let held = Arc::clone(&release);
    let harness = Harness::with_store(variables, move || -> BoxFuture<'static, Result<(), String>> {
        entered.send(()).unwrap();
        let held = Arc::clone(&held);
        Box::pin(async move {
            held.acquire().await.unwrap().forget();
            Ok(())
        })
    });
    (harness, release, entries)
}

fn begin_waiting(server: &Harness, entries: &mpsc::Receiver<()>) -> Client {
    let mut client = server.client();
    client.send("GET /_readiness HTTP/1.1\r\nhost: a\r\n\r\n");
    entries.recv().unwrap();
    client
}

#[test]
fn requests_in_flight_are_answered_and_idle_connections_closed() {
    let (mut server, release, entries) = waiting_server(&[]);
    let mut idle = server.client();
    assert_eq!(idle.request("GET /", &[], b"").status, 200);
    let mut untouched = server.client();
    let mut waiting = begin_waiting(&server, &entries);
    server.stop();
    idle.expect_close();
    untouched.expect_close();
    assert!(TcpStream::connect(server.address).is_err(), "still accepting");
    release.add_permits(1);
    let answer = waiting.answer_to("GET");
    assert_eq!((answer.status, answer.text()), (200, "ready"));
    assert_eq!(answer.header("connection"), Some("close"));
    waiting.expect_close();
    assert_eq!(server.ended(), Drained::Complete);
}

#[test]
fn what_does_not_end_by_the_deadline_is_cut() {
    let (mut server, _release, entries) = waiting_server(&[("DRAIN_TIMEOUT_MS", "20")]);
    let mut waiting = begin_waiting(&server, &entries);
    server.stop();
    assert_eq!(server.ended(), Drained::Cut(1));
    waiting.expect_close();
}

#[test]
fn readiness_is_503_while_a_delayed_shutdown_still_serves() {
    let mut server = Harness::start(&[("SHUTDOWN_DELAY_MS", "300000")]);
    let mut client = server.client();
    assert_eq!(client.request("GET /_readiness", &[], b"").status, 200);
    server.stop();
    let answer = loop {
        let answer = server.client().request("GET /_readiness", &[], b"");
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!((answer.status, answer.text()), (503, "draining"));
    assert_eq!(client.request("GET /flags", &[], b"").status, 200);
}
