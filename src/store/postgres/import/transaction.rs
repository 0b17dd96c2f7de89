//! The port of an import over one or two open transactions.

use std::collections::HashMap;

use tokio::runtime::Handle;

use super::ImportTarget;
use super::error::{ImportFailure, PostgresFailure};
use super::layout::{COLUMNS, Layout};
use super::open::Open;
use crate::store::import::{Cell, Column, Part, Row, Rows};

/// Keys of the advisory locks ("ffim", "ffip"). Two, because both parts may turn out to be one database.
const LOCKS: [(Part, i64); 2] = [(Part::Main, 0x6666_696d), (Part::Persons, 0x6666_6970)];

/// Remembers which documents brought a personal API key. PostHog has no such table.
const KEY_LINKS: &str = "feature_flags_project_key";

/// One run. Blocks its thread, which must not be one that drives the runtime.
pub(super) struct PostgresRows {
    runtime: Handle,
    main: Open,
    /// `None`: the main database has the persons too.
    persons: Option<Open>,
    layouts: HashMap<&'static str, Layout>,
    links_known: bool,
}

impl PostgresRows {
    /// Connects, begins, and waits until no other import runs.
    pub(super) fn begin(runtime: Handle, target: &ImportTarget) -> Result<Self, ImportFailure> {
        let main = runtime.block_on(Open::begin(&target.main_url))?;
        let persons = match &target.persons_url {
            Some(url) => Some(runtime.block_on(Open::begin(url))?),
            None => None,
        };
        let mut rows = Self {
            runtime,
            main,
            persons,
            layouts: HashMap::new(),
            links_known: false,
        };
        // In this order everywhere: two imports never wait for each other.
        for (part, key) in LOCKS {
            let (runtime, open) = rows.at(part);
            runtime.block_on(open.batch(&format!("SELECT pg_advisory_xact_lock({key})")))?;
        }
        Ok(rows)
    }

    /// Commits main, then persons. See the module for what an end in between leaves.
    pub(super) fn commit(self) -> Result<(), ImportFailure> {
        self.runtime.block_on(async {
            // Whatever a commit would refuse is refused while nothing is committed.
            for open in [Some(&self.main), self.persons.as_ref()].into_iter().flatten() {
                open.batch("SET CONSTRAINTS ALL IMMEDIATE").await?;
            }
            let done = self.main.client.batch_execute("COMMIT").await;
            done.map_err(|source| ImportFailure::of_commit(&self.main.place, source))?;
            if let Some(persons) = &self.persons {
                let done = persons.client.batch_execute("COMMIT").await;
                done.map_err(|source| ImportFailure::PersonsNotCommitted {
                    place: persons.place.clone(),
                    source: PostgresFailure(source),
                })?;
            }
            Ok(())
        })
    }

    fn at(&mut self, part: Part) -> (&Handle, &mut Open) {
        let open = match (part, &mut self.persons) {
            (Part::Persons, Some(persons)) => persons,
            _ => &mut self.main,
        };
        (&self.runtime, open)
    }

    fn layout(&mut self, table: &'static str) -> Result<&Layout, ImportFailure> {
        if !self.layouts.contains_key(table) {
            let rows = self.query(Part::of(table), COLUMNS, &[table.into()])?;
            self.layouts.insert(table, Layout::of(&rows));
        }
        Ok(self.layouts.entry(table).or_insert_with(|| Layout::of(&[])))
    }

    fn has_table(&mut self, table: &str) -> Result<bool, ImportFailure> {
        let found = self.query(
            Part::Main,
            "SELECT to_regclass(?1::text) IS NOT NULL",
            &[table.into()],
        )?;
        Ok(found.first().and_then(|row| row.first()) == Some(&Cell::Bool(true)))
    }

    /// The `INSERT` of a row, with neutral values where this deployment needs more than is given.
    fn insertion(
        &mut self,
        table: &'static str,
        columns: &[Column],
    ) -> Result<(String, Vec<Cell>), ImportFailure> {
        let layout = self.layout(table)?;
        let mut names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let mut places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        for (name, neutral) in layout.missing(columns) {
            names.push(name);
            places.push(neutral.to_owned());
        }
        // Names that the deployment chose may be words of SQL.
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            places.join(", ")
        );
        Ok((sql, columns.iter().map(|(_, value)| value.clone()).collect()))
    }
}

impl Rows for PostgresRows {
    type Error = ImportFailure;

    fn query(&mut self, part: Part, sql: &str, values: &[Cell]) -> Result<Vec<Row>, ImportFailure> {
        let (runtime, open) = self.at(part);
        runtime.block_on(open.query(sql, values))
    }

    fn execute(&mut self, part: Part, sql: &str, values: &[Cell]) -> Result<u64, ImportFailure> {
        let (runtime, open) = self.at(part);
        runtime.block_on(open.execute(sql, values))
    }

    fn insert(&mut self, table: &'static str, columns: &[Column]) -> Result<(), ImportFailure> {
        let (sql, values) = self.insertion(table, columns)?;
        self.execute(Part::of(table), &sql, &values)?;
        Ok(())
    }

    fn fit(&mut self, table: &'static str, columns: Vec<Column>) -> Result<Vec<Column>, ImportFailure> {
        Ok(self.layout(table)?.fit(table, columns))
    }

    /// What the sequence has given out counts too: its rows may be in a transaction that is still open.
    fn highest_id(&mut self, table: &'static str) -> Result<i32, ImportFailure> {
        let sql = format!(
            "SELECT greatest(
                 (SELECT max(id) FROM {table}),
                 pg_sequence_last_value(pg_get_serial_sequence('{table}', 'id')::regclass), 0)::bigint"
        );
        let found = self.query(Part::of(table), &sql, &[])?;
        Ok(found.first().and_then(|row| row.first()?.id()).unwrap_or(0))
    }

    /// At once and for good, even if the transaction fails: a sequence knows no transactions.
    fn reserve_ids(&mut self, table: &'static str, highest: i32) -> Result<(), ImportFailure> {
        let sql = format!(
            "SELECT setval(sequence, ?1::bigint) FROM (
                 SELECT pg_get_serial_sequence('{table}', 'id')::regclass AS sequence) AS of
             WHERE sequence IS NOT NULL AND coalesce(pg_sequence_last_value(sequence), 0) < ?1::bigint"
        );
        self.query(Part::of(table), &sql, &[highest.into()])?;
        Ok(())
    }

    fn insert_person(&mut self, team_id: i32, uuid: &str) -> Result<i64, ImportFailure> {
        let columns = [("team_id", team_id.into()), ("uuid", uuid.into())];
        let (sql, values) = self.insertion("posthog_person", &columns)?;
        let found = self.query(Part::Persons, &format!("{sql} RETURNING id"), &values)?;
        Ok(found.first().and_then(|row| row.first()?.int()).unwrap_or(0))
    }

    fn remove_flag(&mut self, flag_id: i32) -> Result<(), ImportFailure> {
        for (table, column) in [
            ("posthog_featureflagevaluationcontext", "feature_flag_id"),
            // The older shape of contexts; absent in newer deployments.
            ("posthog_featureflagevaluationtag", "feature_flag_id"),
            ("posthog_experiment", "feature_flag_id"),
            ("posthog_featureflag", "id"),
        ] {
            if self.has_table(table)? {
                let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
                self.execute(Part::Main, &sql, &[flag_id.into()])?;
            }
        }
        Ok(())
    }

    fn write_experiment(
        &mut self,
        team_id: i32,
        flag_id: i32,
        has_experiment: Option<bool>,
    ) -> Result<bool, ImportFailure> {
        let live = "feature_flag_id = ?1 AND NOT coalesce(deleted, false)";
        match has_experiment {
            None => Ok(false),
            Some(false) => {
                let sql = format!("UPDATE posthog_experiment SET deleted = true WHERE {live}");
                Ok(self.execute(Part::Main, &sql, &[flag_id.into()])? > 0)
            }
            Some(true) => {
                let sql = format!("SELECT 1 FROM posthog_experiment WHERE {live} LIMIT 1");
                if !self.query(Part::Main, &sql, &[flag_id.into()])?.is_empty() {
                    return Ok(false);
                }
                let columns = [
                    ("team_id", team_id.into()),
                    ("feature_flag_id", flag_id.into()),
                    ("name", "Imported".into()),
                    ("deleted", false.into()),
                ];
                self.insert("posthog_experiment", &columns)?;
                Ok(true)
            }
        }
    }

    /// PostgreSQL has no quotas: they are sorted sets of Redis, which the caller writes from the report.
    fn write_quota(&mut self, _: i32, _: &[String]) -> Result<bool, ImportFailure> {
        Ok(false)
    }

    /// Made by the first import; without references, so that nothing of PostHog's is held by it.
    fn key_links(&mut self) -> Result<&'static str, ImportFailure> {
        if !self.links_known {
            if !self.has_table(KEY_LINKS)? {
                let sql = format!(
                    "CREATE TABLE {KEY_LINKS} (team_id integer NOT NULL, key_id varchar(50) NOT NULL,
                     PRIMARY KEY (team_id, key_id))"
                );
                self.runtime.block_on(self.main.batch(&sql))?;
            }
            self.links_known = true;
        }
        Ok(KEY_LINKS)
    }

    /// The report tells the caller, who makes the caches.
    fn announce(&mut self, _: &str) -> Result<(), ImportFailure> {
        Ok(())
    }
}
