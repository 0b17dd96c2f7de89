//! How many requests are in the flag handlers at once (`http.md` 15.4): more wait, none is refused here.

use tokio::sync::{Semaphore, SemaphorePermit};

/// One limit for all flag routes.
#[derive(Debug)]
pub struct ConcurrencyLimit {
    places: Semaphore,
}

impl ConcurrencyLimit {
    /// A limit of `places` requests; at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            places: Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }

    /// A place if one is free and nobody waits for it.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Place<'_>> {
        let permit = self.places.try_acquire().ok()?;
        Some(Place { _permit: permit })
    }

    /// Waits for a place, first come first served; it is free again when the guard is dropped. Dropping
    /// the future gives up the turn. The caller brings the deadline.
    pub async fn acquire(&self) -> Place<'_> {
        let permit = self
            .places
            .acquire()
            .await
            .expect("the semaphore is never closed");
        Place { _permit: permit }
    }
}

/// A place in the flag handlers.
#[derive(Debug)]
pub struct Place<'a> {
    _permit: SemaphorePermit<'a>,
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::ConcurrencyLimit;

    #[test]
    fn requests_over_the_limit_wait_for_a_place() {
        let limit = ConcurrencyLimit::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let place = {
            let mut first = pin!(limit.acquire());
            let std::task::Poll::Ready(place) = first.as_mut().poll(&mut context) else {
                panic!("the first request waits");
            };
            place
        };
        let mut second = pin!(limit.acquire());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(place);
        assert!(second.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_client_that_goes_away_gives_up_its_turn() {
        let limit = ConcurrencyLimit::new(1);
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(limit.acquire());
        let place = first.as_mut().poll(&mut context);
        let mut gone = Box::pin(limit.acquire());
        assert!(gone.as_mut().poll(&mut context).is_pending());
        let mut third = pin!(limit.acquire());
        assert!(third.as_mut().poll(&mut context).is_pending());
        drop(gone);
        drop(place);
        assert!(third.as_mut().poll(&mut context).is_ready());
    }
}
