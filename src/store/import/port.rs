//! What an import needs of a store: rows, and the few things in which the stores differ.
//!
//! Statements are written in the SQL that SQLite and PostgreSQL share, with the places `?1`, `?2`, ...
//! Types are the store's own: a [`Cell`] becomes what the column is.

/// A value on its way into or out of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// Boolean; 0 or 1 where a store has none.
    Bool(bool),
    /// Any integer.
    Int(i64),
    /// Text, and everything that is written as text: uuid, time, number, JSON; an array as a JSON array.
    Text(String),
}

impl Cell {
    /// The integer, if it is one.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Null | Self::Bool(_) | Self::Text(_) => None,
        }
    }

    /// The integer of a 32 bit column.
    pub(crate) fn id(&self) -> Option<i32> {
        self.int().and_then(|value| i32::try_from(value).ok())
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            Self::Null | Self::Bool(_) | Self::Int(_) => None,
        }
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Cell {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl<T: Clone + Into<Cell>> From<&Option<T>> for Cell {
    fn from(value: &Option<T>) -> Self {
        value.clone().map_or(Self::Null, Into::into)
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// A column and its value.
pub(crate) type Column = (&'static str, Cell);

/// Cells of one row, in the order of the statement.
pub(crate) type Row = Vec<Cell>;

/// Which database has a table (`storage.md` 5.2). Embedded, both are one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Teams, flags, cohorts, keys and everything else.
    Main,
    /// Persons, groups, group types, static membership, hash key overrides.
    Persons,
}

impl Part {
    /// The part that has `table`.
    pub(crate) fn of(table: &str) -> Self {
        match table {
            "posthog_person"
            | "posthog_persondistinctid"
            | "posthog_featureflaghashkeyoverride"
            | "posthog_cohortpeople"
            | "posthog_group"
            | "posthog_grouptypemapping" => Self::Persons,
            _ => Self::Main,
        }
    }
}

/// An open transaction of a store.
pub(crate) trait Rows {
    /// What the store says when it fails.
    type Error;

    /// Rows of a statement over tables of one part.
    fn query(&mut self, part: Part, sql: &str, values: &[Cell]) -> Result<Vec<Row>, Self::Error>;

    /// Runs a statement and returns how many rows it changed.
    fn execute(&mut self, part: Part, sql: &str, values: &[Cell]) -> Result<u64, Self::Error>;

    /// Inserts a row that is known to be absent.
    fn insert(&mut self, table: &'static str, columns: &[Column]) -> Result<(), Self::Error>;

    /// Columns as this store holds them: one that it lacks is left out when it would hold nothing, and
    /// null becomes the store's word for nothing where null is refused.
    fn fit(&mut self, table: &'static str, columns: Vec<Column>) -> Result<Vec<Column>, Self::Error>;

    /// The highest id that `table` has given out, 0 if none.
    fn highest_id(&mut self, table: &'static str) -> Result<i32, Self::Error>;

    /// Called before rows are written: ids of `table` up to `highest` will not be given to anybody else.
    fn reserve_ids(&mut self, table: &'static str, highest: i32) -> Result<(), Self::Error>;

    /// Inserts a person without properties and returns its id.
    fn insert_person(&mut self, team_id: i32, uuid: &str) -> Result<i64, Self::Error>;

    /// Removes a flag with everything that hangs on it.
    fn remove_flag(&mut self, flag_id: i32) -> Result<(), Self::Error>;

    /// Whether the flag has an experiment: a column embedded, a row of `posthog_experiment` in
    /// PostgreSQL. `None` means that the document does not say. True when the store changed.
    fn write_experiment(
        &mut self,
        team_id: i32,
        flag_id: i32,
        has_experiment: Option<bool>,
    ) -> Result<bool, Self::Error>;

    /// Replaces the resources over quota. Where they are not in the database the caller writes them
    /// from the report, and this does nothing. True when the store changed.
    fn write_quota(&mut self, team_id: i32, resources: &[String]) -> Result<bool, Self::Error>;

    /// Table that remembers which documents brought a key (`team_id`, `key_id`), so that importing one
    /// of them replaces only its own.
    fn key_links(&mut self) -> Result<&'static str, Self::Error>;

    /// Tells readers of this store that definitions of a token have changed, if it is the store that tells them.
    fn announce(&mut self, api_token: &str) -> Result<(), Self::Error>;
}
