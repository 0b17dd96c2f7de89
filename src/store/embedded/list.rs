//! Which projects a store holds.

use super::EmbeddedStore;
use super::project::load_error;
use crate::snapshot::LoadError;

/// A project, as it is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectName {
    /// `posthog_team.name`.
    pub name: String,
    /// Project token.
    pub token: String,
}

impl EmbeddedStore {
    /// All projects, in the order of their ids.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn projects(&self) -> Result<Vec<ProjectName>, LoadError> {
        let read = self.readers.run(|connection| {
            connection
                .prepare_cached("SELECT name, api_token FROM posthog_team ORDER BY id")?
                .query_map([], |row| {
                    Ok(ProjectName {
                        name: row.get(0)?,
                        token: row.get(1)?,
                    })
                })?
                .collect()
        });
        read.await.map_err(load_error)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not; the error says how.
    pub async fn ping(&self) -> Result<(), LoadError> {
        let read = self
            .readers
            .run(|connection| connection.query_row("SELECT 1", [], |_| Ok(())));
        read.await.map_err(load_error)
    }
}
