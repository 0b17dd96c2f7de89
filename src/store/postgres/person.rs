//! Persons with their static membership, and groups (`storage.md` 5.3 P1, P2, P4).
//!
//! One connection and one round trip for everything that a request asks: membership is a subselect of the person's row,
//! and the groups' query travels with it.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio_postgres::Row;

use super::connection::Query;
use super::error::PostgresError;
use super::lease::Lease;
use super::pool::Pool;
use super::tables::{column, tombstones};
use super::timestamp::IsoTime;
use crate::context::{ContinuityReadFrom, FactsQuery, GatherError, PersonSource, StoredFacts, StoredPerson};
use crate::hypercache::BoxFuture;

macro_rules! person {
    ($live:literal) => {
        concat!(
            "SELECT p.properties::text, p.created_at,
                    ARRAY(SELECT DISTINCT c.cohort_id FROM posthog_cohortpeople c
                          WHERE c.person_id = p.id AND c.cohort_id = ANY ($3::int4[]))
             FROM posthog_persondistinctid d
             JOIN posthog_person p ON p.team_id = d.team_id AND p.id = d.person_id
             WHERE d.team_id = $1 AND d.distinct_id = $2::text",
            $live,
            " LIMIT 1"
        )
    };
}

/// P1 with P2 inside.
const PERSON: &str = person!("");

/// The same where deleted persons stay as rows.
const PERSON_LIVE: &str = person!(" AND p.is_deleted IS NOT TRUE AND d.is_deleted IS NOT TRUE");

/// P4, index and key paired; the first column is the place in the query, from 1.
const GROUPS: &str = "SELECT w.place, g.group_properties::text
    FROM unnest($2::int4[], $3::text[]) WITH ORDINALITY AS w (type_index, group_key, place)
    JOIN posthog_group g
      ON g.team_id = $1 AND g.group_type_index = w.type_index AND g.group_key = w.group_key";

/// Persons in PostgreSQL.
#[derive(Debug)]
pub struct PostgresPersons {
    pub(super) reader: Arc<Pool>,
    pub(super) writer: Arc<Pool>,
    /// Of the database behind both pools.
    pub(super) tombstones: OnceCell<bool>,
}

impl PostgresPersons {
    /// Over the persons pools; `writer` sees its own writes.
    #[must_use]
    pub fn new(reader: Arc<Pool>, writer: Arc<Pool>) -> Self {
        Self {
            reader,
            writer,
            tombstones: OnceCell::new(),
        }
    }

    async fn read_facts(&self, query: &FactsQuery) -> Result<StoredFacts, PostgresError> {
        let person_wanted = !query.distinct_id.is_empty() && storable(&query.distinct_id);
        let (mut places, mut indexes, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (type_index, key)) in query.groups.iter().enumerate() {
            if storable(key) {
                places.push(place);
                indexes.push(*type_index);
                keys.push(key.as_str());
            }
        }
        let mut facts = StoredFacts {
            person: None,
            groups: vec![None; query.groups.len()],
        };
        if !person_wanted && keys.is_empty() {
            return Ok(facts);
        }
        let mut lease = self.reader.acquire().await?;
        let mut rows = self
            .ask(&mut lease, query, person_wanted, &indexes, &keys)
            .await?
            .into_iter();
        // Others may have the connection while the answer is parsed.
        drop(lease);
        if person_wanted {
            let row = rows.next().unwrap_or_default();
            facts.person = row.first().map(stored_person).transpose()?;
        }
        for row in rows.next().unwrap_or_default() {
            let place: i64 = column(&row, 0)?;
            let place = usize::try_from(place - 1).ok().and_then(|at| places.get(at));
            if let Some(slot) = place.and_then(|at| facts.groups.get_mut(*at)) {
                *slot = Some(properties(column(&row, 1)?));
            }
        }
        Ok(facts)
    }

    async fn ask(
        &self,
        lease: &mut Lease<'_>,
        query: &FactsQuery,
        person_wanted: bool,
        indexes: &[i32],
        keys: &[&str],
    ) -> Result<Vec<Vec<Row>>, PostgresError> {
        let person = Query {
            sql: if person_wanted && tombstones(&self.tombstones, lease).await? {
                PERSON_LIVE
            } else {
                PERSON
            },
            parameters: &[&query.team_id, &query.distinct_id, &query.static_cohort_ids],
        };
        let groups = Query {
            sql: GROUPS,
            parameters: &[&query.team_id, &indexes, &keys],
        };
        match (person_wanted, keys.is_empty()) {
            (true, true) => lease.exchange(None, &[person], None).await,
            (true, false) => lease.exchange(None, &[person, groups], None).await,
            (false, _) => lease.exchange(None, &[groups], None).await,
        }
    }
}

/// Text with a NUL cannot be stored, so nobody has it; the server would refuse the whole statement.
pub(super) fn storable(text: &str) -> bool {
    !text.contains('\0')
}

fn stored_person(row: &Row) -> Result<StoredPerson, PostgresError> {
    let IsoTime(created_at) = column(row, 1)?;
    Ok(StoredPerson {
        properties: properties(column(row, 0)?),
        created_at,
        static_cohort_ids: column(row, 2)?,
    })
}

/// Anything but an object counts as empty.
fn properties(text: Option<&str>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

impl PersonSource for PostgresPersons {
    fn facts<'a>(&'a self, query: &'a FactsQuery) -> BoxFuture<'a, Result<StoredFacts, GatherError>> {
        Box::pin(async move { self.read_facts(query).await.map_err(GatherError::from) })
    }

    fn continuity_write_needed<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
    ) -> BoxFuture<'a, Result<bool, GatherError>> {
        Box::pin(async move {
            let needed = self.write_needed(team_id, distinct_ids, flag_keys).await;
            needed.map_err(GatherError::from)
        })
    }

    fn write_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        flag_keys: &'a [&'a str],
        hash_key: &'a str,
    ) -> BoxFuture<'a, Result<(), GatherError>> {
        Box::pin(async move {
            let written = self.write(team_id, distinct_ids, flag_keys, hash_key).await;
            written.map_err(GatherError::from)
        })
    }

    fn read_continuity<'a>(
        &'a self,
        team_id: i32,
        distinct_ids: &'a [&'a str],
        from: ContinuityReadFrom,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, GatherError>> {
        Box::pin(async move {
            let read = self.read_overrides(team_id, distinct_ids, from).await;
            read.map_err(GatherError::from)
        })
    }
}
