//! A panic ends one request, not its connection (`http.md` 12.3).

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a future; `None` when it panicked. The default hook has reported the panic by then.
pub(super) async fn catch<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // A future that panicked is dropped and never polled again, so broken state inside it is not seen.
        // State that it shares is atomics and locks that recover from poisoning.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[tokio::test]
    async fn results_pass_and_panics_do_not() {
        assert_eq!(catch(async { 5 }).await, Some(5));
        let panicking = async {
            tokio::task::yield_now().await;
            panic!("inside a request");
        };
        assert_eq!(catch::<_>(panicking).await, None::<()>);
    }
}
