//! The source of definitions that are held by token: the team first, then its entry.

use std::sync::Arc;

use super::rebuild::Rebuilds;
use super::{DefinitionsSource, Feed, FeedTeam};
use crate::hypercache::reader::Source;
use crate::snapshot::map::{LookupError, SnapshotMap};
use crate::snapshot::port::{BoxFuture, Changes, Found, HeldSource, LoadError};
use crate::snapshot::push::PushClock;

/// See the module.
pub(super) struct PayloadSource {
    source: Arc<dyn DefinitionsSource>,
    teams: Arc<SnapshotMap<FeedTeam>>,
    rebuilds: Option<Rebuilds>,
}

impl PayloadSource {
    pub fn new(
        source: Arc<dyn DefinitionsSource>,
        teams: Arc<SnapshotMap<FeedTeam>>,
        rebuilds: Option<Rebuilds>,
    ) -> Self {
        Self {
            source,
            teams,
            rebuilds,
        }
    }

    async fn load(&self, token: &str, known: Option<&Feed>) -> Result<Found<Feed>, LoadError> {
        let team_id = match self.teams.get_or_load(token).await {
            Ok(team) => team.identity.id,
            Err(LookupError::UnknownToken) => return Ok(Found::Nothing),
            Err(LookupError::Busy) => return Err(LoadError::Unavailable("too many lookups".to_owned())),
            Err(LookupError::Load(error)) => return Err(error),
        };
        // Of another team if the token has moved.
        let known = known.filter(|known| known.team_id == team_id);
        let found = self.source.feed(team_id, known).await?;
        let feed = match &found {
            Found::Nothing => None,
            Found::Unchanged(_) => known,
            Found::Value(feed, _) => Some(feed.as_ref()),
        };
        if let (Some(feed), Some(rebuilds)) = (feed, &self.rebuilds)
            && lacks_something(feed)
        {
            rebuilds.request(team_id);
        }
        Ok(found)
    }
}

/// Whether a builder has to be asked: nothing is there, or only a lower tier has it, without an ETag (`storage.md` 6.8).
fn lacks_something(feed: &Feed) -> bool {
    feed.payload
        .as_ref()
        .is_none_or(|payload| payload.source == Source::S3 && payload.etag.is_none())
}

impl HeldSource<Feed> for PayloadSource {
    fn load<'a>(
        &'a self,
        token: &'a str,
        known: Option<&'a Feed>,
    ) -> BoxFuture<'a, Result<Found<Feed>, LoadError>> {
        Box::pin(PayloadSource::load(self, token, known))
    }

    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        // The map of snapshots asks, and tells this one.
        Box::pin(std::future::pending())
    }

    fn push_clock(&self) -> Arc<PushClock> {
        self.source.push_clock()
    }
}
