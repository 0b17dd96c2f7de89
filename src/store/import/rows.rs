//! Row writes that report whether they changed anything.

use super::port::{Cell, Column, Part, Rows};

/// Inserts a row, or updates the row that has the same `keys` if a value differs. True when the store changed.
///
/// It reads first: an insert that only turns out to be an update would be refused where a table has
/// further columns without a default.
pub(super) fn upsert<R: Rows>(
    rows: &mut R,
    table: &'static str,
    keys: &[&'static str],
    columns: Vec<Column>,
) -> Result<bool, R::Error> {
    let columns = rows.fit(table, columns)?;
    let Statement { differ, sql, values } = compare(table, keys, &columns);
    let differ = if differ.is_empty() { "1 = 0" } else { &differ };
    let select = format!("SELECT CASE WHEN {differ} THEN 1 ELSE 0 END FROM {table} WHERE {sql}");
    let found = rows.query(Part::of(table), &select, &values)?;
    match found.first().and_then(|row| row.first()).and_then(Cell::int) {
        None => {
            rows.insert(table, &columns)?;
            Ok(true)
        }
        Some(0) => Ok(false),
        Some(_) => write(rows, table, keys, &columns),
    }
}

/// Updates the row that has these `keys` if a value differs. True when the store changed.
pub(super) fn update<R: Rows>(
    rows: &mut R,
    table: &'static str,
    keys: &[&'static str],
    columns: Vec<Column>,
) -> Result<bool, R::Error> {
    let columns = rows.fit(table, columns)?;
    write(rows, table, keys, &columns)
}

/// Inserts a row unless one with these `keys` is there. True when the store changed.
pub(super) fn ensure<R: Rows>(
    rows: &mut R,
    table: &'static str,
    keys: &[&'static str],
    columns: Vec<Column>,
) -> Result<bool, R::Error> {
    let key_columns: Vec<Column> = columns
        .iter()
        .filter(|(name, _)| keys.contains(name))
        .cloned()
        .collect();
    let Statement { sql, values, .. } = compare(table, keys, &key_columns);
    let found = rows.query(
        Part::of(table),
        &format!("SELECT 1 FROM {table} WHERE {sql}"),
        &values,
    )?;
    if !found.is_empty() {
        return Ok(false);
    }
    let columns = rows.fit(table, columns)?;
    rows.insert(table, &columns)?;
    Ok(true)
}

fn write<R: Rows>(
    rows: &mut R,
    table: &'static str,
    keys: &[&'static str],
    columns: &[Column],
) -> Result<bool, R::Error> {
    let Statement { differ, sql, values } = compare(table, keys, columns);
    if differ.is_empty() {
        return Ok(false);
    }
    let sets: Vec<String> = columns
        .iter()
        .zip(1..)
        .filter(|((name, _), _)| !keys.contains(name))
        .map(|((name, _), place)| format!("{name} = ?{place}"))
        .collect();
    let update = format!(
        "UPDATE {table} SET {} WHERE {sql} AND ({differ})",
        sets.join(", ")
    );
    Ok(rows.execute(Part::of(table), &update, &values)? > 0)
}

/// Conditions over the places of `columns`.
struct Statement {
    /// A value that is no key differs; empty when there is none.
    differ: String,
    /// The keys are the same.
    sql: String,
    values: Vec<Cell>,
}

fn compare(table: &str, keys: &[&'static str], columns: &[Column]) -> Statement {
    let mut statement = Statement {
        differ: String::new(),
        sql: String::new(),
        values: Vec::with_capacity(columns.len()),
    };
    for ((name, value), place) in columns.iter().zip(1..) {
        let (condition, joint, operator) = if keys.contains(name) {
            (&mut statement.sql, " AND ", "=")
        } else {
            (&mut statement.differ, " OR ", "IS DISTINCT FROM")
        };
        if !condition.is_empty() {
            condition.push_str(joint);
        }
        condition.push_str(&format!("{table}.{name} {operator} ?{place}"));
        statement.values.push(value.clone());
    }
    statement
}

/// Runs a statement. True when it changed rows.
pub(super) fn execute<R: Rows>(
    rows: &mut R,
    part: Part,
    sql: &str,
    values: &[Cell],
) -> Result<bool, R::Error> {
    Ok(rows.execute(part, sql, values)? > 0)
}

/// The first column of each row, where it is text.
pub(super) fn texts<R: Rows>(
    rows: &mut R,
    part: Part,
    sql: &str,
    values: &[Cell],
) -> Result<Vec<String>, R::Error> {
    let found = rows.query(part, sql, values)?;
    Ok(found
        .iter()
        .filter_map(|row| row.first()?.text().map(str::to_owned))
        .collect())
}
