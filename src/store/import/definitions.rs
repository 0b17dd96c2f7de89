//! Team, flags, cohorts, group types, configuration: what snapshots are compiled from.

use std::collections::{HashMap, HashSet};

use super::identity::derived_uuid;
use super::plan::Plan;
use super::port::{Cell, Column, Part, Rows};
use super::rows::{ensure, execute, texts, update, upsert};
use crate::definition::document::{DocumentCohort, DocumentFlag, DocumentTeam, SETTING_NAMES, Setting};

impl From<&Setting> for Cell {
    fn from(setting: &Setting) -> Self {
        match setting {
            Setting::Boolean(value) => Self::Bool(*value),
            Setting::Integer(value) => Self::Int(*value),
            Setting::Text(value) => Self::Text(value.clone()),
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

pub(super) fn write_team<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<bool, R::Error> {
    let team = &plan.document.team;
    let name = team.name.as_deref().unwrap_or("Default project");
    ensure(
        rows,
        "posthog_organization",
        &["id"],
        vec![("id", (&plan.organization_id).into()), ("name", name.into())],
    )?;
    ensure(
        rows,
        "posthog_project",
        &["id"],
        vec![
            ("id", plan.project_id.into()),
            ("organization_id", (&plan.organization_id).into()),
            ("name", name.into()),
        ],
    )?;
    let timezone = team.timezone.as_deref().unwrap_or("UTC");
    let mut columns: Vec<Column> = vec![
        ("id", plan.team_id.into()),
        ("uuid", (&plan.team_uuid).into()),
        ("organization_id", (&plan.organization_id).into()),
        ("project_id", plan.project_id.into()),
        ("name", name.into()),
        ("api_token", (&team.api_token).into()),
        ("secret_api_token", (&team.secret_api_token).into()),
        ("secret_api_token_backup", (&team.secret_api_token_backup).into()),
        ("timezone", timezone.into()),
        (
            "cookieless_server_hash_mode",
            team.cookieless_server_hash_mode.into(),
        ),
    ];
    for name in SETTING_NAMES {
        columns.push((name, setting(team, name).map_or(Cell::Null, Cell::from)));
    }
    let changed = upsert(rows, "posthog_team", &["id"], columns)?;
    Ok(changed | write_team_config(rows, plan)?)
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

fn write_team_config<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<bool, R::Error> {
    let team = &plan.document.team;
    if team.minimal_flag_called_events.is_none() && team.property_matching_version.is_none() {
        let sql = "DELETE FROM posthog_teamfeatureflagsconfig WHERE team_id = ?1";
        return execute(rows, Part::Main, sql, &[plan.team_id.into()]);
    }
    let minimal = team.minimal_flag_called_events.unwrap_or(false);
    let columns = vec![
        ("team_id", plan.team_id.into()),
        ("minimal_flag_called_events", minimal.into()),
        (
            "property_matching_version",
            team.property_matching_version.unwrap_or(1).into(),
        ),
    ];
    upsert(rows, "posthog_teamfeatureflagsconfig", &["team_id"], columns)
}

pub(super) fn write_flags<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<bool, R::Error> {
    let flags: Vec<(i32, &DocumentFlag)> = plan.flag_ids.iter().copied().zip(&plan.document.flags).collect();
    let wanted: HashMap<i32, &str> = flags.iter().map(|(id, flag)| (*id, flag.key.as_str())).collect();
    let sql = "SELECT id, key FROM posthog_featureflag WHERE team_id = ?1";
    let mut changed = false;
    for row in rows.query(Part::Main, sql, &[plan.team_id.into()])? {
        let (Some(id), Some(key)) = (
            row.first().and_then(Cell::id),
            row.get(1).and_then(|cell| cell.text()),
        ) else {
            continue;
        };
        match wanted.get(&id) {
            None => {
                rows.remove_flag(id)?;
                changed = true;
            }
            // Out of the way first: two flags may have swapped their keys.
            Some(wanted) if *wanted != key => {
                let aside = derived_uuid("flag between two keys", &id.to_string());
                let columns = vec![("id", id.into()), ("key", aside.into())];
                changed |= update(rows, "posthog_featureflag", &["id"], columns)?;
            }
            Some(_) => {}
        }
    }
    for (id, flag) in flags {
        changed |= write_flag(rows, plan.team_id, id, flag)?;
        changed |= rows.write_experiment(plan.team_id, id, flag.has_experiment)?;
        changed |= write_contexts(rows, plan.team_id, id, &flag.evaluation_contexts)?;
    }
    Ok(changed)
}

fn write_flag<R: Rows>(rows: &mut R, team_id: i32, id: i32, flag: &DocumentFlag) -> Result<bool, R::Error> {
    let columns = vec![
        ("id", id.into()),
        ("team_id", team_id.into()),
        ("key", (&flag.key).into()),
        ("name", (&flag.name).into()),
        ("filters", (&flag.filters).into()),
        ("active", flag.active.into()),
        ("deleted", flag.deleted.into()),
        ("archived", flag.archived.into()),
        ("version", (&flag.version).into()),
        (
            "ensure_experience_continuity",
            (&flag.ensure_experience_continuity).into(),
        ),
        ("is_remote_configuration", (&flag.is_remote_configuration).into()),
        ("has_encrypted_payloads", (&flag.has_encrypted_payloads).into()),
        ("has_enriched_analytics", (&flag.has_enriched_analytics).into()),
        ("evaluation_runtime", (&flag.evaluation_runtime).into()),
        ("bucketing_identifier", (&flag.bucketing_identifier).into()),
    ];
    upsert(rows, "posthog_featureflag", &["id"], columns)
}

/// Links a flag to its evaluation contexts; those of the document are sorted by name.
fn write_contexts<R: Rows>(
    rows: &mut R,
    team_id: i32,
    flag_id: i32,
    contexts: &[String],
) -> Result<bool, R::Error> {
    let mut stored = texts(
        rows,
        Part::Main,
        "SELECT c.name FROM posthog_featureflagevaluationcontext l
         JOIN posthog_evaluationcontext c ON c.id = l.evaluation_context_id
         WHERE l.feature_flag_id = ?1",
        &[flag_id.into()],
    )?;
    // Not in the statement: the order of a database follows its collation.
    stored.sort_unstable();
    if stored == contexts {
        return Ok(false);
    }
    let unlink = "DELETE FROM posthog_featureflagevaluationcontext WHERE feature_flag_id = ?1";
    execute(rows, Part::Main, unlink, &[flag_id.into()])?;
    for name in contexts {
        let derived = derived_uuid("evaluation context", &format!("{team_id} {name}"));
        let columns = vec![
            ("id", (&derived).into()),
            ("team_id", team_id.into()),
            ("name", name.into()),
        ];
        ensure(rows, "posthog_evaluationcontext", &["team_id", "name"], columns)?;
        let found = texts(
            rows,
            Part::Main,
            "SELECT id FROM posthog_evaluationcontext WHERE team_id = ?1 AND name = ?2",
            &[team_id.into(), name.into()],
        )?;
        let id = found.into_iter().next().unwrap_or(derived);
        let link = vec![
            ("feature_flag_id", flag_id.into()),
            ("evaluation_context_id", id.into()),
        ];
        let keys = ["feature_flag_id", "evaluation_context_id"];
        ensure(rows, "posthog_featureflagevaluationcontext", &keys, link)?;
    }
    Ok(true)
}

pub(super) fn write_cohorts<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<bool, R::Error> {
    let wanted: HashSet<i32> = plan.cohort_ids.iter().copied().collect();
    let sql = "SELECT id FROM posthog_cohort WHERE team_id = ?1";
    let stored = rows.query(Part::Main, sql, &[plan.team_id.into()])?;
    let mut changed = false;
    for id in stored.iter().filter_map(|row| row.first()?.id()) {
        if wanted.contains(&id) {
            continue;
        }
        let members = "DELETE FROM posthog_cohortpeople WHERE cohort_id = ?1";
        execute(rows, Part::Persons, members, &[id.into()])?;
        let cohort = "DELETE FROM posthog_cohort WHERE id = ?1";
        changed |= execute(rows, Part::Main, cohort, &[id.into()])?;
    }
    for (id, cohort) in plan.cohort_ids.iter().zip(&plan.document.cohorts) {
        changed |= write_cohort(rows, plan.team_id, *id, cohort)?;
    }
    Ok(changed)
}

fn write_cohort<R: Rows>(
    rows: &mut R,
    team_id: i32,
    id: i32,
    cohort: &DocumentCohort,
) -> Result<bool, R::Error> {
    let columns = vec![
        ("id", id.into()),
        ("team_id", team_id.into()),
        ("name", (&cohort.name).into()),
        ("description", (&cohort.description).into()),
        ("deleted", cohort.deleted.into()),
        ("filters", (&cohort.filters).into()),
        ("query", (&cohort.query).into()),
        ("version", (&cohort.version).into()),
        ("is_static", cohort.is_static.into()),
        ("kind", (&cohort.kind).into()),
        ("cohort_type", (&cohort.cohort_type).into()),
        ("groups", (&cohort.groups).into()),
    ];
    upsert(rows, "posthog_cohort", &["id"], columns)
}

pub(super) fn write_group_types<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<bool, R::Error> {
    let stored = rows.query(
        Part::Persons,
        "SELECT group_type_index, group_type FROM posthog_grouptypemapping
         WHERE project_id = ?1 ORDER BY group_type_index",
        &[plan.project_id.into()],
    )?;
    let stored: Vec<(i32, &str)> = stored
        .iter()
        .filter_map(|row| Some((row.first()?.id()?, row.get(1)?.text()?)))
        .collect();
    let wanted = plan.document.group_types.iter();
    if wanted
        .map(|(index, name)| (*index, name.as_str()))
        .eq(stored.iter().copied())
    {
        return Ok(false);
    }
    execute(
        rows,
        Part::Persons,
        "DELETE FROM posthog_grouptypemapping WHERE project_id = ?1",
        &[plan.project_id.into()],
    )?;
    for (index, name) in &plan.document.group_types {
        let columns = vec![
            ("team_id", plan.team_id.into()),
            ("project_id", plan.project_id.into()),
            ("group_type", name.into()),
            ("group_type_index", (*index).into()),
        ];
        let keys = ["project_id", "group_type_index"];
        upsert(rows, "posthog_grouptypemapping", &keys, columns)?;
    }
    Ok(true)
}

pub(super) fn write_config<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<bool, R::Error> {
    match &plan.document.config {
        Some(config) => {
            let columns = vec![("team_id", plan.team_id.into()), ("config", config.into())];
            upsert(rows, "posthog_remoteconfig", &["team_id"], columns)
        }
        None => {
            let sql = "DELETE FROM posthog_remoteconfig WHERE team_id = ?1";
            execute(rows, Part::Main, sql, &[plan.team_id.into()])
        }
    }
}
