//! Polls futures together, in order. The client library sends a statement when its future is first polled, so statements
//! polled together share one round trip.

use std::future::{Future, poll_fn};
use std::task::Poll;

use crate::hypercache::BoxFuture;

/// Answers in the order of the futures, when all are there.
pub(super) async fn join_all<T>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *answer = Some(value),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}

/// The same for futures of one type.
pub(super) async fn join_boxed<'f, F: Future + Send + 'f>(
    futures: impl Iterator<Item = F>,
) -> Vec<F::Output> {
    join_all(
        futures
            .map(|future| Box::pin(future) as BoxFuture<'f, F::Output>)
            .collect(),
    )
    .await
}
