//! What a traced request says of its statements, by OpenTelemetry's conventions for databases: texts of ours, which have no
//! parameters in them, and never the parameters.

use std::borrow::Cow;
use std::fmt::Write;

use super::connection::Query;
use super::error::{ErrorClass, PostgresError};
use crate::span::{self, OpenSpan};

/// Words that a name of a table follows.
const BEFORE_TABLES: [&str; 4] = ["FROM", "JOIN", "INTO", "UPDATE"];

/// Begins the span of an exchange, if the request is traced.
pub(super) fn begin(
    pool: &'static str,
    begin: Option<&'static str>,
    queries: &[Query<'_>],
    end: Option<&'static str>,
) -> Option<OpenSpan> {
    let span = span::call(|| summary(begin, queries, end))?;
    let operation = match queries {
        [] => end.unwrap_or("BEGIN"),
        [one] => first_word(one.sql),
        // What is sent together only reads.
        [_, _, ..] => "BATCH SELECT",
    };
    let mut span = span
        .with("db.system.name", "postgresql")
        .with("db.operation.name", operation)
        .with("feature_flags.pool", pool);
    if queries.len() > 1 {
        span = span.with("db.operation.batch.size", queries.len() as i64);
    }
    if let Some(text) = text(queries) {
        span = span.with("db.query.text", text);
    }
    Some(span)
}

/// Operation and tables; what a trace shows as its name.
fn summary(
    begin: Option<&'static str>,
    queries: &[Query<'_>],
    end: Option<&'static str>,
) -> Cow<'static, str> {
    let Some(first) = queries.first() else {
        return Cow::Borrowed(end.or(begin).unwrap_or("BEGIN"));
    };
    let mut name = String::new();
    if queries.len() > 1 {
        name.push_str("BATCH ");
    }
    name.push_str(first_word(first.sql));
    for table in tables(first.sql) {
        let _ = write!(name, " {table}");
    }
    Cow::Owned(name)
}

fn first_word(sql: &'static str) -> &'static str {
    sql.split_whitespace().next().unwrap_or_default()
}

/// Tables that a statement names, each once, in its order.
fn tables(sql: &'static str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut words = sql.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if BEFORE_TABLES.contains(&word.trim_start_matches('('))
            && let Some(table) = words.peek()
            && table
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !found.contains(table)
            && *table != "LATERAL"
        {
            found.push(*table);
        }
    }
    found
}

/// The statements, white space aside; `None`: there is none.
fn text(queries: &[Query<'_>]) -> Option<String> {
    let mut text = String::new();
    for query in queries {
        if !text.is_empty() {
            text.push_str("; ");
        }
        for (at, word) in query.sql.split_whitespace().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
    }
    (!text.is_empty()).then_some(text)
}

/// What a span says of a failure: the server's code where it gave one.
pub(super) fn code(error: &PostgresError) -> Cow<'static, str> {
    if let PostgresError::Statement(error) = error
        && let Some(state) = error.code()
    {
        return Cow::Owned(state.code().to_owned());
    }
    Cow::Borrowed(match error.class() {
        ErrorClass::Timeout(kind) => kind.name(),
        class => class.name(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(sql: &'static str) -> Query<'static> {
        Query { sql, parameters: &[] }
    }

    #[test]
    fn statements_are_named_by_operation_and_tables() {
        let person =
            "SELECT p.id, ARRAY(SELECT c.id FROM cohortpeople c)\n  FROM ids d\n JOIN person p ON true";
        for (queries, end, name) in [
            (vec![query(person)], None, "SELECT cohortpeople ids person"),
            (
                vec![query("INSERT INTO t (a) SELECT 1 FROM unnest($1) AS v")],
                Some("COMMIT"),
                "INSERT t",
            ),
            (
                vec![query("SELECT 1 FROM a JOIN a x ON true"), query("SELECT 2")],
                None,
                "BATCH SELECT a",
            ),
            (vec![query("UPDATE keys SET used = now()")], None, "UPDATE keys"),
            (
                vec![query("SELECT v FROM s CROSS JOIN LATERAL f(s) AS v")],
                None,
                "SELECT s",
            ),
            (vec![], Some("ROLLBACK"), "ROLLBACK"),
        ] {
            assert_eq!(summary(None, &queries, end), name);
        }
        assert_eq!(text(&[query(" a\n  b"), query("c")]).as_deref(), Some("a b; c"));
        assert_eq!(text(&[]), None);
    }
}
