//! What `/flags/definitions` passes on: a team's identity, and its definitions as stored, with their ETag.
//!
//! Both are held by the map that holds snapshots, each in a map of its own, so that freshness has one meaning. They are apart
//! because a caller is judged by the identity before megabytes are loaded on its behalf; flags are not compiled for either.

mod rebuild;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::map::{SnapshotMap, SnapshotSettings};
use super::port::{BoxFuture, Changed, Changes, Found, Held, HeldSource, LoadError};
use super::push::PushClock;
use crate::hypercache::parse::TeamIdentity;

pub use crate::hypercache::reader::Source;
pub use rebuild::{RebuildQueue, Rebuilds};
use source::PayloadSource;

/// Identities held at most, in bytes: about 60,000 teams.
const IDENTITIES_BYTES_MAX: usize = 16 << 20;

/// Bytes of a map's entry besides what its value points at.
const OVERHEAD_BYTES: usize = 256;

/// How long definitions are held through an outage of the first tier before the second is asked: the default hard limit of
/// their age.
const KEPT_MS: u64 = 30_000;

/// A team that is held.
#[derive(Debug)]
pub struct FeedTeam {
    /// Who it is.
    pub identity: TeamIdentity,
    /// Hash of what it was read from.
    tag: u64,
}

impl FeedTeam {
    pub(super) fn new(identity: TeamIdentity, tag: u64) -> Self {
        Self { identity, tag }
    }

    pub(super) fn tag(&self) -> u64 {
        self.tag
    }
}

impl Held for FeedTeam {
    fn team_id(&self) -> i32 {
        self.identity.id
    }

    fn heap_bytes(&self) -> usize {
        let organization = self.identity.organization_id.as_ref().map_or(0, String::len);
        OVERHEAD_BYTES + 2 * self.identity.api_token.len() + organization
    }

    fn depends_on(change: &Changed) -> bool {
        matches!(change, Changed::Token(_))
    }
}

/// A team's definitions, or that there are none.
#[derive(Debug)]
pub struct Feed {
    /// The team.
    pub team_id: i32,
    /// `None`: no tier has the entry, and each of them said so.
    pub payload: Option<Payload>,
    /// When a tier last said so, milliseconds of the clock.
    confirmed_ms: AtomicU64,
}

impl Feed {
    pub(super) fn new(team_id: i32, payload: Option<Payload>, confirmed_ms: u64) -> Self {
        Self {
            team_id,
            payload,
            confirmed_ms: AtomicU64::new(confirmed_ms),
        }
    }

    /// It was found to be current.
    pub(super) fn confirm(&self, now_ms: u64) {
        self.confirmed_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Whether it is young enough to be kept while the first tier, which it came from, gives no answer.
    pub(super) fn is_kept(&self, now_ms: u64) -> bool {
        now_ms < self.confirmed_ms.load(Ordering::Relaxed) + KEPT_MS
    }
}

/// Definitions as they are passed on.
#[derive(Debug, Clone)]
pub struct Payload {
    /// JSON text as stored.
    pub body: Bytes,
    /// Stored beside it; never one of another text.
    pub etag: Option<ETag>,
    /// Some active flag makes a request for it count (`http.md` 13.7).
    pub billable: bool,
    /// Which tier had it.
    pub source: Source,
    /// Hash of what it was read from.
    pub(super) tag: u64,
}

/// An ETag in its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(Bytes);

impl ETag {
    /// `None` when the value cannot stand in a header.
    #[must_use]
    pub fn new(value: &str) -> Option<Self> {
        let sound = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        sound.then(|| Self(format!("W/\"{value}\"").into()))
    }

    /// The header's value: weak, quoted.
    #[must_use]
    pub fn header(&self) -> &Bytes {
        &self.0
    }

    /// Whether an `If-None-Match` names it: one value, weak, strong or bare (`http.md` 13.5).
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        let given = given.trim_ascii();
        let opaque = given.strip_prefix(b"W/").unwrap_or(given);
        let bare = opaque
            .strip_prefix(b"\"")
            .and_then(|rest| rest.strip_suffix(b"\""));
        self.0.get(3..self.0.len() - 1) == Some(bare.unwrap_or(opaque))
    }
}

impl Held for Feed {
    fn team_id(&self) -> i32 {
        self.team_id
    }

    fn heap_bytes(&self) -> usize {
        OVERHEAD_BYTES + self.payload.as_ref().map_or(0, |payload| payload.body.len())
    }

    fn depends_on(change: &Changed) -> bool {
        !matches!(change, Changed::Team(_))
    }
}

/// What is asked of the tiers.
pub trait DefinitionsSource: Send + Sync {
    /// Who the team of a token is. No flags are read.
    fn team<'a>(
        &'a self,
        token: &'a str,
        known: Option<&'a FeedTeam>,
    ) -> BoxFuture<'a, Result<Found<FeedTeam>, LoadError>>;

    /// A team's definitions from the caches; never from the database.
    fn feed<'a>(
        &'a self,
        team_id: i32,
        known: Option<&'a Feed>,
    ) -> BoxFuture<'a, Result<Found<Feed>, LoadError>>;

    /// As for projects.
    fn push_clock(&self) -> Arc<PushClock>;
}

/// Teams and their definitions, held.
pub struct Feeds {
    /// Identities by project token.
    pub teams: Arc<SnapshotMap<FeedTeam>>,
    /// Definitions by project token.
    pub payloads: Arc<SnapshotMap<Feed>>,
}

impl Feeds {
    /// Empty, over a source. `settings` bound both maps, its capacity the definitions.
    #[must_use]
    pub fn new(
        source: Arc<dyn DefinitionsSource>,
        rebuilds: Option<Arc<dyn RebuildQueue>>,
        settings: SnapshotSettings,
    ) -> Self {
        let identities = SnapshotSettings {
            capacity_bytes: IDENTITIES_BYTES_MAX,
            ..settings
        };
        let teams = Arc::new(SnapshotMap::over(
            Arc::new(TeamSource(Arc::clone(&source))) as _,
            identities,
        ));
        let payloads = PayloadSource::new(source, Arc::clone(&teams), rebuilds.map(Rebuilds::new));
        Self {
            teams,
            payloads: Arc::new(SnapshotMap::over(Arc::new(payloads) as _, settings)),
        }
    }
}

/// The source of identities.
struct TeamSource(Arc<dyn DefinitionsSource>);

impl HeldSource<FeedTeam> for TeamSource {
    fn load<'a>(
        &'a self,
        token: &'a str,
        known: Option<&'a FeedTeam>,
    ) -> BoxFuture<'a, Result<Found<FeedTeam>, LoadError>> {
        self.0.team(token, known)
    }

    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        // The map of snapshots asks, and tells this one.
        Box::pin(std::future::pending())
    }

    fn push_clock(&self) -> Arc<PushClock> {
        self.0.push_clock()
    }
}

#[cfg(test)]
mod tests;
