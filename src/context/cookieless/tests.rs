//! How often the store is asked for salts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::civil::Date;

use super::salt::SaltCache;
use super::{CookielessStore, CookielessStoreError, Salt};
use crate::snapshot::BoxFuture;

const TTL: Duration = Duration::from_secs(60);

/// Counts questions; refuses the first so many.
#[derive(Default)]
struct Counting {
    asked: AtomicU64,
    refused: u64,
}

impl CookielessStore for Counting {
    fn salt<'a>(&'a self, _day: &'a str) -> BoxFuture<'a, Result<Salt, CookielessStoreError>> {
        Box::pin(async {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            // Others get their turn while this one is on its way.
            tokio::task::yield_now().await;
            if number < self.refused {
                return Err(CookielessStoreError::Unavailable("away".to_owned()));
            }
            Ok([u8::try_from(number).unwrap(); 16])
        })
    }

    fn identify_count<'a>(
        &'a self,
        _team_id: i32,
        _hash: &'a str,
    ) -> BoxFuture<'a, Result<u64, CookielessStoreError>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

#[tokio::test]
async fn callers_at_once_ask_once_a_day() {
    let (cache, store, now) = (SaltCache::new(TTL), Counting::default(), Instant::now());
    let today = day("2025-01-01");
    let (first, second, third) = tokio::join!(
        cache.get(today, now, &store),
        cache.get(today, now, &store),
        cache.get(day("2025-01-02"), now, &store),
    );
    assert_eq!(first, second);
    assert_ne!(first, third);
    assert_eq!(store.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn salts_age_and_failures_are_not_kept() {
    let store = Counting {
        refused: 1,
        ..Counting::default()
    };
    let (cache, now, today) = (SaltCache::new(TTL), Instant::now(), day("2025-01-01"));
    assert!(cache.get(today, now, &store).await.is_err());
    assert_eq!(cache.get(today, now, &store).await, Ok([1; 16]));
    let old = now + TTL;
    assert_eq!(
        cache.get(today, old - Duration::from_nanos(1), &store).await,
        Ok([1; 16])
    );
    assert_eq!(cache.get(today, old, &store).await, Ok([2; 16]));
}

#[tokio::test]
async fn only_so_many_days_are_held() {
    let (cache, store, now) = (SaltCache::new(TTL), Counting::default(), Instant::now());
    let first = day("2025-01-01");
    for offset in 0..=8 {
        let of = first.checked_add(jiff::Span::new().days(offset)).unwrap();
        cache.get(of, now, &store).await.unwrap();
    }
    assert_eq!(
        cache.get(first, now, &store).await,
        Ok([9; 16]),
        "the first had to go"
    );
}
