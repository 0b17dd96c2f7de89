//! Team, flags, cohorts, group types, configuration: what snapshots are compiled from.

use std::collections::HashSet;

use rusqlite::{ToSql, Transaction, params};

use super::identity::derived_uuid;
use super::plan::Plan;
use super::rows::{Column, execute, upsert};
use crate::definition::document::{DocumentCohort, DocumentFlag, DocumentTeam, SETTING_NAMES, Setting};

impl ToSql for Setting {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Self::Boolean(value) => value.to_sql(),
            Self::Integer(value) => value.to_sql(),
            Self::Text(value) => value.to_sql(),
        }
    }
}

/// Team columns that are not null when a document leaves them out.
static SETTING_DEFAULTS: [(&str, Setting); 5] = [
    ("capture_performance_opt_in", Setting::Boolean(true)),
    ("capture_console_log_opt_in", Setting::Boolean(true)),
    ("capture_dead_clicks", Setting::Boolean(false)),
    ("flags_persistence_default", Setting::Boolean(false)),
    ("session_recording_opt_in", Setting::Boolean(false)),
];

pub(super) fn write_team(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    let team = &plan.document.team;
    let name = team.name.as_deref().unwrap_or("Default project");
    let organization = "INSERT INTO posthog_organization (id, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    execute(transaction, organization, params![plan.organization_id, name])?;
    let project =
        "INSERT INTO posthog_project (id, organization_id, name) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    execute(
        transaction,
        project,
        params![plan.project_id, plan.organization_id, name],
    )?;
    let timezone = team.timezone.as_deref().unwrap_or("UTC");
    let mut columns: Vec<Column<'_>> = vec![
        ("id", &plan.team_id),
        ("uuid", &plan.team_uuid),
        ("organization_id", &plan.organization_id),
        ("project_id", &plan.project_id),
        ("name", &name),
        ("api_token", &team.api_token),
        ("secret_api_token", &team.secret_api_token),
        ("secret_api_token_backup", &team.secret_api_token_backup),
        ("timezone", &timezone),
        ("cookieless_server_hash_mode", &team.cookieless_server_hash_mode),
    ];
    let settings: Vec<Option<&Setting>> = SETTING_NAMES.iter().map(|name| setting(team, name)).collect();
    for (name, setting) in SETTING_NAMES.into_iter().zip(&settings) {
        columns.push((name, setting));
    }
    let changed = upsert(transaction, "posthog_team", &["id"], &columns)?;
    Ok(changed | write_team_config(transaction, plan)?)
}

/// What the document gives, or the column's default; `None` is null.
fn setting<'a>(team: &'a DocumentTeam, name: &str) -> Option<&'a Setting> {
    let given = team
        .settings
        .iter()
        .find(|(given, _)| *given == name)
        .map(|(_, setting)| setting);
    given.or_else(|| {
        SETTING_DEFAULTS
            .iter()
            .find(|(default, _)| *default == name)
            .map(|(_, setting)| setting)
    })
}

fn write_team_config(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    let team = &plan.document.team;
    if team.minimal_flag_called_events.is_none() && team.property_matching_version.is_none() {
        let sql = "DELETE FROM posthog_teamfeatureflagsconfig WHERE team_id = ?1";
        return execute(transaction, sql, params![plan.team_id]);
    }
    let columns: [Column<'_>; 3] = [
        ("team_id", &plan.team_id),
        (
            "minimal_flag_called_events",
            &team.minimal_flag_called_events.unwrap_or(false),
        ),
        (
            "property_matching_version",
            &team.property_matching_version.unwrap_or(1),
        ),
    ];
    upsert(
        transaction,
        "posthog_teamfeatureflagsconfig",
        &["team_id"],
        &columns,
    )
}

pub(super) fn write_flags(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    let flags: Vec<(i32, &DocumentFlag)> = plan.flag_ids.iter().copied().zip(&plan.document.flags).collect();
    // Rows whose key changes go too: two flags may have swapped their keys.
    let wanted: HashSet<(i32, &str)> = flags.iter().map(|(id, flag)| (*id, flag.key.as_str())).collect();
    let stored: Vec<(i32, String)> = transaction
        .prepare_cached("SELECT id, key FROM posthog_featureflag WHERE team_id = ?1")?
        .query_map([plan.team_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut changed = false;
    for (id, key) in &stored {
        if !wanted.contains(&(*id, key.as_str())) {
            changed |= execute(
                transaction,
                "DELETE FROM posthog_featureflag WHERE id = ?1",
                params![id],
            )?;
        }
    }
    for (id, flag) in flags {
        let columns: [Column<'_>; 16] = [
            ("id", &id),
            ("team_id", &plan.team_id),
            ("key", &flag.key),
            ("name", &flag.name),
            ("filters", &flag.filters),
            ("active", &flag.active),
            ("deleted", &flag.deleted),
            ("archived", &flag.archived),
            ("version", &flag.version),
            ("ensure_experience_continuity", &flag.ensure_experience_continuity),
            ("is_remote_configuration", &flag.is_remote_configuration),
            ("has_encrypted_payloads", &flag.has_encrypted_payloads),
            ("has_enriched_analytics", &flag.has_enriched_analytics),
            ("evaluation_runtime", &flag.evaluation_runtime),
            ("bucketing_identifier", &flag.bucketing_identifier),
            ("has_experiment", &flag.has_experiment),
        ];
        changed |= upsert(transaction, "posthog_featureflag", &["id"], &columns)?;
        changed |= write_contexts(transaction, plan.team_id, id, &flag.evaluation_contexts)?;
    }
    Ok(changed)
}

/// Links a flag to its evaluation contexts; both lists are sorted by name.
fn write_contexts(
    transaction: &Transaction<'_>,
    team_id: i32,
    flag_id: i32,
    contexts: &[String],
) -> rusqlite::Result<bool> {
    let stored: Vec<String> = transaction
        .prepare_cached(
            "SELECT c.name FROM posthog_featureflagevaluationcontext l
             JOIN posthog_evaluationcontext c ON c.id = l.evaluation_context_id
             WHERE l.feature_flag_id = ?1 ORDER BY c.name",
        )?
        .query_map([flag_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if stored == contexts {
        return Ok(false);
    }
    let unlink = "DELETE FROM posthog_featureflagevaluationcontext WHERE feature_flag_id = ?1";
    execute(transaction, unlink, params![flag_id])?;
    for name in contexts {
        let id = derived_uuid("evaluation context", &format!("{team_id} {name}"));
        let context: [Column<'_>; 3] = [("id", &id), ("team_id", &team_id), ("name", name)];
        upsert(transaction, "posthog_evaluationcontext", &["id"], &context)?;
        let link: [Column<'_>; 2] = [("feature_flag_id", &flag_id), ("evaluation_context_id", &id)];
        let keys = ["feature_flag_id", "evaluation_context_id"];
        upsert(transaction, "posthog_featureflagevaluationcontext", &keys, &link)?;
    }
    Ok(true)
}

pub(super) fn write_cohorts(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    let wanted: HashSet<i32> = plan.cohort_ids.iter().copied().collect();
    let stored: Vec<i32> = transaction
        .prepare_cached("SELECT id FROM posthog_cohort WHERE team_id = ?1")?
        .query_map([plan.team_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut changed = false;
    for id in stored.into_iter().filter(|id| !wanted.contains(id)) {
        execute(
            transaction,
            "DELETE FROM posthog_cohortpeople WHERE cohort_id = ?1",
            params![id],
        )?;
        changed |= execute(
            transaction,
            "DELETE FROM posthog_cohort WHERE id = ?1",
            params![id],
        )?;
    }
    for (id, cohort) in plan.cohort_ids.iter().zip(&plan.document.cohorts) {
        changed |= write_cohort(transaction, plan.team_id, *id, cohort)?;
    }
    Ok(changed)
}

fn write_cohort(
    transaction: &Transaction<'_>,
    team_id: i32,
    id: i32,
    cohort: &DocumentCohort,
) -> rusqlite::Result<bool> {
    let columns: [Column<'_>; 12] = [
        ("id", &id),
        ("team_id", &team_id),
        ("name", &cohort.name),
        ("description", &cohort.description),
        ("deleted", &cohort.deleted),
        ("filters", &cohort.filters),
        ("query", &cohort.query),
        ("version", &cohort.version),
        ("is_static", &cohort.is_static),
        ("kind", &cohort.kind),
        ("cohort_type", &cohort.cohort_type),
        ("groups", &cohort.groups),
    ];
    upsert(transaction, "posthog_cohort", &["id"], &columns)
}

pub(super) fn write_group_types(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    let stored: Vec<(i32, String)> = transaction
        .prepare_cached(
            "SELECT group_type_index, group_type FROM posthog_grouptypemapping
             WHERE project_id = ?1 ORDER BY group_type_index",
        )?
        .query_map([plan.project_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    if stored == plan.document.group_types {
        return Ok(false);
    }
    execute(
        transaction,
        "DELETE FROM posthog_grouptypemapping WHERE project_id = ?1",
        params![plan.project_id],
    )?;
    for (index, name) in &plan.document.group_types {
        let columns: [Column<'_>; 4] = [
            ("team_id", &plan.team_id),
            ("project_id", &plan.project_id),
            ("group_type", name),
            ("group_type_index", index),
        ];
        upsert(
            transaction,
            "posthog_grouptypemapping",
            &["project_id", "group_type_index"],
            &columns,
        )?;
    }
    Ok(true)
}

pub(super) fn write_config(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    match &plan.document.config {
        Some(config) => {
            let columns: [Column<'_>; 2] = [("team_id", &plan.team_id), ("config", config)];
            upsert(transaction, "posthog_remoteconfig", &["team_id"], &columns)
        }
        None => execute(
            transaction,
            "DELETE FROM posthog_remoteconfig WHERE team_id = ?1",
            params![plan.team_id],
        ),
    }
}

pub(super) fn write_quota(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<bool> {
    let stored: Vec<String> = transaction
        .prepare_cached("SELECT resource FROM embedded_quota_limited WHERE team_id = ?1 ORDER BY resource")?
        .query_map([plan.team_id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if stored == plan.document.quota_limited {
        return Ok(false);
    }
    execute(
        transaction,
        "DELETE FROM embedded_quota_limited WHERE team_id = ?1",
        params![plan.team_id],
    )?;
    for resource in &plan.document.quota_limited {
        let columns: [Column<'_>; 2] = [("team_id", &plan.team_id), ("resource", resource)];
        upsert(
            transaction,
            "embedded_quota_limited",
            &["team_id", "resource"],
            &columns,
        )?;
    }
    Ok(true)
}
