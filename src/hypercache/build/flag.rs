//! One flag as it appears in an entry.

use std::borrow::Cow;

use super::{DOCUMENT_BYTES_MAX, document};
use crate::hypercache::database::FlagRow;
use crate::hypercache::json::{Json, object};

/// A flag with its conditions read.
pub(super) struct Flag<'a> {
    pub(super) row: &'a FlagRow,
    /// Malformed ones are kept as they are (`storage.md` 4.1).
    pub(super) filters: Json<'a>,
}

impl<'a> Flag<'a> {
    pub(super) fn read(row: &'a FlagRow) -> Self {
        Self {
            row,
            filters: document(Some(&row.filters), DOCUMENT_BYTES_MAX),
        }
    }

    pub(super) fn id(&self) -> i64 {
        self.row.id.into()
    }

    pub(super) fn into_json(self) -> Json<'a> {
        let row = self.row;
        let contexts = row.evaluation_contexts.iter();
        let mut flag = object([
            ("id", Json::integer(row.id.into())),
            ("team_id", Json::integer(row.team_id.into())),
            ("name", Json::from(row.name.as_str())),
            ("key", Json::from(row.key.as_str())),
            ("filters", self.filters),
            ("deleted", row.deleted.into()),
            ("active", row.active.into()),
            (
                "ensure_experience_continuity",
                row.ensure_experience_continuity.map_or(Json::Null, Json::from),
            ),
            ("version", Json::integer_or_null(row.version)),
            (
                "evaluation_runtime",
                Json::text_or_null(row.evaluation_runtime.as_deref()),
            ),
            (
                "bucketing_identifier",
                Json::text_or_null(row.bucketing_identifier.as_deref()),
            ),
            (
                "evaluation_contexts",
                Json::Array(contexts.map(|name| Json::from(name.as_str())).collect()),
            ),
        ]);
        if let (Some(has_experiment), Json::Object(members)) = (row.has_experiment, &mut flag) {
            members.insert(Cow::Borrowed("has_experiment"), has_experiment.into());
        }
        flag
    }
}
