//! Definitions by project token.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use super::EmbeddedStore;
use super::pool::PoolError;
use crate::definition::{MalformedFlag, RawCohort, RawFilters, RawFlag, RawProject, RawTeam};
use crate::snapshot::push::PushClock;
use crate::snapshot::{
    BoxFuture, Changed, Changes, KnownInputs, LoadError, Loaded, LoadedProject, ProjectSnapshot,
    ProjectSource, Tags, Validity,
};

impl ProjectSource for EmbeddedStore {
    fn load<'a>(
        &'a self,
        token: &'a str,
        _known: Option<&'a ProjectSnapshot>,
    ) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        let token = token.to_owned();
        Box::pin(async move {
            let epochs = self.watch.clock.epochs();
            let read = self
                .readers
                .run(move |connection| load_project(connection, &token));
            Ok(match read.await.map_err(load_error)? {
                None => Loaded::UnknownToken,
                Some(raw) => Loaded::Project(Box::new(LoadedProject {
                    raw,
                    tags: Tags::default(),
                    inputs: KnownInputs::default(),
                    validity: Validity {
                        epochs,
                        recheck_after: None,
                    },
                })),
            })
        })
    }

    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        Box::pin(async {
            let tokens = self.next_change().await?;
            let changed = tokens.into_iter().map(|token| Changed::Token(token.into()));
            Ok(Changes::Projects(changed.collect()))
        })
    }

    fn push_clock(&self) -> Arc<PushClock> {
        Arc::clone(&self.watch.clock)
    }
}

impl EmbeddedStore {
    /// Resources over quota of the team that has the token; empty for unknown tokens.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn quota_limited(&self, token: &str) -> Result<Vec<String>, LoadError> {
        let token = token.to_owned();
        let read = self.readers.run(move |connection| {
            connection
                .prepare_cached(
                    "SELECT q.resource FROM embedded_quota_limited q JOIN posthog_team t ON t.id = q.team_id
                     WHERE t.api_token = ?1 ORDER BY q.resource",
                )?
                .query_map([token], |row| row.get(0))?
                .collect()
        });
        read.await.map_err(load_error)
    }
}

/// What a failed read means to the snapshot map.
pub(super) fn load_error(error: PoolError) -> LoadError {
    match error {
        PoolError::Unavailable(reason) => LoadError::Unavailable(reason.to_owned()),
        PoolError::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LoadError::Timeout,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                LoadError::Corrupt(error.to_string())
            }
            // No SQLite code: a column holds what its type does not allow.
            None => LoadError::Corrupt(error.to_string()),
            Some(_) => LoadError::Unavailable(error.to_string()),
        },
    }
}

/// Reads everything in one transaction, so that an import is seen as a whole or not at all.
fn load_project(connection: &mut Connection, token: &str) -> rusqlite::Result<Option<RawProject>> {
    let transaction = connection.transaction()?;
    let Some(team) = load_team(&transaction, token)? else {
        return Ok(None);
    };
    let mut project = RawProject {
        team,
        ..RawProject::default()
    };
    let team_id = project.team.id;
    load_flags(&transaction, &mut project)?;
    project.cohorts = transaction
        .prepare_cached(
            "SELECT id, is_static, filters, groups, cohort_type FROM posthog_cohort
             WHERE team_id = ?1 AND NOT deleted ORDER BY id",
        )?
        .query_map([team_id], read_cohort)?
        .collect::<Result<_, _>>()?;
    project.group_types = transaction
        .prepare_cached(
            "SELECT group_type_index, group_type FROM posthog_grouptypemapping
             WHERE project_id = ?1 ORDER BY group_type_index",
        )?
        .query_map([project.team.project_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    project.remote_config = transaction
        .prepare_cached("SELECT config FROM posthog_remoteconfig WHERE team_id = ?1")?
        .query_row([team_id], |row| row.get(0))
        .optional()?;
    Ok(Some(project))
}

fn load_team(transaction: &Transaction<'_>, token: &str) -> rusqlite::Result<Option<RawTeam>> {
    transaction
        .prepare_cached(
            "SELECT t.id, coalesce(t.project_id, t.id), t.api_token, t.timezone,
                    coalesce(c.minimal_flag_called_events, 0), coalesce(t.cookieless_server_hash_mode, 0)
             FROM posthog_team t LEFT JOIN posthog_teamfeatureflagsconfig c ON c.team_id = t.id
             WHERE t.api_token = ?1",
        )?
        .query_row([token], |row| {
            Ok(RawTeam {
                id: row.get(0)?,
                project_id: row.get(1)?,
                api_token: row.get(2)?,
                timezone: row.get(3)?,
                minimal_flag_called_events: row.get(4)?,
                cookieless_server_hash_mode: row.get(5)?,
            })
        })
        .optional()
}

/// Flags as production selects them: no deleted ones, and none that is remote configuration with
/// encrypted payloads (`evaluation.md` 5).
fn load_flags(transaction: &Transaction<'_>, project: &mut RawProject) -> rusqlite::Result<()> {
    let team_id = project.team.id;
    let mut statement = transaction.prepare_cached(
        "SELECT id, key, filters, active, ensure_experience_continuity, version, evaluation_runtime,
                bucketing_identifier, has_experiment
         FROM posthog_featureflag
         WHERE team_id = ?1 AND NOT deleted
           AND NOT (coalesce(has_encrypted_payloads, 0) AND coalesce(is_remote_configuration, 0))
         ORDER BY id",
    )?;
    let mut rows = statement.query([team_id])?;
    while let Some(row) = rows.next()? {
        match read_flag(row, team_id)? {
            Ok(flag) => project.flags.push(flag),
            Err(malformed) => project.malformed_flags.push(malformed),
        }
    }
    attach_contexts(transaction, project)
}

fn read_flag(row: &Row<'_>, team_id: i32) -> rusqlite::Result<Result<RawFlag, MalformedFlag>> {
    let (id, key): (i32, String) = (row.get(0)?, row.get(1)?);
    let filters: RawFilters = match sonic_rs::from_str(row.get_ref(2)?.as_str()?) {
        Ok(filters) => filters,
        Err(error) => {
            return Ok(Err(MalformedFlag {
                id,
                key,
                error: error.to_string(),
            }));
        }
    };
    Ok(Ok(RawFlag {
        id,
        team_id,
        key,
        filters,
        deleted: false,
        active: row.get(3)?,
        ensure_experience_continuity: row.get(4)?,
        version: row.get(5)?,
        evaluation_runtime: row.get(6)?,
        evaluation_contexts: None,
        bucketing_identifier: row.get(7)?,
        has_experiment: row.get(8)?,
    }))
}

fn attach_contexts(transaction: &Transaction<'_>, project: &mut RawProject) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "SELECT l.feature_flag_id, c.name
         FROM posthog_evaluationcontext c
         JOIN posthog_featureflagevaluationcontext l ON l.evaluation_context_id = c.id
         WHERE c.team_id = ?1 ORDER BY l.feature_flag_id, c.name",
    )?;
    let mut rows = statement.query(params![project.team.id])?;
    while let Some(row) = rows.next()? {
        let flag_id: i32 = row.get(0)?;
        // Flags were read in order of their ids. Links of flags that were not loaded find nothing.
        if let Ok(place) = project.flags.binary_search_by_key(&flag_id, |flag| flag.id) {
            project.flags[place]
                .evaluation_contexts
                .get_or_insert_default()
                .push(row.get(1)?);
        }
    }
    Ok(())
}

fn read_cohort(row: &Row<'_>) -> rusqlite::Result<RawCohort> {
    Ok(RawCohort {
        id: row.get(0)?,
        deleted: false,
        is_static: row.get(1)?,
        filters: read_definition(row, 2)?,
        groups: read_definition(row, 3)?,
        cohort_type: row.get(4)?,
    })
}

/// A definition that is not JSON becomes one that is not an object, so that it costs the flags that
/// use it (`cohort_filters_parsing_error`) and nothing else.
fn read_definition(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Value>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
