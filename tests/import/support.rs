//! The stores under test, reading them from outside, and documents to import.

use feature_flags::definition::document::ImportProblem;
use feature_flags::store::embedded::{self, EmbeddedStore};
use feature_flags::store::import::ImportReport;
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::database::Database;

pub const SDK_FIXTURE: &str = include_str!("../fixtures/sdk_fixture.json");

/// A store that documents are imported into.
pub enum Store {
    Embedded(Arc<EmbeddedStore>),
    Postgres(Database),
}

/// Makes an empty store.
pub type New = fn() -> Store;

/// Why an import was refused.
#[derive(Debug)]
pub enum Refusal {
    Problems(Vec<ImportProblem>),
    Store(String),
}

/// Declares each function as a test of every store; it takes a [`New`].
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod on_embedded {
            $(#[test] fn $name() { super::$name(|| crate::support::Store::Embedded(crate::support::store())) })*
        }
        mod on_postgres {
            $(#[test] fn $name() { super::$name(|| crate::support::Store::Postgres(crate::database::Database::new())) })*
        }
    };
}
pub(crate) use on_every_store;

impl Store {
    pub fn try_import(&self, bytes: &[u8]) -> Result<ImportReport, Refusal> {
        match self {
            Self::Embedded(store) => store.import(bytes).map_err(|error| match error {
                embedded::ImportError::Problems { problems, .. } => Refusal::Problems(problems),
                embedded::ImportError::Store(error) => Refusal::Store(error.to_string()),
            }),
            Self::Postgres(database) => database.try_import(bytes),
        }
    }

    pub fn import(&self, document: &Value) -> ImportReport {
        self.try_import(document.to_string().as_bytes())
            .expect("the document is sound")
    }

    /// Problems of an import that must fail, as `path` and `expected`.
    pub fn problems(&self, document: &str) -> Vec<(String, String)> {
        let before = self.dump();
        let found = match self.try_import(document.as_bytes()) {
            Ok(_) => panic!("accepted: {document}"),
            Err(Refusal::Problems(problems)) => problems,
            Err(Refusal::Store(error)) => panic!("{error}"),
        };
        assert_eq!(self.dump(), before, "a refused import changes nothing");
        found
            .into_iter()
            .map(|problem| (problem.path, problem.expected))
            .collect()
    }

    /// Every row of every table, as text.
    pub fn dump(&self) -> Vec<(String, Vec<String>)> {
        match self {
            Self::Embedded(store) => dump(store)
                .into_iter()
                .map(|(table, rows)| (table, rows.iter().map(|row| format!("{row:?}")).collect()))
                .collect(),
            Self::Postgres(database) => database.dump(),
        }
    }

    /// Rows of a query, as text.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        match self {
            Self::Embedded(store) => rows(store, sql),
            Self::Postgres(database) => database.rows(sql),
        }
    }

    pub fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }
}

pub fn store() -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::temporary().expect("store"))
}

pub fn import(store: &EmbeddedStore, document: &Value) -> ImportReport {
    store
        .import(document.to_string().as_bytes())
        .expect("the document is sound")
}

/// Problems of an import into an embedded store that must fail, as `path` and `expected`.
pub fn problems(document: &str) -> Vec<(String, String)> {
    Store::Embedded(store()).problems(document)
}
pub fn warnings(document: &Value) -> Vec<(String, String)> {
    let report = import(&store(), document);
    report
        .warnings
        .into_iter()
        .map(|warning| (warning.path, warning.message))
        .collect()
}

/// A small sound project.
pub fn project(token: &str) -> Value {
    json!({
        "team": { "api_token": token },
        "group_type_mapping": { "0": "organization" },
        "cohorts": [{ "name": "pilots", "is_static": true, "members": ["ada", "unseen"] }],
        "flags": [{ "key": "one", "active": true, "filters": { "groups": [] }, "evaluation_contexts": ["web"] }],
        "groups": [{ "group_type_index": 0, "group_key": "acme", "properties": { "tier": "gold" } }],
        "persons": [{ "distinct_ids": ["ada"], "properties": { "plan": "pro" } }],
        "personal_api_key": { "value": "phx_one", "label": "one", "scopes": ["*"], "user_id": 5 },
        "config": { "a": 1 },
        "quota_limited": ["feature_flags"]
    })
}

/// Every row of every table.
fn dump(store: &EmbeddedStore) -> Vec<(String, Vec<Vec<Cell>>)> {
    let connection = Connection::open(store.path()).expect("the file opens");
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let tables: Vec<String> = query(&connection, names)
        .into_iter()
        .map(|row| text(&row[0]))
        .collect();
    tables
        .into_iter()
        .map(|table| {
            let mut rows = query(&connection, &format!("SELECT * FROM {table}"));
            rows.sort_by_key(|row| format!("{row:?}"));
            (table, rows)
        })
        .collect()
}

/// Rows of a query, as text.
pub fn rows(store: &EmbeddedStore, sql: &str) -> Vec<Vec<String>> {
    let connection = Connection::open(store.path()).expect("the file opens");
    query(&connection, sql)
        .iter()
        .map(|row| row.iter().map(text).collect())
        .collect()
}

fn query(connection: &Connection, sql: &str) -> Vec<Vec<Cell>> {
    let mut statement = connection.prepare(sql).expect("a sound statement");
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Blob(bytes) => format!("{bytes:?}"),
    }
}
