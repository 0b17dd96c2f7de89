//! Caches after an import: every team of the documents is built, changed or not, because an import that was cut off may
//! have left old entries behind.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::Connected;
use crate::hypercache::warm::{WarmOptions, WarmSummary, WarmTeams};
use crate::hypercache::{DatabaseError, EntryKey, TierError};
use crate::store::import::ImportReport;
use crate::store::redis::{RedisError, set_quota_limits};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// Entries built; failures of single entries among it.
    pub summary: WarmSummary,
    /// Over-quota resources of the documents that Redis has no place for.
    pub unknown_quotas: Vec<String>,
}

/// Why the caches are not up to date. The rows are.
#[derive(Debug)]
pub enum RefreshError {
    /// The teams could not be listed.
    Teams(DatabaseError),
    /// An entry under a replaced token could not be deleted; its key.
    Delete(String, TierError),
    /// Quota limits could not be written.
    Quota(RedisError),
}

impl fmt::Display for RefreshError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Teams(error) => write!(formatter, "cannot list the teams: {error}"),
            Self::Delete(key, error) => write!(formatter, "{key}: {error}"),
            Self::Quota(error) => write!(formatter, "quota limits: {error}"),
        }
    }
}

impl std::error::Error for RefreshError {}

impl Connected {
    /// Waits until each primary Redis has been tried once, `limit` each. A write does not wait for a connection, so a
    /// process that begins with writes calls this first.
    pub async fn connect_writers(&self, limit: Duration) {
        for client in &self.clients {
            let _ = tokio::time::timeout(limit, client.writer().first_attempt()).await;
        }
    }

    /// Brings the caches up to date with an import into this database. `progress` as in
    /// [`Warmer::run`](crate::hypercache::warm::Warmer::run).
    ///
    /// # Errors
    /// At the first thing that fails, but for single entries: those are in the summary.
    pub async fn refresh(
        &self,
        report: &ImportReport,
        progress: &mut (dyn FnMut(usize, usize, usize) + Send),
    ) -> Result<Refreshed, RefreshError> {
        let mut teams: Vec<i32> = report.projects.iter().map(|project| project.team_id).collect();
        teams.extend(report.changed.iter().map(|team| team.team_id));
        teams.sort_unstable();
        teams.dedup();
        let warmer = self.warmer();
        let options = WarmOptions {
            replace_config: true,
            ..WarmOptions::default()
        };
        let summary = warmer
            .run(WarmTeams::Ids(teams), options, progress)
            .await
            .map_err(RefreshError::Teams)?;
        for token in &report.replaced_tokens {
            self.forget_token(token).await?;
        }
        Ok(Refreshed {
            summary,
            unknown_quotas: self.write_quotas(report).await?,
        })
    }

    /// Deletes what is kept under a token that no team has any more. Redis first: an entry there is what proves a token
    /// (`storage.md` 4.5).
    async fn forget_token(&self, token: &str) -> Result<(), RefreshError> {
        let warmer = self.warmer();
        for key in [EntryKey::Team(token.into()), EntryKey::Config(token.into())] {
            let deleted = warmer.cache.delete(&key).await;
            deleted.map_err(|error| RefreshError::Delete(key.redis(), error))?;
            let deleted = warmer.objects.delete(&key).await;
            deleted.map_err(|error| RefreshError::Delete(key.base(), error))?;
        }
        Ok(())
    }

    /// The resources that have no place.
    async fn write_quotas(&self, report: &ImportReport) -> Result<Vec<String>, RefreshError> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut unknown = Vec::new();
        for project in &report.projects {
            let (token, limited) = (&project.api_token, &project.quota_limited);
            let written = set_quota_limits(&self.shared, token, limited, now.as_secs()).await;
            unknown.extend(written.map_err(RefreshError::Quota)?);
        }
        Ok(unknown)
    }
}
