//! Persons, groups, static membership and continuity rows.

use std::collections::HashSet;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::{Map, Value};

use super::EmbeddedStore;
use super::pool::PoolError;
use crate::context::{
    ContinuityReadFrom, FactsQuery, GatherError, PersonSource, StoredFacts, StoredPerson, TimeoutKind,
};
use crate::snapshot::BoxFuture;

impl PersonSource for EmbeddedStore {
    fn facts<'a>(&'a self, query: &'a FactsQuery) -> BoxFuture<'a, Result<StoredFacts, GatherError>> {
        let query = query.clone();
        Box::pin(async move {
            self.readers
                .query("read facts", move |connection| read_facts(connection, &query))
                .await
                .map_err(gather_error)
        })
    }

    fn continuity_write_needed<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>> {
        let (distinct_ids, flag_keys) = (owned(distinct_ids), owned(flag_keys));
        Box::pin(async move {
            let read = self.readers.query("look for continuity", move |connection| {
                write_needed(connection, team_id, &distinct_ids, &flag_keys)
            });
            read.await.map_err(gather_error)
        })
    }

    fn write_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
        hash_key: &'a str,
    ) -> BoxFuture<'a, Result<(), GatherError>> {
        let (distinct_ids, flag_keys) = (owned(distinct_ids), owned(flag_keys));
        let hash_key = hash_key.to_owned();
        Box::pin(async move {
            let write = self.writer.query("write continuity", move |connection| {
                write(connection, team_id, &distinct_ids, &flag_keys, &hash_key)
            });
            write.await.map_err(gather_error)
        })
    }

    fn read_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        _from: ContinuityReadFrom,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, GatherError>> {
        // Every connection to the file sees what has been committed, so readers may always answer.
        let distinct_ids = owned(distinct_ids);
        Box::pin(async move {
            let read = self.readers.query("read continuity", move |connection| {
                read_overrides(connection, team_id, &distinct_ids)
            });
            read.await.map_err(gather_error)
        })
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn gather_error(error: PoolError) -> GatherError {
    match error {
        PoolError::Unavailable(reason) => GatherError::Unavailable(reason.to_owned()),
        PoolError::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                GatherError::Timeout(TimeoutKind::LockNotAvailable)
            }
            Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
                GatherError::Unavailable(error.to_string())
            }
            _ => GatherError::Database(error.to_string()),
        },
    }
}

/// Stored properties; anything but an object counts as empty (`evaluation.md` 8.2).
fn properties(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn read_facts(connection: &mut Connection, query: &FactsQuery) -> rusqlite::Result<StoredFacts> {
    let transaction = connection.transaction()?;
    let found = transaction
        .prepare_cached(
            "SELECT p.id, p.properties, p.created_at
             FROM posthog_persondistinctid d
             JOIN posthog_person p ON p.team_id = d.team_id AND p.id = d.person_id
             WHERE d.team_id = ?1 AND d.distinct_id = ?2 AND NOT d.is_deleted AND NOT p.is_deleted",
        )?
        .query_row(params![query.team_id, query.distinct_id], |row| {
            let person = StoredPerson {
                properties: properties(row.get_ref(1)?.as_str()?),
                created_at: row.get(2)?,
                static_cohort_ids: Vec::new(),
            };
            Ok((row.get::<_, i64>(0)?, person))
        })
        .optional()?;
    let mut facts = StoredFacts::default();
    if let Some((person_id, mut person)) = found {
        person.static_cohort_ids = memberships(&transaction, person_id, &query.static_cohort_ids)?;
        facts.person = Some(person);
    }
    let mut group = transaction.prepare_cached(
        "SELECT group_properties FROM posthog_group WHERE team_id = ?1 AND group_type_index = ?2 AND group_key = ?3",
    )?;
    for (index, key) in &query.groups {
        let row = group
            .query_row(params![query.team_id, index, key], |row| {
                Ok(properties(row.get_ref(0)?.as_str()?))
            })
            .optional()?;
        facts.groups.push(row);
    }
    Ok(facts)
}

fn memberships(
    transaction: &Transaction<'_>,
    person_id: i64,
    cohort_ids: &[i32],
) -> rusqlite::Result<Vec<i32>> {
    let mut member = transaction
        .prepare_cached("SELECT 1 FROM posthog_cohortpeople WHERE person_id = ?1 AND cohort_id = ?2")?;
    let mut memberships = Vec::new();
    for cohort_id in cohort_ids {
        if member.exists(params![person_id, cohort_id])? {
            memberships.push(*cohort_id);
        }
    }
    Ok(memberships)
}

/// `evaluation.md` 7.3 step 1.
fn write_needed(
    connection: &mut Connection,
    team_id: i32,
    distinct_ids: &[String],
    flag_keys: &[String],
) -> rusqlite::Result<bool> {
    let transaction = connection.transaction()?;
    let mut recorded: HashSet<String> = HashSet::new();
    let mut person_found = false;
    let mut overrides = transaction.prepare_cached(
        "SELECT o.feature_flag_key
         FROM posthog_persondistinctid d
         JOIN posthog_person p ON p.team_id = d.team_id AND p.id = d.person_id
         LEFT JOIN posthog_featureflaghashkeyoverride o ON o.team_id = d.team_id AND o.person_id = d.person_id
         WHERE d.team_id = ?1 AND d.distinct_id = ?2 AND NOT d.is_deleted AND NOT p.is_deleted",
    )?;
    for distinct_id in distinct_ids {
        let mut rows = overrides.query(params![team_id, distinct_id])?;
        while let Some(row) = rows.next()? {
            person_found = true;
            recorded.extend(row.get::<_, Option<String>>(0)?);
        }
    }
    Ok(person_found && flag_keys.iter().any(|key| !recorded.contains(key)))
}

/// `evaluation.md` 7.3 step 2. Only a uniqueness conflict is ignored: a hash key that is too long fails.
fn write(
    connection: &mut Connection,
    team_id: i32,
    distinct_ids: &[String],
    flag_keys: &[String],
    hash_key: &str,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO posthog_featureflaghashkeyoverride (team_id, person_id, feature_flag_key, hash_key)
             SELECT d.team_id, d.person_id, ?4, ?3
             FROM posthog_persondistinctid d
             JOIN posthog_person p ON p.team_id = d.team_id AND p.id = d.person_id
             WHERE d.team_id = ?1 AND d.distinct_id = ?2 AND NOT d.is_deleted AND NOT p.is_deleted
             ON CONFLICT DO NOTHING",
        )?;
        for distinct_id in distinct_ids {
            for flag_key in flag_keys {
                insert.execute(params![team_id, distinct_id, hash_key, flag_key])?;
            }
        }
    }
    transaction.commit()
}

/// `evaluation.md` 7.3 step 3: the owner of an earlier distinct id wins.
fn read_overrides(
    connection: &mut Connection,
    team_id: i32,
    distinct_ids: &[String],
) -> rusqlite::Result<Vec<(String, String)>> {
    let transaction = connection.transaction()?;
    let mut overrides: Vec<(String, String)> = Vec::new();
    let mut taken: HashSet<String> = HashSet::new();
    let mut statement = transaction.prepare_cached(
        "SELECT o.feature_flag_key, o.hash_key
         FROM posthog_persondistinctid d
         JOIN posthog_featureflaghashkeyoverride o ON o.team_id = d.team_id AND o.person_id = d.person_id
         WHERE d.team_id = ?1 AND d.distinct_id = ?2 AND NOT d.is_deleted ORDER BY o.feature_flag_key",
    )?;
    for distinct_id in distinct_ids {
        let mut rows = statement.query(params![team_id, distinct_id])?;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            if taken.insert(key.clone()) {
                overrides.push((key, row.get(1)?));
            }
        }
    }
    Ok(overrides)
}
