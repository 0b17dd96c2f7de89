//! Continuity rows (`storage.md` 5.3 H1, H2, H4). Which flags get rows is the caller's to say: its snapshot knows.

use std::collections::{BTreeMap, HashSet};

use tokio_postgres::Row;

use super::connection::Query;
use super::error::PostgresError;
use super::lease::Lease;
use super::person::{PostgresPersons, storable};
use super::tables::{column, tombstones};
use crate::context::ContinuityReadFrom;

macro_rules! read {
    ($live:literal) => {
        concat!(
            "SELECT d.distinct_id, o.feature_flag_key, o.hash_key
             FROM posthog_persondistinctid d
             JOIN posthog_featureflaghashkeyoverride o ON o.team_id = d.team_id AND o.person_id = d.person_id
             WHERE d.team_id = $1 AND d.distinct_id = ANY ($2::text[])",
            $live,
            " ORDER BY o.feature_flag_key"
        )
    };
}

macro_rules! recorded {
    ($live:literal) => {
        concat!(
            "SELECT DISTINCT d.person_id, o.feature_flag_key
             FROM posthog_persondistinctid d
             JOIN posthog_person p ON p.team_id = d.team_id AND p.id = d.person_id
             LEFT JOIN posthog_featureflaghashkeyoverride o
               ON o.team_id = d.team_id AND o.person_id = d.person_id
             WHERE d.team_id = $1 AND d.distinct_id = ANY ($2::text[])",
            $live
        )
    };
}

/// H1. Persons without rows are left out: they change nothing.
const READ: &str = read!("");
const READ_LIVE: &str = read!(" AND d.is_deleted IS NOT TRUE");

/// H2: persons that exist, and the flags that each has a row for.
const RECORDED: &str = recorded!("");
const RECORDED_LIVE: &str = recorded!(" AND d.is_deleted IS NOT TRUE AND p.is_deleted IS NOT TRUE");

/// The foreign key to the person is deferred; checked at once, it is under the statement timeout and not in the commit.
const BEGIN: &str = "BEGIN; SET CONSTRAINTS ALL IMMEDIATE";

/// H4 step 4: the first writer wins.
const INSERT: &str =
    "INSERT INTO posthog_featureflaghashkeyoverride (team_id, person_id, feature_flag_key, hash_key)
    SELECT $1, v.person_id, v.flag_key, $2::text
    FROM unnest($3::int8[], $4::text[]) AS v (person_id, flag_key)
    ON CONFLICT DO NOTHING";

impl PostgresPersons {
    pub(super) async fn read_overrides(
        &self,
        team_id: i32,
        distinct_ids: &[&str],
        from: ContinuityReadFrom,
    ) -> Result<Vec<(String, String)>, PostgresError> {
        let wanted = storable_ids(distinct_ids);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let pool = match from {
            ContinuityReadFrom::Reader => &self.reader,
            ContinuityReadFrom::Writer => &self.writer,
        };
        let mut lease = pool.acquire().await?;
        let sql = if tombstones(&self.tombstones, &mut lease).await? {
            READ_LIVE
        } else {
            READ
        };
        let query = Query {
            sql,
            parameters: &[&team_id, &wanted],
        };
        let rows = lease.query(query).await?;
        drop(lease);
        // By flag key: rank of the distinct id, hash key.
        let mut overrides: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for row in &rows {
            let (owner, key, hash_key): (&str, &str, &str) =
                (column(row, 0)?, column(row, 1)?, column(row, 2)?);
            let rank = wanted.iter().position(|id| *id == owner).unwrap_or(usize::MAX);
            let best = overrides.entry(key).or_insert((rank, hash_key));
            if rank < best.0 {
                *best = (rank, hash_key);
            }
        }
        Ok(overrides
            .into_iter()
            .map(|(key, (_, hash_key))| (key.to_owned(), hash_key.to_owned()))
            .collect())
    }

    pub(super) async fn write_needed(
        &self,
        team_id: i32,
        distinct_ids: &[&str],
        flag_keys: &[&str],
    ) -> Result<bool, PostgresError> {
        let wanted = storable_ids(distinct_ids);
        if wanted.is_empty() || flag_keys.is_empty() {
            return Ok(false);
        }
        let mut lease = self.reader.acquire().await?;
        let sql = self.recorded_sql(&mut lease).await?;
        let query = Query {
            sql,
            parameters: &[&team_id, &wanted],
        };
        let rows = lease.query(query).await?;
        drop(lease);
        let recorded = rows
            .iter()
            .map(|row| column(row, 1))
            .collect::<Result<HashSet<Option<&str>>, _>>()?;
        Ok(!rows.is_empty() && flag_keys.iter().any(|key| !recorded.contains(&Some(*key))))
    }

    pub(super) async fn write(
        &self,
        team_id: i32,
        distinct_ids: &[&str],
        flag_keys: &[&str],
        hash_key: &str,
    ) -> Result<(), PostgresError> {
        let wanted = storable_ids(distinct_ids);
        if wanted.is_empty() || flag_keys.is_empty() {
            return Ok(());
        }
        let mut lease = self.writer.acquire().await?;
        let sql = self.recorded_sql(&mut lease).await?;
        let written = transaction(&mut lease, sql, team_id, &wanted, flag_keys, hash_key).await;
        if written.is_err() {
            lease.roll_back().await;
        }
        written
    }

    async fn recorded_sql(&self, lease: &mut Lease<'_>) -> Result<&'static str, PostgresError> {
        Ok(if tombstones(&self.tombstones, lease).await? {
            RECORDED_LIVE
        } else {
            RECORDED
        })
    }
}

/// H4 in two round trips: begin with H2, insert with commit.
async fn transaction(
    lease: &mut Lease<'_>,
    recorded_sql: &'static str,
    team_id: i32,
    distinct_ids: &[&str],
    flag_keys: &[&str],
    hash_key: &str,
) -> Result<(), PostgresError> {
    let recorded = Query {
        sql: recorded_sql,
        parameters: &[&team_id, &distinct_ids],
    };
    let answers = lease.exchange(Some(BEGIN), &[recorded], None).await?;
    let rows = answers.into_iter().next().unwrap_or_default();
    let (persons, keys) = missing(&rows, flag_keys)?;
    if persons.is_empty() {
        return lease.exchange(None, &[], Some("COMMIT")).await.map(drop);
    }
    let insert = Query {
        sql: INSERT,
        parameters: &[&team_id, &hash_key, &persons, &keys],
    };
    lease.exchange(None, &[insert], Some("COMMIT")).await.map(drop)
}

/// Pairs of person and flag key without a row.
fn missing<'k>(rows: &[Row], flag_keys: &[&'k str]) -> Result<(Vec<i64>, Vec<&'k str>), PostgresError> {
    let mut recorded: BTreeMap<i64, HashSet<&str>> = BTreeMap::new();
    for row in rows {
        let keys = recorded.entry(column(row, 0)?).or_default();
        keys.extend(column::<Option<&str>>(row, 1)?);
    }
    // In one order everywhere, so that two writers of the same rows cannot wait for each other.
    let mut flag_keys = flag_keys.to_vec();
    flag_keys.sort_unstable();
    let (mut persons, mut keys) = (Vec::new(), Vec::new());
    for (person, recorded) in &recorded {
        for key in flag_keys.iter().filter(|key| !recorded.contains(**key)) {
            persons.push(*person);
            keys.push(*key);
        }
    }
    Ok((persons, keys))
}

fn storable_ids<'i>(distinct_ids: &[&'i str]) -> Vec<&'i str> {
    distinct_ids.iter().copied().filter(|id| storable(id)).collect()
}
