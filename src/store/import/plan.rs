//! Which rows a document becomes: ids found again or allotted, clashes with other teams reported.

use std::collections::{HashMap, HashSet};

use super::clash;
use super::identity::derived_uuid;
use super::port::{Cell, Part, Rows};
use super::rows::texts;
use crate::definition::document::{Notes, ProjectDocument};

/// A document with everything that it left open.
pub(super) struct Plan<'d> {
    pub(super) document: &'d ProjectDocument,
    pub(super) team_id: i32,
    pub(super) team_uuid: String,
    pub(super) project_id: i64,
    pub(super) organization_id: String,
    /// The stored token that this import replaces.
    pub(super) previous_token: Option<String>,
    /// In the order of the document's flags.
    pub(super) flag_ids: Vec<i32>,
    /// In the order of the document's cohorts.
    pub(super) cohort_ids: Vec<i32>,
}

/// Plans all documents. The plans are only valid when no problem was added to `notes`.
pub(super) fn plan<'d, R: Rows>(
    rows: &mut R,
    documents: &'d [ProjectDocument],
    notes: &mut Notes,
) -> Result<Vec<Plan<'d>>, R::Error> {
    clash::check(documents, notes);
    let explicit = |of: fn(&ProjectDocument) -> Vec<i32>| documents.iter().flat_map(of).collect::<Vec<_>>();
    let mut fresh = Fresh {
        team: next_id(
            rows,
            "posthog_team",
            explicit(|document| document.team.id.into_iter().collect()),
        )?,
        flag: next_id(
            rows,
            "posthog_featureflag",
            explicit(|document| document.flags.iter().filter_map(|flag| flag.id).collect()),
        )?,
        cohort: next_id(
            rows,
            "posthog_cohort",
            explicit(|document| document.cohorts.iter().filter_map(|cohort| cohort.id).collect()),
        )?,
    };
    documents
        .iter()
        .map(|document| plan_one(rows, document, &mut fresh, notes))
        .collect()
}

/// Keeps the ids that the plans use from being given to rows that are made elsewhere.
pub(super) fn reserve<R: Rows>(rows: &mut R, plans: &[Plan<'_>]) -> Result<(), R::Error> {
    let teams = plans.iter().map(|plan| plan.team_id).max();
    let flags = plans.iter().flat_map(|plan| plan.flag_ids.iter().copied()).max();
    let cohorts = plans
        .iter()
        .flat_map(|plan| plan.cohort_ids.iter().copied())
        .max();
    let users = plans
        .iter()
        .flat_map(|plan| plan.document.personal_api_keys.iter().map(|key| key.user_id))
        .max();
    for (table, highest) in [
        ("posthog_team", teams),
        ("posthog_featureflag", flags),
        ("posthog_cohort", cohorts),
        ("posthog_user", users),
    ] {
        if let Some(highest) = highest {
            rows.reserve_ids(table, highest)?;
        }
    }
    Ok(())
}

/// Next id to allot, by table.
struct Fresh {
    team: i32,
    flag: i32,
    cohort: i32,
}

fn next_id<R: Rows>(rows: &mut R, table: &'static str, explicit: Vec<i32>) -> Result<i32, R::Error> {
    let stored = rows.highest_id(table)?;
    Ok(explicit.into_iter().fold(stored, i32::max).saturating_add(1))
}

fn take_next(next: &mut i32) -> i32 {
    let taken = *next;
    *next = next.saturating_add(1);
    taken
}

fn plan_one<'d, R: Rows>(
    rows: &mut R,
    document: &'d ProjectDocument,
    fresh: &mut Fresh,
    notes: &mut Notes,
) -> Result<Plan<'d>, R::Error> {
    let team = &document.team;
    let stored = find_team(rows, document, notes)?;
    let team_id = match (&stored, team.id) {
        (Some(stored), _) => stored.id,
        (None, Some(id)) => id,
        (None, None) => take_next(&mut fresh.team),
    };
    check_secrets(rows, document, team_id, notes)?;
    let project_id = team.project_id.unwrap_or_else(|| i64::from(team_id));
    let organization = texts(
        rows,
        Part::Main,
        "SELECT organization_id FROM posthog_project WHERE id = ?1",
        &[project_id.into()],
    )?
    .pop();
    let organization_id = team.organization_id.clone().or(organization);
    let stored_uuid = stored.as_ref().map(|stored| stored.uuid.clone());
    let team_uuid = team.uuid.clone().or(stored_uuid);
    let (flag_ids, cohort_ids) = (
        plan_flags(rows, document, team_id, fresh, notes)?,
        plan_cohorts(rows, document, team_id, fresh, notes)?,
    );
    Ok(Plan {
        document,
        team_id,
        team_uuid: team_uuid.unwrap_or_else(|| derived_uuid("team", &team.api_token)),
        project_id,
        organization_id: organization_id
            .unwrap_or_else(|| derived_uuid("organization of project", &project_id.to_string())),
        previous_token: stored
            .map(|stored| stored.api_token)
            .filter(|token| *token != team.api_token),
        flag_ids,
        cohort_ids,
    })
}

struct StoredTeam {
    id: i32,
    uuid: String,
    api_token: String,
}

fn stored_team<R: Rows>(rows: &mut R, column: &str, value: Cell) -> Result<Option<StoredTeam>, R::Error> {
    let sql = format!("SELECT id, uuid, api_token FROM posthog_team WHERE {column} = ?1");
    let found = rows.query(Part::Main, &sql, &[value])?;
    Ok(found.first().and_then(|row| match row.as_slice() {
        [id, uuid, api_token] => Some(StoredTeam {
            id: id.id()?,
            uuid: uuid.text()?.to_owned(),
            api_token: api_token.text()?.to_owned(),
        }),
        _ => None,
    }))
}

/// The stored team that the document means: that of the token, or of the uuid when the token is new.
fn find_team<R: Rows>(
    rows: &mut R,
    document: &ProjectDocument,
    notes: &mut Notes,
) -> Result<Option<StoredTeam>, R::Error> {
    let team = &document.team;
    let by_token = stored_team(rows, "api_token", (&team.api_token).into())?;
    let by_uuid = match &team.uuid {
        Some(uuid) => stored_team(rows, "uuid", uuid.into())?,
        None => None,
    };
    if let (Some(by_token), Some(by_uuid)) = (&by_token, &by_uuid)
        && by_token.id != by_uuid.id
    {
        let expected = format!(
            "a uuid that the team with the token {} does not have",
            by_uuid.api_token
        );
        document.problem(".team.uuid", &by_uuid.uuid, expected, notes);
    }
    let stored = by_token.or(by_uuid);
    match (&stored, team.id) {
        (Some(stored), Some(id)) if stored.id != id => {
            let expected = format!("{}, the id under which the store has this team", stored.id);
            document.problem(".team.id", &id.to_string(), expected, notes);
        }
        (None, Some(id)) => {
            if let Some(other) = stored_team(rows, "id", id.into())? {
                let expected = format!(
                    "an id that the team with the token {} does not have",
                    other.api_token
                );
                document.problem(".team.id", &id.to_string(), expected, notes);
            }
        }
        _ => {}
    }
    Ok(stored)
}

fn check_secrets<R: Rows>(
    rows: &mut R,
    document: &ProjectDocument,
    team_id: i32,
    notes: &mut Notes,
) -> Result<(), R::Error> {
    for (key, secret) in secrets(document) {
        let owner = texts(
            rows,
            Part::Main,
            "SELECT api_token FROM posthog_team
             WHERE (secret_api_token = ?1 OR secret_api_token_backup = ?1) AND id <> ?2",
            &[secret.into(), team_id.into()],
        )?
        .pop();
        if let Some(owner) = owner {
            let expected = format!("a secret that the team with the token {owner} does not have");
            document.problem(&format!(".team.{key}"), secret, expected, notes);
        }
    }
    Ok(())
}

/// Secret columns of the team that are given.
pub(super) fn secrets(document: &ProjectDocument) -> impl Iterator<Item = (&'static str, &String)> {
    let team = &document.team;
    let secret = team
        .secret_api_token
        .iter()
        .map(|secret| ("secret_api_token", secret));
    secret.chain(
        team.secret_api_token_backup
            .iter()
            .map(|secret| ("secret_api_token_backup", secret)),
    )
}

fn plan_flags<R: Rows>(
    rows: &mut R,
    document: &ProjectDocument,
    team_id: i32,
    fresh: &mut Fresh,
    notes: &mut Notes,
) -> Result<Vec<i32>, R::Error> {
    let wanted: Vec<Wanted<'_>> = document
        .flags
        .iter()
        .map(|flag| Wanted {
            id: flag.id,
            name: Some(&flag.key),
            place: format!(".flags[{}].id", flag.position),
        })
        .collect();
    let table = Table {
        name: "posthog_featureflag",
        name_column: "key",
        noun: "flag",
    };
    plan_ids(rows, &table, document, team_id, &wanted, &mut fresh.flag, notes)
}

fn plan_cohorts<R: Rows>(
    rows: &mut R,
    document: &ProjectDocument,
    team_id: i32,
    fresh: &mut Fresh,
    notes: &mut Notes,
) -> Result<Vec<i32>, R::Error> {
    let wanted: Vec<Wanted<'_>> = document
        .cohorts
        .iter()
        .map(|cohort| Wanted {
            id: cohort.id,
            name: cohort.name.as_deref(),
            place: format!(".cohorts[{}].id", cohort.position),
        })
        .collect();
    let table = Table {
        name: "posthog_cohort",
        name_column: "name",
        noun: "cohort",
    };
    plan_ids(rows, &table, document, team_id, &wanted, &mut fresh.cohort, notes)
}

struct Table {
    name: &'static str,
    name_column: &'static str,
    noun: &'static str,
}

struct Wanted<'d> {
    id: Option<i32>,
    name: Option<&'d str>,
    place: String,
}

/// Explicit ids stay, unless another team has them; the others are found again by name, or are new.
fn plan_ids<R: Rows>(
    rows: &mut R,
    table: &Table,
    document: &ProjectDocument,
    team_id: i32,
    wanted: &[Wanted<'_>],
    next: &mut i32,
    notes: &mut Notes,
) -> Result<Vec<i32>, R::Error> {
    let Table {
        name,
        name_column,
        noun,
    } = table;
    let stored = rows.query(
        Part::Main,
        &format!("SELECT {name_column}, id FROM {name} WHERE team_id = ?1 ORDER BY id DESC"),
        &[team_id.into()],
    )?;
    let stored: HashMap<&str, i32> = stored
        .iter()
        .filter_map(|row| Some((row.first()?.text()?, row.get(1)?.id()?)))
        .collect();
    let claimed: HashSet<i32> = wanted.iter().filter_map(|wanted| wanted.id).collect();
    let owner_sql = format!("SELECT team_id FROM {name} WHERE id = ?1");
    let mut ids = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let found = wanted
            .name
            .and_then(|name| stored.get(name))
            .filter(|id| !claimed.contains(id));
        let id = match (wanted.id, found) {
            (Some(id), _) => id,
            (None, Some(id)) => *id,
            (None, None) => take_next(next),
        };
        let found = rows.query(Part::Main, &owner_sql, &[id.into()])?;
        let owner = found.first().and_then(|row| row.first()?.id());
        if let Some(other) = owner.filter(|owner| *owner != team_id) {
            let expected = format!("an id that no {noun} of another team has (team {other} has it)");
            document.problem(&wanted.place, &id.to_string(), expected, notes);
        }
        ids.push(id);
    }
    Ok(ids)
}
