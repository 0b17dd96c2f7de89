//! The queue's bounds; what is written is tested over TCP (`tests/replay`).

use std::time::{Duration, Instant};

use super::queue::{Captured, bounded};

fn captured(body: usize) -> Box<Captured> {
    Box::new(Captured {
        at: Instant::now(),
        path: "/flags".into(),
        query: None,
        headers: Vec::new(),
        client: None,
        body: vec![b'x'; body].into(),
    })
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let (queue, inbox) = bounded(10_000);
    for _ in 0..3 {
        queue.offer(captured(4_000));
    }
    assert_eq!(queue.dropped(), 1);
    let first = inbox.try_recv().unwrap();
    queue.took(&first);
    queue.offer(captured(4_000));
    assert_eq!((queue.dropped(), inbox.try_iter().count()), (1, 2));
}

#[test]
fn so_many_requests_wait_and_no_more() {
    let (queue, inbox) = bounded(usize::MAX);
    for _ in 0..1_100 {
        queue.offer(captured(0));
    }
    assert_eq!(
        (queue.dropped(), inbox.try_iter().count()),
        (1_100 - 1_024, 1_024)
    );
}

#[test]
fn nothing_is_taken_behind_the_end() {
    let (queue, inbox) = bounded(10_000);
    assert!(!queue.finish(Duration::from_millis(1)));
    queue.offer(captured(1));
    assert_eq!((queue.dropped(), inbox.try_iter().count()), (0, 0));
    queue.end();
    assert!(queue.finish(Duration::ZERO));
}
