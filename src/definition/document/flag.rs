//! `flags`: rows of `posthog_featureflag` (`evaluation.md` 2.1).

use serde_json::value::RawValue;

use super::filters;
use super::notes::Notes;
use super::object::{Object, value_of};
use super::parse::KEY_CHARS_MAX;
use super::path::Path;
use super::references::References;
use super::types::DocumentFlag;
use crate::definition::RawFilters;

const CONTEXT_CHARS_MAX: usize = 255;

/// The column is unbounded text; a description beyond this is a mistake.
const NAME_CHARS_MAX: usize = 1_000_000;

/// Columns that other tools write and that no answer depends on.
const IGNORED_KEYS: [&str; 6] = [
    "rollout_percentage",
    "created_by_id",
    "last_modified_by_id",
    "created_at",
    "updated_at",
    "last_called_at",
];

pub(super) fn read(
    path: &Path<'_>,
    raw: &RawValue,
    position: usize,
    team_id: Option<i32>,
    references: &mut References,
    notes: &mut Notes,
) -> Option<DocumentFlag> {
    let mut object = Object::open(path, raw, notes)?;
    for ignored in IGNORED_KEYS {
        object.take(ignored);
    }
    warn_of_other_team(&mut object, team_id, notes);
    let key = object.required_text("key", KEY_CHARS_MAX, notes);
    let filters = object.take("filters");
    let filters = object.require("filters", filters, "an object", notes);
    let filters = filters.and_then(|raw| read_filters(&path.key("filters"), raw, references, notes));
    let contexts = object.texts("evaluation_contexts", CONTEXT_CHARS_MAX, notes);
    let tags = object.texts("evaluation_tags", CONTEXT_CHARS_MAX, notes);
    if contexts.is_some() && tags.is_some() {
        notes.problem(
            &path.key("evaluation_tags"),
            "both",
            "either evaluation_contexts or evaluation_tags",
        );
    }
    let mut evaluation_contexts = contexts.or(tags).unwrap_or_default();
    evaluation_contexts.sort();
    evaluation_contexts.dedup();
    let flag = DocumentFlag {
        position,
        id: object.id("id", notes),
        key: key.unwrap_or_default(),
        name: object.text("name", NAME_CHARS_MAX, notes).unwrap_or_default(),
        filters: filters.unwrap_or_default(),
        active: object.boolean("active", notes).unwrap_or(false),
        deleted: object.boolean("deleted", notes).unwrap_or(false),
        archived: object.boolean("archived", notes).unwrap_or(false),
        version: object.integer("version", i64::from(i32::MIN), i64::from(i32::MAX), notes),
        ensure_experience_continuity: object.boolean("ensure_experience_continuity", notes),
        is_remote_configuration: object.boolean("is_remote_configuration", notes),
        has_encrypted_payloads: object.boolean("has_encrypted_payloads", notes),
        has_enriched_analytics: object.boolean("has_enriched_analytics", notes),
        evaluation_runtime: object.text("evaluation_runtime", 10, notes),
        bucketing_identifier: object.text("bucketing_identifier", 50, notes),
        evaluation_contexts,
        has_experiment: object.boolean("has_experiment", notes),
    };
    if flag.archived && flag.active {
        notes.problem(&path.key("archived"), "true", "false, because the flag is active");
    }
    warn_of_unknown_choice(&flag, path, notes);
    object.finish(notes);
    Some(flag)
}

/// A flag belongs to the team of its document, whatever it says.
fn warn_of_other_team(object: &mut Object<'_, '_>, team_id: Option<i32>, notes: &mut Notes) {
    let given = object.id("team_id", notes);
    if given.is_some() && given != team_id {
        notes.warn(
            &object.path.key("team_id"),
            "is not the team of this document, not stored",
        );
    }
}

fn warn_of_unknown_choice(flag: &DocumentFlag, path: &Path<'_>, notes: &mut Notes) {
    if let Some(runtime) = &flag.evaluation_runtime
        && !["client", "server", "all"]
            .iter()
            .any(|known| runtime.eq_ignore_ascii_case(known))
    {
        notes.warn(
            &path.key("evaluation_runtime"),
            "is neither client, server nor all, counts as all",
        );
    }
    if let Some(identifier) = &flag.bucketing_identifier
        && !["distinct_id", "device_id"].contains(&identifier.as_str())
    {
        notes.warn(
            &path.key("bucketing_identifier"),
            "is neither distinct_id nor device_id, counts as distinct_id",
        );
    }
}

/// Checks the text with our own walk, which names places, and then with the parser that will read it.
fn read_filters(
    path: &Path<'_>,
    raw: &RawValue,
    references: &mut References,
    notes: &mut Notes,
) -> Option<String> {
    let value = value_of(path, raw, notes)?;
    let before = notes.problems.len();
    filters::check(path, &value, references, notes);
    if notes.problems.len() == before
        && let Err(error) = sonic_rs::from_str::<RawFilters>(raw.get())
    {
        // The parser's text quotes the input on several lines; its first line says what is wrong.
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default();
        notes.problem(path, raw.get(), format!("filters that can be parsed ({reason})"));
    }
    Some(raw.get().to_owned())
}
