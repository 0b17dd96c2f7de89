//! What a table of this deployment looks like beyond the columns that an import knows.
//!
//! Production tables carry more columns than `schema.sql`, some of them not null and without a default,
//! because their own application always writes them. A new row gets a neutral value there.

use crate::store::import::{Cell, Column, Row};

/// Columns of a table, read once a run. Row: name, type, whether null is refused, whether a
/// new row must be given a value.
pub(super) const COLUMNS: &str = "SELECT column_name::text, data_type::text, is_nullable = 'NO',
        is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'
    FROM information_schema.columns
    WHERE table_schema = ANY (current_schemas(false)) AND table_name = ?1";

/// Columns of one table.
pub(super) struct Layout {
    /// Column, and whether it refuses null.
    names: Vec<(String, bool)>,
    /// Column and the expression of its neutral value.
    needed: Vec<(String, &'static str)>,
}

impl Layout {
    /// Reads the answer to [`COLUMNS`].
    pub(super) fn of(rows: &[Row]) -> Self {
        let mut layout = Self {
            names: Vec::with_capacity(rows.len()),
            needed: Vec::new(),
        };
        for row in rows {
            let (Some(name), Some(kind)) =
                (row.first().and_then(Cell::text), row.get(1).and_then(Cell::text))
            else {
                continue;
            };
            let holds = |place: usize| row.get(place) == Some(&Cell::Bool(true));
            layout.names.push((name.to_owned(), holds(2)));
            if holds(3)
                && let Some(neutral) = neutral(kind)
            {
                layout.needed.push((name.to_owned(), neutral));
            }
        }
        layout
    }

    /// See `Rows::fit`. Null for a column that refuses it leaves the column alone: its default in a new row.
    pub(super) fn fit(&self, table: &str, columns: Vec<Column>) -> Vec<Column> {
        columns
            .into_iter()
            .map(|(name, value)| match (table, name, &value) {
                // The deprecated definition of a cohort that has none.
                ("posthog_cohort", "groups", Cell::Null) => (name, Cell::from("[]")),
                _ => (name, value),
            })
            .filter(|(name, value)| match self.refuses_null(name) {
                Some(refused) => !refused || *value != Cell::Null,
                None => !matches!(value, Cell::Null | Cell::Bool(false)),
            })
            .collect()
    }

    /// `None`: there is no such column.
    fn refuses_null(&self, column: &str) -> Option<bool> {
        let found = self.names.iter().find(|(name, _)| name == column);
        found.map(|(_, refused)| *refused)
    }

    /// Columns that a new row with `columns` still lacks, with their neutral values.
    pub(super) fn missing<'l>(
        &'l self,
        columns: &'l [Column],
    ) -> impl Iterator<Item = (&'l str, &'static str)> {
        self.needed
            .iter()
            .filter(|(name, _)| !columns.iter().any(|(given, _)| given == name))
            .map(|(name, neutral)| (name.as_str(), *neutral))
    }
}

/// `None`: a type that the server must complain about by itself.
fn neutral(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "boolean" => "false",
        "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision" => "0",
        "character varying" | "text" | "character" => "''",
        "uuid" => "gen_random_uuid()",
        "json" | "jsonb" | "ARRAY" => "'{}'",
        "timestamp with time zone" | "timestamp without time zone" | "date" => "now()",
        _ => return None,
    })
}
