//! The team's columns as JSON, by name. What has another type than its column should counts as not set.

use std::collections::BTreeMap;

use crate::hypercache::build::{DOCUMENT_BYTES_MAX, document};
use crate::hypercache::database::{TEAM_SETTING_COLUMNS, TeamRow};
use crate::hypercache::json::Json;

/// Columns of one team.
pub(super) struct TeamSettings<'t> {
    columns: BTreeMap<&'static str, Json<'t>>,
}

impl<'t> TeamSettings<'t> {
    /// Parses every column once.
    pub fn read(row: &'t TeamRow) -> Self {
        let texts = TEAM_SETTING_COLUMNS.into_iter().zip(&row.settings);
        let columns = texts.map(|(name, text)| (name, document(Some(text), DOCUMENT_BYTES_MAX)));
        let groups = document(row.trigger_groups.as_deref(), DOCUMENT_BYTES_MAX);
        Self {
            columns: columns
                .chain([("session_recording_trigger_groups", groups)])
                .collect(),
        }
    }

    /// As stored; null when there is no such column.
    pub fn value(&self, column: &str) -> Json<'t> {
        self.columns.get(column).cloned().unwrap_or(Json::Null)
    }

    /// Whether a column is true.
    pub fn is_on(&self, column: &str) -> bool {
        self.columns.get(column).and_then(Json::as_bool) == Some(true)
    }

    /// Whether a member of a column that holds an object is true.
    pub fn is_on_in(&self, column: &str, member: &str) -> bool {
        self.member(column, member).and_then(Json::as_bool) == Some(true)
    }

    /// A member of a column that holds an object.
    pub fn member(&self, column: &str, member: &str) -> Option<&Json<'t>> {
        self.columns.get(column)?.get(member)
    }

    /// A member that is a text and not empty.
    pub fn text_in(&self, column: &str, member: &str) -> Option<Json<'t>> {
        let text = self.member(column, member)?;
        text.as_str()
            .is_some_and(|text| !text.is_empty())
            .then(|| text.clone())
    }

    /// An object that is not empty.
    pub fn object(&self, column: &str) -> Option<Json<'t>> {
        match self.columns.get(column) {
            Some(value @ Json::Object(members)) if !members.is_empty() => Some(value.clone()),
            _ => None,
        }
    }
}
