//! The builder: rows of teams to all four entries in both tiers (`storage.md` 2.9, 4.7).
//!
//! It decides what is written and what is left alone. A failure costs one entry of one team; a second run does what is left.

mod summary;
mod team;

use std::sync::Arc;

use tokio::task::JoinSet;

use super::build::ConfigOptions;
use super::value::Compression;
use super::{DatabaseError, DefinitionDatabase, EntryCache, ObjectStore, TeamSelection};

pub use summary::{WarmFailure, WarmSummary};

/// Which teams a run goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarmTeams {
    /// As the database lists them.
    Selection(TeamSelection),
    /// These; ids without a team get the sentinel.
    Ids(Vec<i32>),
}

/// How a run works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmOptions {
    /// Teams at the same time; at least one.
    pub concurrency: usize,
    /// Read and compare, but write nothing.
    pub dry_run: bool,
    /// Write entries that look unchanged too, for instance after objects could not be written.
    pub force: bool,
    /// Where no configuration is stored, the team's settings decide whatever entry there is: an import has said all.
    pub replace_config: bool,
    /// How values are stored.
    pub compression: Compression,
}

impl Default for WarmOptions {
    fn default() -> Self {
        Self {
            concurrency: 4,
            dry_run: false,
            force: false,
            replace_config: false,
            compression: Compression::Zstd,
        }
    }
}

/// Builds entries from a database into two tiers.
#[derive(Clone)]
pub struct Warmer {
    /// Where rows come from.
    pub database: Arc<dyn DefinitionDatabase>,
    /// Written first.
    pub cache: Arc<dyn EntryCache>,
    /// Written second.
    pub objects: Arc<dyn ObjectStore>,
    /// For configuration that is built from the team's settings.
    pub config: Arc<ConfigOptions>,
}

impl Warmer {
    /// Goes through the teams. `progress` hears teams done, teams in all, and failures so far, after each team.
    ///
    /// # Errors
    /// When the teams cannot be listed. Failures of single teams are in the summary.
    pub async fn run(
        &self,
        teams: WarmTeams,
        options: WarmOptions,
        progress: &mut (dyn FnMut(usize, usize, usize) + Send),
    ) -> Result<WarmSummary, DatabaseError> {
        let ids = match teams {
            WarmTeams::Ids(ids) => ids,
            WarmTeams::Selection(which) => self.database.team_ids(which).await?,
        };
        let total = ids.len();
        let mut ids = ids.into_iter();
        let mut summary = WarmSummary::default();
        // Dropped with this future, and its tasks with it.
        let mut running = JoinSet::new();
        loop {
            while running.len() < options.concurrency.max(1)
                && let Some(id) = ids.next()
            {
                let warmer = self.clone();
                running.spawn(async move { warmer.team(id, options).await });
            }
            match running.join_next().await {
                None => return Ok(summary),
                Some(Ok(team)) => summary.add(team),
                Some(Err(error)) => summary.panicked(&error),
            }
            progress(summary.teams, total, summary.failed);
        }
    }

    /// Builds the entries of one team.
    pub async fn team(&self, team_id: i32, options: WarmOptions) -> WarmSummary {
        team::TeamRun::new(self, team_id, options).run().await
    }
}
