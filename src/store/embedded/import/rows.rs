//! Row writes that report whether they changed anything.

use rusqlite::{ToSql, Transaction};

/// A column and its value.
pub(super) type Column<'v> = (&'static str, &'v dyn ToSql);

/// Inserts a row, or updates the row that has the same `keys` if a value differs. True when the store changed.
pub(super) fn upsert(
    transaction: &Transaction<'_>,
    table: &'static str,
    keys: &[&'static str],
    columns: &[Column<'_>],
) -> rusqlite::Result<bool> {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    let values: Vec<&&str> = names.iter().filter(|name| !keys.contains(name)).collect();
    let update = if values.is_empty() {
        "NOTHING".to_owned()
    } else {
        let sets: Vec<String> = values
            .iter()
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let differ: Vec<String> = values
            .iter()
            .map(|name| format!("{table}.{name} IS NOT excluded.{name}"))
            .collect();
        format!("UPDATE SET {} WHERE {}", sets.join(", "), differ.join(" OR "))
    };
    let sql = format!(
        "INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT ({}) DO {update}",
        names.join(", "),
        places.join(", "),
        keys.join(", "),
    );
    let values: Vec<&dyn ToSql> = columns.iter().map(|(_, value)| *value).collect();
    Ok(transaction.prepare_cached(&sql)?.execute(values.as_slice())? > 0)
}

/// Runs a statement. True when it changed rows.
pub(super) fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    values: &[&dyn ToSql],
) -> rusqlite::Result<bool> {
    Ok(transaction.prepare_cached(sql)?.execute(values)? > 0)
}
