//! Groups, persons, static membership and given hash key overrides.

use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, Transaction, params};

use super::identity::derived_uuid;
use super::plan::Plan;
use super::rows::{Column, execute, upsert};
use crate::definition::document::DocumentPerson;

pub(super) fn write_groups(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<()> {
    let groups = &plan.document.groups;
    let wanted: HashSet<(i32, &str)> = groups
        .iter()
        .map(|group| (group.group_type_index, group.group_key.as_str()))
        .collect();
    let stored: Vec<(i32, String)> = transaction
        .prepare_cached("SELECT group_type_index, group_key FROM posthog_group WHERE team_id = ?1")?
        .query_map([plan.team_id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (index, key) in stored
        .iter()
        .filter(|(index, key)| !wanted.contains(&(*index, key.as_str())))
    {
        let sql = "DELETE FROM posthog_group WHERE team_id = ?1 AND group_type_index = ?2 AND group_key = ?3";
        execute(transaction, sql, params![plan.team_id, index, key])?;
    }
    for group in groups {
        let columns: [Column<'_>; 4] = [
            ("team_id", &plan.team_id),
            ("group_type_index", &group.group_type_index),
            ("group_key", &group.group_key),
            ("group_properties", &group.properties),
        ];
        upsert(
            transaction,
            "posthog_group",
            &["team_id", "group_key", "group_type_index"],
            &columns,
        )?;
    }
    Ok(())
}

/// Writes the persons of the document and returns the row ids by distinct id.
pub(super) fn write_persons<'d>(
    transaction: &Transaction<'_>,
    plan: &Plan<'d>,
) -> rusqlite::Result<HashMap<&'d str, i64>> {
    let targets = find_persons(transaction, plan)?;
    let mut rows = HashMap::new();
    for (person, target) in plan.document.persons.iter().zip(targets) {
        let id = match target {
            Some(id) => id,
            None => insert_person(transaction, plan.team_id, person)?,
        };
        update_person(transaction, plan.team_id, id, person)?;
        for distinct_id in &person.distinct_ids {
            assign(transaction, plan.team_id, distinct_id, id)?;
            rows.insert(distinct_id.as_str(), id);
        }
        for (flag_key, hash_key) in &person.hash_key_overrides {
            let columns: [Column<'_>; 4] = [
                ("team_id", &plan.team_id),
                ("person_id", &id),
                ("feature_flag_key", flag_key),
                ("hash_key", hash_key),
            ];
            let keys = ["team_id", "person_id", "feature_flag_key"];
            upsert(transaction, "posthog_featureflaghashkeyoverride", &keys, &columns)?;
        }
    }
    Ok(rows)
}

/// The stored person that each person of the document means: that of its uuid, otherwise that of its
/// first known distinct id. No stored person is meant twice.
fn find_persons(transaction: &Transaction<'_>, plan: &Plan<'_>) -> rusqlite::Result<Vec<Option<i64>>> {
    let persons = &plan.document.persons;
    let mut claimed: HashSet<i64> = HashSet::new();
    let mut by_uuid =
        transaction.prepare_cached("SELECT id FROM posthog_person WHERE team_id = ?1 AND uuid = ?2")?;
    let mut targets: Vec<Option<i64>> = Vec::with_capacity(persons.len());
    for person in persons {
        let found = match &person.uuid {
            Some(uuid) => by_uuid
                .query_row(params![plan.team_id, uuid], |row| row.get(0))
                .optional()?,
            None => None,
        };
        claimed.extend(found);
        targets.push(found);
    }
    for (person, target) in persons
        .iter()
        .zip(&mut targets)
        .filter(|(_, target)| target.is_none())
    {
        for distinct_id in &person.distinct_ids {
            let owner = owner_of(transaction, plan.team_id, distinct_id)?;
            if let Some(owner) = owner.filter(|owner| claimed.insert(*owner)) {
                *target = Some(owner);
                break;
            }
        }
    }
    Ok(targets)
}

fn owner_of(transaction: &Transaction<'_>, team_id: i32, distinct_id: &str) -> rusqlite::Result<Option<i64>> {
    transaction
        .prepare_cached(
            "SELECT person_id FROM posthog_persondistinctid WHERE team_id = ?1 AND distinct_id = ?2",
        )?
        .query_row(params![team_id, distinct_id], |row| row.get(0))
        .optional()
}

fn insert_person(
    transaction: &Transaction<'_>,
    team_id: i32,
    person: &DocumentPerson,
) -> rusqlite::Result<i64> {
    let uuid = match &person.uuid {
        Some(uuid) => uuid.clone(),
        None => unused_uuid(
            transaction,
            team_id,
            person.distinct_ids.first().map_or("", String::as_str),
        )?,
    };
    transaction
        .prepare_cached(
            "INSERT INTO posthog_person (team_id, uuid, created_at)
             VALUES (?1, ?2, strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))",
        )?
        .insert(params![team_id, uuid])
}

/// Derived from the distinct id; a second person gets another one when the id's first owner still has it.
fn unused_uuid(transaction: &Transaction<'_>, team_id: i32, distinct_id: &str) -> rusqlite::Result<String> {
    let mut taken =
        transaction.prepare_cached("SELECT 1 FROM posthog_person WHERE team_id = ?1 AND uuid = ?2")?;
    let mut identity = format!("{team_id} {distinct_id}");
    loop {
        let uuid = derived_uuid("person", &identity);
        if !taken.exists(params![team_id, uuid])? {
            return Ok(uuid);
        }
        identity = uuid;
    }
}

/// Members that the document leaves out stay as they are.
fn update_person(
    transaction: &Transaction<'_>,
    team_id: i32,
    id: i64,
    person: &DocumentPerson,
) -> rusqlite::Result<()> {
    let sql = "UPDATE posthog_person SET
                 properties = coalesce(?3, properties), uuid = coalesce(?4, uuid),
                 is_identified = coalesce(?5, is_identified), created_at = coalesce(?6, created_at),
                 is_deleted = 0
               WHERE team_id = ?1 AND id = ?2";
    let values = params![
        team_id,
        id,
        person.properties,
        person.uuid,
        person.is_identified,
        person.created_at
    ];
    execute(transaction, sql, values)?;
    Ok(())
}

fn assign(
    transaction: &Transaction<'_>,
    team_id: i32,
    distinct_id: &str,
    person_id: i64,
) -> rusqlite::Result<()> {
    let columns: [Column<'_>; 4] = [
        ("team_id", &team_id),
        ("distinct_id", &distinct_id),
        ("person_id", &person_id),
        ("is_deleted", &false),
    ];
    upsert(
        transaction,
        "posthog_persondistinctid",
        &["team_id", "distinct_id"],
        &columns,
    )?;
    Ok(())
}

/// Makes the stored members of each static cohort those of the document. A distinct id that nobody
/// has becomes a person without properties, because membership needs one.
pub(super) fn write_members(
    transaction: &Transaction<'_>,
    plan: &Plan<'_>,
    persons: &HashMap<&str, i64>,
) -> rusqlite::Result<()> {
    for (cohort_id, cohort) in plan.cohort_ids.iter().zip(&plan.document.cohorts) {
        let mut wanted: HashSet<i64> = HashSet::new();
        for distinct_id in &cohort.members {
            let known = persons.get(distinct_id.as_str()).copied();
            let person_id = match known {
                Some(id) => id,
                None => member(transaction, plan.team_id, distinct_id)?,
            };
            wanted.insert(person_id);
        }
        let stored: HashSet<i64> = transaction
            .prepare_cached("SELECT person_id FROM posthog_cohortpeople WHERE cohort_id = ?1")?
            .query_map([cohort_id], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for person_id in stored.difference(&wanted) {
            let sql = "DELETE FROM posthog_cohortpeople WHERE cohort_id = ?1 AND person_id = ?2";
            execute(transaction, sql, params![cohort_id, person_id])?;
        }
        for person_id in wanted.difference(&stored) {
            let sql = "INSERT INTO posthog_cohortpeople (cohort_id, person_id) VALUES (?1, ?2)";
            execute(transaction, sql, params![cohort_id, person_id])?;
        }
    }
    Ok(())
}

fn member(transaction: &Transaction<'_>, team_id: i32, distinct_id: &str) -> rusqlite::Result<i64> {
    if let Some(owner) = owner_of(transaction, team_id, distinct_id)? {
        return Ok(owner);
    }
    let person = DocumentPerson {
        distinct_ids: vec![distinct_id.to_owned()],
        ..DocumentPerson::default()
    };
    let id = insert_person(transaction, team_id, &person)?;
    assign(transaction, team_id, distinct_id, id)?;
    Ok(id)
}
