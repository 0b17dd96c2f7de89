//! Importing project documents: all of them, or nothing.
//!
//! What rows a document becomes is decided here, once for every store. The transaction, and where it
//! is committed, belong to the store that implements `Rows`.

mod clash;
mod definitions;
mod identity;
mod keys;
mod people;
mod plan;
mod port;
mod report;
mod rows;

pub use report::{ChangedTeam, ImportError, ImportReport, ProjectReport};

pub(crate) use port::{Cell, Column, Part, Row, Rows};

use crate::definition::document::parse;
use plan::Plan;

/// Parses `bytes` and writes every document into the open transaction behind `rows`, which the caller
/// commits when this succeeds, and drops when it does not.
pub(crate) fn import<R: Rows>(rows: &mut R, bytes: &[u8]) -> Result<ImportReport, ImportError<R::Error>> {
    let parsed = parse(bytes);
    let mut notes = parsed.notes;
    let plans = plan::plan(rows, &parsed.documents, &mut notes).map_err(ImportError::Store)?;
    if !notes.problems.is_empty() {
        let warnings = std::mem::take(&mut notes.warnings);
        return Err(ImportError::Problems {
            problems: notes.into_problems(),
            warnings,
        });
    }
    let mut report = ImportReport {
        warnings: notes.warnings,
        ..ImportReport::default()
    };
    apply_all(rows, &plans, &mut report).map_err(ImportError::Store)?;
    Ok(report)
}

fn apply_all<R: Rows>(rows: &mut R, plans: &[Plan<'_>], report: &mut ImportReport) -> Result<(), R::Error> {
    plan::reserve(rows, plans)?;
    for plan in plans {
        apply(rows, plan, report)?;
    }
    Ok(())
}

fn apply<R: Rows>(rows: &mut R, plan: &Plan<'_>, report: &mut ImportReport) -> Result<(), R::Error> {
    let document = plan.document;
    let mut changed = definitions::write_team(rows, plan)?;
    changed |= definitions::write_flags(rows, plan)?;
    changed |= definitions::write_cohorts(rows, plan)?;
    changed |= definitions::write_config(rows, plan)?;
    changed |= rows.write_quota(plan.team_id, &document.quota_limited)?;
    changed |= keys::write(rows, plan)?;
    let mapping_changed = definitions::write_group_types(rows, plan)?;
    people::write_groups(rows, plan)?;
    let persons = people::write_persons(rows, plan)?;
    people::write_members(rows, plan, &persons)?;
    if changed || mapping_changed {
        announce(rows, plan.team_id, &document.team.api_token, report)?;
    }
    if let Some(previous) = &plan.previous_token {
        rows.announce(previous)?;
        report.replaced_tokens.push(previous.clone());
    }
    if mapping_changed {
        announce_siblings(rows, plan, report)?;
    }
    report.projects.push(ProjectReport {
        team_id: plan.team_id,
        api_token: document.team.api_token.clone(),
        flags: document.flags.len(),
        cohorts: document.cohorts.len(),
        persons: document.persons.len(),
        quota_limited: document.quota_limited.clone(),
        definitions_changed: changed || mapping_changed,
    });
    Ok(())
}

fn announce<R: Rows>(
    rows: &mut R,
    team_id: i32,
    api_token: &str,
    report: &mut ImportReport,
) -> Result<(), R::Error> {
    let team = ChangedTeam {
        team_id,
        api_token: api_token.to_owned(),
    };
    if !report.changed.contains(&team) {
        report.changed.push(team);
    }
    rows.announce(api_token)
}

/// Group types belong to the project: other teams of it read them too.
fn announce_siblings<R: Rows>(
    rows: &mut R,
    plan: &Plan<'_>,
    report: &mut ImportReport,
) -> Result<(), R::Error> {
    let siblings = rows.query(
        Part::Main,
        "SELECT id, api_token FROM posthog_team WHERE coalesce(project_id, id) = ?1 AND id <> ?2",
        &[plan.project_id.into(), plan.team_id.into()],
    )?;
    for sibling in &siblings {
        if let [id, token] = sibling.as_slice()
            && let (Some(id), Some(token)) = (id.id(), token.text())
        {
            announce(rows, id, token, report)?;
        }
    }
    Ok(())
}
