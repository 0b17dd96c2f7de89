//! What an operator is told of quotas: changes of state, once each.

use std::fmt;

use super::limits::Resource;

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Limits cannot be read; those of the last read hold.
    LimitsUnavailable(Resource, String),
    /// They can again.
    LimitsAvailable(Resource),
    /// More projects are limited than are kept; the rest is served.
    LimitsTruncated(Resource, usize),
    /// Counts cannot be written; they wait.
    UsageUnavailable(String),
    /// They are again.
    UsageAvailable,
    /// The store will not have some counts at all; how many requests.
    UsageRefused(u64),
    /// Requests that were not written when the process ended, and those of which it is not known.
    UsageLeft {
        /// Not written.
        dropped: u64,
        /// Not known.
        uncertain: u64,
    },
}

impl Notice {
    /// Whether it tells of something that is wrong.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        !matches!(self, Self::LimitsAvailable(_) | Self::UsageAvailable)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitsUnavailable(resource, detail) => write!(
                formatter,
                "billing limits of {resource} cannot be read, the last ones hold: {detail}"
            ),
            Self::LimitsAvailable(resource) => {
                write!(formatter, "billing limits of {resource} are read again")
            }
            Self::LimitsTruncated(resource, kept) => write!(
                formatter,
                "more than {kept} projects are over the limit of {resource}: only so many are kept, the rest is served"
            ),
            Self::UsageUnavailable(detail) => {
                write!(formatter, "usage counts cannot be written, they wait: {detail}")
            }
            Self::UsageAvailable => formatter.write_str("usage counts are written again"),
            Self::UsageRefused(requests) => write!(
                formatter,
                "usage counts of {requests} requests were refused: a key of theirs holds something else"
            ),
            Self::UsageLeft { dropped, uncertain } => write!(
                formatter,
                "ended with usage counts of {dropped} requests not written, and of {uncertain} perhaps"
            ),
        }
    }
}
