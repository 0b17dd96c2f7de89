//! Rows as JSON text to the rows that entries are built from. Nested JSON is not parsed: it stays as it is written.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_postgres::Row;

use super::error::PostgresError;
use super::tables::column;
use super::timestamp::normalized;
use crate::hypercache::{CohortRow, FlagRow, TEAM_SETTING_COLUMNS, TeamRow};

/// Columns by name. Absent and null are the same.
type Columns<'t> = HashMap<&'t str, &'t RawValue>;

#[derive(Deserialize)]
struct RawTeam {
    id: i32,
    project_id: Option<i64>,
    organization_id: Option<String>,
    uuid: String,
    name: String,
    api_token: String,
    secret_api_token: Option<String>,
    secret_api_token_backup: Option<String>,
    timezone: String,
}

#[derive(Default, Deserialize)]
struct RawTeamConfig {
    minimal_flag_called_events: Option<bool>,
    property_matching_version: Option<i32>,
}

#[derive(Deserialize)]
struct RawFlag<'t> {
    id: i32,
    team_id: i32,
    name: String,
    key: String,
    #[serde(borrow)]
    filters: &'t RawValue,
    deleted: bool,
    active: bool,
    ensure_experience_continuity: Option<bool>,
    version: Option<i32>,
    evaluation_runtime: Option<String>,
    bucketing_identifier: Option<String>,
}

#[derive(Deserialize)]
struct RawCohort<'t> {
    id: i32,
    team_id: i32,
    name: Option<String>,
    description: Option<String>,
    deleted: bool,
    #[serde(borrow)]
    filters: Option<&'t RawValue>,
    #[serde(borrow)]
    query: Option<&'t RawValue>,
    version: Option<i32>,
    pending_version: Option<i32>,
    count: Option<i32>,
    is_calculating: bool,
    is_static: bool,
    errors_calculating: i32,
    #[serde(borrow)]
    groups: Option<&'t RawValue>,
    created_by_id: Option<i32>,
    cohort_type: Option<String>,
    #[serde(borrow)]
    condition_type: Option<&'t RawValue>,
    last_backfill_person_properties_at: Option<String>,
    last_backfill_events_at: Option<String>,
    last_realtime_cohort_calculation_at: Option<String>,
}

fn parse<'t, T: Deserialize<'t>>(row: &'t Row) -> Result<T, PostgresError> {
    serde_json::from_str(column(row, 0)?).map_err(|error| PostgresError::Row(error.to_string()))
}

/// The team of the one row, with its config row if there is one.
pub(super) fn team(rows: &[Row], config: &[Row]) -> Result<Option<TeamRow>, PostgresError> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let raw: RawTeam = parse(row)?;
    let columns: Columns<'_> = parse(row)?;
    let config = config
        .first()
        .map(parse::<RawTeamConfig>)
        .transpose()?
        .unwrap_or_default();
    Ok(Some(TeamRow {
        id: raw.id,
        project_id: raw.project_id,
        organization_id: raw.organization_id,
        uuid: raw.uuid,
        name: raw.name,
        api_token: raw.api_token,
        secret_api_token: raw.secret_api_token,
        secret_api_token_backup: raw.secret_api_token_backup,
        timezone: raw.timezone,
        organization_name: column(row, 1)?,
        project_name: column(row, 2)?,
        minimal_flag_called_events: config.minimal_flag_called_events.unwrap_or(false),
        property_matching_version: config.property_matching_version.unwrap_or(1),
        settings: TEAM_SETTING_COLUMNS
            .iter()
            .map(|name| columns.get(name).map_or("null", |value| value.get()).to_owned())
            .collect(),
        trigger_groups: columns
            .get("session_recording_trigger_groups")
            .map(|value| value.get())
            .filter(|text| *text != "null")
            .map(str::to_owned),
    }))
}

/// Flags with their contexts, sorted by name, and whether an experiment points at them.
pub(super) fn flags(
    rows: &[Row],
    mut contexts: HashMap<i32, Vec<String>>,
    experiments: &HashSet<i32>,
) -> Result<Vec<FlagRow>, PostgresError> {
    let flag = |row| {
        let raw: RawFlag<'_> = parse(row)?;
        let mut evaluation_contexts = contexts.remove(&raw.id).unwrap_or_default();
        // Here and not in the query, where the order is the database's collation.
        evaluation_contexts.sort_unstable();
        Ok(FlagRow {
            id: raw.id,
            team_id: raw.team_id,
            name: raw.name,
            key: raw.key,
            filters: raw.filters.get().to_owned(),
            deleted: raw.deleted,
            active: raw.active,
            ensure_experience_continuity: raw.ensure_experience_continuity,
            version: raw.version,
            evaluation_runtime: raw.evaluation_runtime,
            bucketing_identifier: raw.bucketing_identifier,
            evaluation_contexts,
            has_experiment: Some(experiments.contains(&raw.id)),
        })
    };
    rows.iter().map(flag).collect()
}

/// Cohorts in the order of the rows.
pub(super) fn cohorts(rows: &[Row]) -> Result<Vec<CohortRow>, PostgresError> {
    let text = |value: Option<&RawValue>| value.map(|value| value.get().to_owned());
    let cohort = |row| {
        let raw: RawCohort<'_> = parse(row)?;
        Ok(CohortRow {
            id: raw.id,
            team_id: raw.team_id,
            name: raw.name,
            description: raw.description,
            deleted: raw.deleted,
            filters: text(raw.filters),
            query: text(raw.query),
            version: raw.version,
            pending_version: raw.pending_version,
            count: raw.count,
            is_calculating: raw.is_calculating,
            is_static: raw.is_static,
            errors_calculating: raw.errors_calculating,
            groups: text(raw.groups),
            created_by_id: raw.created_by_id,
            cohort_type: raw.cohort_type,
            condition_type: text(raw.condition_type),
            last_backfill_person_properties_at: raw.last_backfill_person_properties_at.map(normalized),
            last_backfill_events_at: raw.last_backfill_events_at.map(normalized),
            last_realtime_cohort_calculation_at: raw.last_realtime_cohort_calculation_at.map(normalized),
        })
    };
    rows.iter().map(cohort).collect()
}
