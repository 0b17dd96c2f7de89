//! The id of a request: what the client names, else a fresh one (`http.md` 4.1).

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use hyper::HeaderMap;
use hyper::header::HeaderName;
use uuid::fmt::Hyphenated;
use uuid::{Builder, Uuid};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A UUID as text: hyphenated, lower case. Made without the heap and without a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; Hyphenated::LENGTH]);

impl RequestId {
    /// `X-Request-Id` if it is a UUID in any usual notation, else a new random one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        headers
            .get(&REQUEST_ID)
            .and_then(|value| Uuid::try_parse(value.to_str().ok()?).ok())
            .map_or_else(Self::random, Self::from)
    }

    /// A new version 4 id.
    #[must_use]
    pub fn random() -> Self {
        Builder::from_random_bytes(random_bytes()).into_uuid().into()
    }

    /// The 36 characters as bytes, all of them ASCII.
    #[must_use]
    pub fn bytes(self) -> [u8; 36] {
        self.0
    }

    /// The 36 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII; a failure would mean that the formatter writes something else.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<Uuid> for RequestId {
    fn from(id: Uuid) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        id.hyphenated().encode_lower(&mut text);
        Self(text)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// 128 bits of a keyed hash over a counter. The standard library keys it with 128 bits of the
/// system's randomness once per thread: ids of all threads and processes differ, and none tells the next.
fn random_bytes() -> [u8; 16] {
    thread_local! {
        static KEY: RandomState = RandomState::new();
        static COUNTER: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNTER.get();
    COUNTER.set(count.wrapping_add(1));
    let half = |which: u8| KEY.with(|key| key.hash_one((count, which)));
    (u128::from(half(0)) << 64 | u128::from(half(1))).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn of(value: &'static str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", value.parse().unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn every_notation_of_a_uuid_is_taken() {
        let expected = "550e8400-e29b-41d4-a716-446655440000";
        for text in [
            "550e8400-e29b-41d4-a716-446655440000",
            "550E8400E29B41D4A716446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert_eq!(of(text).as_str(), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_gives_a_fresh_version_4() {
        for id in [of("abc"), of(""), RequestId::of(&HeaderMap::new())] {
            let parsed = Uuid::parse_str(id.as_str()).unwrap();
            assert_eq!(
                (parsed.get_version_num(), parsed.get_variant()),
                (4, uuid::Variant::RFC4122)
            );
            assert_eq!(id.to_string(), parsed.to_string());
        }
    }

    #[test]
    fn random_ids_differ_within_and_between_threads() {
        let some = || {
            (0..1000)
                .map(|_| RequestId::random().to_string())
                .collect::<Vec<_>>()
        };
        let other = std::thread::spawn(some).join().unwrap();
        let ids: HashSet<String> = some().into_iter().chain(other).collect();
        assert_eq!(ids.len(), 2000);
    }
}
