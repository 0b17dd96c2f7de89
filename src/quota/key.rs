//! What is counted apart: team, request type and library; and the hashes that the counts go to (`storage.md` 6.6).

use std::fmt::Write;

use super::Library;

/// Length of a bucket. The billing job sums and deletes all buckets of a team but its newest.
const BUCKET_SECONDS: u64 = 120;

/// What a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestType {
    /// Flags were evaluated here.
    Decide,
    /// Definitions were handed out, for evaluation elsewhere.
    LocalEvaluation,
}

impl RequestType {
    fn prefix(self) -> &'static str {
        match self {
            Self::Decide => "posthog:decide_requests:",
            Self::LocalEvaluation => "posthog:local_evaluation_requests:",
        }
    }
}

/// The stretch of time that a count is for: the name of its field in the hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(pub u64);

impl Bucket {
    /// Of a moment in seconds since 1970; earlier ones count as 1970.
    #[must_use]
    pub fn of(seconds: i64) -> Self {
        Self(u64::try_from(seconds).unwrap_or(0) / BUCKET_SECONDS)
    }
}

/// One line of usage, in one word, so that finding its counter hashes one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UsageKey(u64);

impl UsageKey {
    /// The key of a team's requests of a type by a library.
    #[must_use]
    pub fn new(request: RequestType, team_id: i32, library: Library) -> Self {
        let request = match request {
            RequestType::Decide => 0,
            RequestType::LocalEvaluation => 1,
        };
        Self(u64::from(team_id.cast_unsigned()) << 32 | request << 8 | u64::from(library as u8))
    }

    /// The team.
    #[must_use]
    pub fn team_id(self) -> i32 {
        ((self.0 >> 32) as u32).cast_signed()
    }

    /// The request type.
    #[must_use]
    pub fn request(self) -> RequestType {
        if self.0 >> 8 & 1 == 0 {
            RequestType::Decide
        } else {
            RequestType::LocalEvaluation
        }
    }

    /// The library.
    #[must_use]
    pub fn library(self) -> Library {
        Library::of_number(self.0 as u8)
    }

    /// Name of the team's hash.
    #[must_use]
    pub fn team_hash(self) -> String {
        format!("{}{}", self.request().prefix(), self.team_id())
    }

    /// Name of the hash of team and library.
    #[must_use]
    pub fn library_hash(self) -> String {
        let mut name = String::with_capacity(72);
        let (prefix, team_id) = (self.request().prefix(), self.team_id());
        // Writing to a string does not fail.
        let _ = write!(name, "{prefix}sdk:{team_id}:{}", self.library().name());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_parts_and_names_both_hashes() {
        for (request, team_id, library, team, with_library) in [
            (
                RequestType::Decide,
                7,
                Library::Js,
                "posthog:decide_requests:7",
                "posthog:decide_requests:sdk:7:posthog-js",
            ),
            (
                RequestType::LocalEvaluation,
                i32::MAX,
                Library::Other,
                "posthog:local_evaluation_requests:2147483647",
                "posthog:local_evaluation_requests:sdk:2147483647:other",
            ),
            (
                RequestType::Decide,
                -1,
                Library::Flutter,
                "posthog:decide_requests:-1",
                "posthog:decide_requests:sdk:-1:posthog-flutter",
            ),
        ] {
            let key = UsageKey::new(request, team_id, library);
            assert_eq!(
                (key.request(), key.team_id(), key.library()),
                (request, team_id, library)
            );
            assert_eq!(
                (key.team_hash().as_str(), key.library_hash().as_str()),
                (team, with_library)
            );
        }
    }

    #[test]
    fn buckets_are_two_minutes_long() {
        assert_eq!(Bucket::of(-5), Bucket(0));
        assert_eq!(Bucket::of(119), Bucket(0));
        assert_eq!(Bucket::of(1_767_225_600), Bucket(14_726_880));
        assert_eq!(Bucket::of(1_767_225_600 + 120), Bucket(14_726_881));
    }
}
