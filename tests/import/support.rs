//! Reading a store from outside, and documents to import.

use feature_flags::store::embedded::{EmbeddedStore, ImportError, ImportReport};
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};

pub const SDK_FIXTURE: &str = include_str!("../fixtures/sdk_fixture.json");

pub fn store() -> EmbeddedStore {
    EmbeddedStore::temporary().expect("store")
}

pub fn import(store: &EmbeddedStore, document: &Value) -> ImportReport {
    store
        .import(document.to_string().as_bytes())
        .expect("the document is sound")
}

/// Problems of an import that must fail, as `path` and `expected`.
pub fn problems(store: &EmbeddedStore, document: &str) -> Vec<(String, String)> {
    let before = dump(store);
    let found = match store.import(document.as_bytes()) {
        Ok(_) => panic!("accepted: {document}"),
        Err(ImportError::Problems { problems, .. }) => problems,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(dump(store), before, "a refused import changes nothing");
    found
        .into_iter()
        .map(|problem| (problem.path, problem.expected))
        .collect()
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
pub fn dump(store: &EmbeddedStore) -> Vec<(String, Vec<Vec<Cell>>)> {
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
