//! Groups, persons, static membership and given hash key overrides.

use std::collections::{HashMap, HashSet};

use super::identity::derived_uuid;
use super::plan::Plan;
use super::port::{Column, Part, Rows};
use super::rows::{execute, update, upsert};
use crate::definition::document::DocumentPerson;

pub(super) fn write_groups<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<(), R::Error> {
    let groups = &plan.document.groups;
    let wanted: HashSet<(i32, &str)> = groups
        .iter()
        .map(|group| (group.group_type_index, group.group_key.as_str()))
        .collect();
    let sql = "SELECT group_type_index, group_key FROM posthog_group WHERE team_id = ?1";
    for row in rows.query(Part::Persons, sql, &[plan.team_id.into()])? {
        let [index, key] = row.as_slice() else { continue };
        let kept =
            matches!((index.id(), key.text()), (Some(index), Some(key)) if wanted.contains(&(index, key)));
        if !kept {
            let sql =
                "DELETE FROM posthog_group WHERE team_id = ?1 AND group_type_index = ?2 AND group_key = ?3";
            let values = [plan.team_id.into(), index.clone(), key.clone()];
            execute(rows, Part::Persons, sql, &values)?;
        }
    }
    for group in groups {
        let columns = vec![
            ("team_id", plan.team_id.into()),
            ("group_type_index", group.group_type_index.into()),
            ("group_key", (&group.group_key).into()),
            ("group_properties", (&group.properties).into()),
        ];
        let keys = ["team_id", "group_key", "group_type_index"];
        upsert(rows, "posthog_group", &keys, columns)?;
    }
    Ok(())
}

/// Writes the persons of the document and returns the row ids by distinct id.
pub(super) fn write_persons<'d, R: Rows>(
    rows: &mut R,
    plan: &Plan<'d>,
) -> Result<HashMap<&'d str, i64>, R::Error> {
    let targets = find_persons(rows, plan)?;
    let mut ids = HashMap::new();
    for (person, target) in plan.document.persons.iter().zip(targets) {
        let id = match target {
            Some(id) => id,
            None => insert_person(rows, plan.team_id, person)?,
        };
        update_person(rows, plan.team_id, id, person)?;
        for distinct_id in &person.distinct_ids {
            assign(rows, plan.team_id, distinct_id, id)?;
            ids.insert(distinct_id.as_str(), id);
        }
        for (flag_key, hash_key) in &person.hash_key_overrides {
            let columns = vec![
                ("team_id", plan.team_id.into()),
                ("person_id", id.into()),
                ("feature_flag_key", flag_key.into()),
                ("hash_key", hash_key.into()),
            ];
            let keys = ["team_id", "person_id", "feature_flag_key"];
            upsert(rows, "posthog_featureflaghashkeyoverride", &keys, columns)?;
        }
    }
    Ok(ids)
}

/// The stored person that each person of the document means: that of its uuid, otherwise that of its
/// first known distinct id. No stored person is meant twice.
fn find_persons<R: Rows>(rows: &mut R, plan: &Plan<'_>) -> Result<Vec<Option<i64>>, R::Error> {
    let persons = &plan.document.persons;
    let mut claimed: HashSet<i64> = HashSet::new();
    let mut targets: Vec<Option<i64>> = Vec::with_capacity(persons.len());
    for person in persons {
        let found = match &person.uuid {
            Some(uuid) => id_of(rows, plan.team_id, uuid)?,
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
            let owner = owner_of(rows, plan.team_id, distinct_id)?;
            if let Some(owner) = owner.filter(|owner| claimed.insert(*owner)) {
                *target = Some(owner);
                break;
            }
        }
    }
    Ok(targets)
}

fn id_of<R: Rows>(rows: &mut R, team_id: i32, uuid: &str) -> Result<Option<i64>, R::Error> {
    let sql = "SELECT id FROM posthog_person WHERE team_id = ?1 AND uuid = ?2";
    let found = rows.query(Part::Persons, sql, &[team_id.into(), uuid.into()])?;
    Ok(found.first().and_then(|row| row.first()?.int()))
}

fn owner_of<R: Rows>(rows: &mut R, team_id: i32, distinct_id: &str) -> Result<Option<i64>, R::Error> {
    let sql = "SELECT person_id FROM posthog_persondistinctid WHERE team_id = ?1 AND distinct_id = ?2";
    let found = rows.query(Part::Persons, sql, &[team_id.into(), distinct_id.into()])?;
    Ok(found.first().and_then(|row| row.first()?.int()))
}

fn insert_person<R: Rows>(rows: &mut R, team_id: i32, person: &DocumentPerson) -> Result<i64, R::Error> {
    let uuid = match &person.uuid {
        Some(uuid) => uuid.clone(),
        None => unused_uuid(
            rows,
            team_id,
            person.distinct_ids.first().map_or("", String::as_str),
        )?,
    };
    rows.insert_person(team_id, &uuid)
}

/// Derived from the distinct id; a second person gets another one when the id's first owner still has it.
fn unused_uuid<R: Rows>(rows: &mut R, team_id: i32, distinct_id: &str) -> Result<String, R::Error> {
    let mut identity = format!("{team_id} {distinct_id}");
    loop {
        let uuid = derived_uuid("person", &identity);
        if id_of(rows, team_id, &uuid)?.is_none() {
            return Ok(uuid);
        }
        identity = uuid;
    }
}

/// Members that the document leaves out stay as they are.
fn update_person<R: Rows>(
    rows: &mut R,
    team_id: i32,
    id: i64,
    person: &DocumentPerson,
) -> Result<(), R::Error> {
    let mut columns: Vec<Column> = vec![
        ("team_id", team_id.into()),
        ("id", id.into()),
        ("is_deleted", false.into()),
    ];
    columns.extend(person.properties.as_ref().map(|json| ("properties", json.into())));
    columns.extend(person.uuid.as_ref().map(|uuid| ("uuid", uuid.into())));
    columns.extend(person.is_identified.map(|known| ("is_identified", known.into())));
    columns.extend(person.created_at.as_ref().map(|time| ("created_at", time.into())));
    update(rows, "posthog_person", &["team_id", "id"], columns)?;
    Ok(())
}

fn assign<R: Rows>(rows: &mut R, team_id: i32, distinct_id: &str, person_id: i64) -> Result<(), R::Error> {
    let columns = vec![
        ("team_id", team_id.into()),
        ("distinct_id", distinct_id.into()),
        ("person_id", person_id.into()),
        ("is_deleted", false.into()),
    ];
    let keys = ["team_id", "distinct_id"];
    upsert(rows, "posthog_persondistinctid", &keys, columns)?;
    Ok(())
}

/// Makes the stored members of each static cohort those of the document. A distinct id that nobody
/// has becomes a person without properties, because membership needs one.
pub(super) fn write_members<R: Rows>(
    rows: &mut R,
    plan: &Plan<'_>,
    persons: &HashMap<&str, i64>,
) -> Result<(), R::Error> {
    for (cohort_id, cohort) in plan.cohort_ids.iter().zip(&plan.document.cohorts) {
        let mut wanted: HashSet<i64> = HashSet::new();
        for distinct_id in &cohort.members {
            let known = persons.get(distinct_id.as_str()).copied();
            let person_id = match known {
                Some(id) => id,
                None => member(rows, plan.team_id, distinct_id)?,
            };
            wanted.insert(person_id);
        }
        let sql = "SELECT person_id FROM posthog_cohortpeople WHERE cohort_id = ?1";
        let stored = rows.query(Part::Persons, sql, &[(*cohort_id).into()])?;
        let stored: HashSet<i64> = stored.iter().filter_map(|row| row.first()?.int()).collect();
        for person_id in stored.difference(&wanted) {
            let sql = "DELETE FROM posthog_cohortpeople WHERE cohort_id = ?1 AND person_id = ?2";
            let values = [(*cohort_id).into(), (*person_id).into()];
            execute(rows, Part::Persons, sql, &values)?;
        }
        for person_id in wanted.difference(&stored) {
            let columns = [
                ("cohort_id", (*cohort_id).into()),
                ("person_id", (*person_id).into()),
            ];
            rows.insert("posthog_cohortpeople", &columns)?;
        }
    }
    Ok(())
}

fn member<R: Rows>(rows: &mut R, team_id: i32, distinct_id: &str) -> Result<i64, R::Error> {
    if let Some(owner) = owner_of(rows, team_id, distinct_id)? {
        return Ok(owner);
    }
    let person = DocumentPerson {
        distinct_ids: vec![distinct_id.to_owned()],
        ..DocumentPerson::default()
    };
    let id = insert_person(rows, team_id, &person)?;
    assign(rows, team_id, distinct_id, id)?;
    Ok(id)
}
