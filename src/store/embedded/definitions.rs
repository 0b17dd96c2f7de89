//! Rows that entries are built from.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction};
use serde_json::Value;

use super::EmbeddedStore;
use super::pool::PoolError;
use crate::hypercache::{
    BoxFuture, CohortRow, DatabaseError, DefinitionDatabase, FlagRow, ProjectRows, TEAM_SETTING_COLUMNS,
    TeamRow, TeamSelection,
};

impl EmbeddedStore {
    fn definitions<'a, T, F>(&'a self, job: F) -> BoxFuture<'a, Result<T, DatabaseError>>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        Box::pin(async move {
            let read = self.readers.query("read definitions", job);
            read.await.map_err(database_error)
        })
    }
}

impl DefinitionDatabase for EmbeddedStore {
    fn team_by_token<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<TeamRow>, DatabaseError>> {
        let token = token.to_owned();
        self.definitions(move |connection| {
            let query = team_query("t.api_token = ?1");
            let mut statement = connection.prepare_cached(&query)?;
            statement.query_row([token], read_team).optional()
        })
    }

    fn team_ids(&self, which: TeamSelection) -> BoxFuture<'_, Result<Vec<i32>, DatabaseError>> {
        self.definitions(move |connection| {
            let query = match which {
                TeamSelection::All => "SELECT id FROM posthog_team ORDER BY id",
                TeamSelection::WithFlags => {
                    "SELECT DISTINCT team_id FROM posthog_featureflag ORDER BY team_id"
                }
            };
            let mut statement = connection.prepare_cached(query)?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn project_rows(&self, team_id: i32) -> BoxFuture<'_, Result<Option<ProjectRows>, DatabaseError>> {
        self.definitions(move |connection| load_rows(connection, team_id))
    }

    fn cohorts(&self, team_id: i32) -> BoxFuture<'_, Result<Vec<CohortRow>, DatabaseError>> {
        self.definitions(move |connection| {
            let query = format!("{COHORT_QUERY} WHERE c.team_id = ?1 AND NOT c.deleted ORDER BY c.id");
            let mut statement = connection.prepare_cached(&query)?;
            statement.query_map([team_id], read_cohort)?.collect()
        })
    }

    fn group_types(&self, team_id: i32) -> BoxFuture<'_, Result<Vec<(i32, String)>, DatabaseError>> {
        self.definitions(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT group_type_index, group_type FROM posthog_grouptypemapping
                 WHERE team_id = ?1 ORDER BY group_type_index",
            )?;
            let rows = statement.query_map([team_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    fn project_group_types(
        &self,
        project_id: i64,
    ) -> BoxFuture<'_, Result<Vec<(i32, String)>, DatabaseError>> {
        self.definitions(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT group_type_index, group_type FROM posthog_grouptypemapping
                 WHERE project_id = ?1 ORDER BY group_type_index",
            )?;
            let rows = statement.query_map([project_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }
}

pub(super) fn database_error(error: PoolError) -> DatabaseError {
    match error {
        PoolError::Unavailable(reason) => DatabaseError::Unavailable(reason.to_owned()),
        PoolError::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DatabaseError::Timeout,
            // No SQLite code: a column holds what its type does not allow.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => {
                DatabaseError::Corrupt(error.to_string())
            }
            Some(_) => DatabaseError::Failed(error.to_string()),
        },
    }
}

/// Everything in one transaction, so that an import is seen as a whole or not at all.
fn load_rows(connection: &mut Connection, team_id: i32) -> rusqlite::Result<Option<ProjectRows>> {
    let transaction = connection.transaction()?;
    let team = transaction
        .prepare_cached(&team_query("t.id = ?1"))?
        .query_row([team_id], read_team)
        .optional()?;
    let Some(team) = team else {
        return Ok(None);
    };
    let project_id = team.project_id.unwrap_or_else(|| team_id.into());
    let cohorts = format!(
        "{COHORT_QUERY} JOIN posthog_team t ON t.id = c.team_id
         WHERE coalesce(t.project_id, t.id) = ?1 AND NOT c.deleted ORDER BY c.id"
    );
    let cohorts = transaction
        .prepare_cached(&cohorts)?
        .query_map([project_id], read_cohort)?
        .collect::<Result<_, _>>()?;
    let remote_config = transaction
        .prepare_cached("SELECT config FROM posthog_remoteconfig WHERE team_id = ?1")?
        .query_row([team_id], |row| row.get(0))
        .optional()?;
    Ok(Some(ProjectRows {
        flags: load_flags(&transaction, team_id)?,
        team,
        cohorts,
        // Documents have no surveys.
        survey_flag_ids: Vec::new(),
        remote_config,
        // Nor these rules.
        suppression_rules: Vec::new(),
    }))
}

fn load_flags(transaction: &Transaction<'_>, team_id: i32) -> rusqlite::Result<Vec<FlagRow>> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, name, key, filters, active, ensure_experience_continuity, version, evaluation_runtime,
                bucketing_identifier, has_experiment
         FROM posthog_featureflag
         WHERE team_id = ?1 AND NOT deleted
           AND NOT (coalesce(has_encrypted_payloads, 0) AND coalesce(is_remote_configuration, 0))
         ORDER BY id",
    )?;
    let flags = statement.query_map([team_id], |row| {
        Ok(FlagRow {
            id: row.get(0)?,
            team_id,
            name: row.get(1)?,
            key: row.get(2)?,
            filters: row.get(3)?,
            deleted: false,
            active: row.get(4)?,
            ensure_experience_continuity: row.get(5)?,
            version: row.get(6)?,
            evaluation_runtime: row.get(7)?,
            bucketing_identifier: row.get(8)?,
            evaluation_contexts: Vec::new(),
            has_experiment: row.get(9)?,
        })
    })?;
    let mut flags: Vec<FlagRow> = flags.collect::<Result<_, _>>()?;
    let mut statement = transaction.prepare_cached(
        "SELECT l.feature_flag_id, c.name
         FROM posthog_evaluationcontext c
         JOIN posthog_featureflagevaluationcontext l ON l.evaluation_context_id = c.id
         WHERE c.team_id = ?1 ORDER BY l.feature_flag_id, c.name",
    )?;
    let mut links = statement.query([team_id])?;
    while let Some(link) = links.next()? {
        let id: i32 = link.get(0)?;
        // Links of flags that were not selected find nothing.
        let place = flags.binary_search_by_key(&id, |flag| flag.id).ok();
        if let Some(flag) = place.and_then(|place| flags.get_mut(place)) {
            flag.evaluation_contexts.push(link.get(1)?);
        }
    }
    Ok(flags)
}

/// Columns before the settings.
const TEAM_COLUMNS: usize = 13;

fn team_query(condition: &str) -> String {
    let settings: Vec<String> = TEAM_SETTING_COLUMNS
        .iter()
        .map(|name| format!("t.{name}"))
        .collect();
    format!(
        "SELECT t.id, t.project_id, t.organization_id, t.uuid, t.name, t.api_token, t.secret_api_token,
                t.secret_api_token_backup, t.timezone, o.name, p.name,
                coalesce(f.minimal_flag_called_events, 0), coalesce(f.property_matching_version, 1), {},
                t.session_recording_trigger_groups
         FROM posthog_team t
         LEFT JOIN posthog_organization o ON o.id = t.organization_id
         LEFT JOIN posthog_project p ON p.id = t.project_id
         LEFT JOIN posthog_teamfeatureflagsconfig f ON f.team_id = t.id
         WHERE {condition}",
        settings.join(", ")
    )
}

fn read_team(row: &Row<'_>) -> rusqlite::Result<TeamRow> {
    let columns = TEAM_SETTING_COLUMNS.iter().enumerate();
    let settings = columns.map(|(place, name)| setting(name, row.get_ref(TEAM_COLUMNS + place)?));
    Ok(TeamRow {
        settings: settings.collect::<rusqlite::Result<_>>()?,
        trigger_groups: row.get(TEAM_COLUMNS + TEAM_SETTING_COLUMNS.len())?,
        id: row.get(0)?,
        project_id: row.get(1)?,
        organization_id: row.get(2)?,
        uuid: row.get(3)?,
        name: row.get(4)?,
        api_token: row.get(5)?,
        secret_api_token: row.get(6)?,
        secret_api_token_backup: row.get(7)?,
        timezone: row.get(8)?,
        organization_name: row.get(9)?,
        project_name: row.get(10)?,
        minimal_flag_called_events: row.get(11)?,
        property_matching_version: row.get(12)?,
    })
}

/// A setting as JSON text: SQLite has neither booleans nor JSON.
fn setting(name: &str, value: ValueRef<'_>) -> rusqlite::Result<String> {
    Ok(match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => match name {
            "session_recording_minimum_duration_milliseconds" | "cookieless_server_hash_mode" => {
                number.to_string()
            }
            _ => (number != 0).to_string(),
        },
        value if name == "session_recording_trigger_match_type_config" => {
            Value::from(value.as_str()?).to_string()
        }
        value => value.as_str()?.to_owned(),
    })
}

const COHORT_QUERY: &str = "SELECT c.id, c.team_id, c.name, c.description, c.filters, c.query, c.version, \
                            c.is_static, c.cohort_type, c.groups FROM posthog_cohort c";

/// What only a calculation knows has no column here and stays at its default.
fn read_cohort(row: &Row<'_>) -> rusqlite::Result<CohortRow> {
    Ok(CohortRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        filters: row.get(4)?,
        query: row.get(5)?,
        version: row.get(6)?,
        is_static: row.get(7)?,
        cohort_type: row.get(8)?,
        groups: row.get(9)?,
        ..CohortRow::default()
    })
}
