//! `persons` and `groups`: stored properties.

use serde_json::value::RawValue;

use super::notes::Notes;
use super::object::{Object, text_of};
use super::parse::{GROUP_TYPE_INDEX_MAX, KEY_CHARS_MAX};
use super::path::Path;
use super::types::{DocumentGroup, DocumentPerson};

pub(super) fn read(
    path: &Path<'_>,
    raw: &RawValue,
    position: usize,
    notes: &mut Notes,
) -> Option<DocumentPerson> {
    let mut object = Object::open(path, raw, notes)?;
    let problems_before = notes.problems.len();
    let distinct_ids = object.texts("distinct_ids", KEY_CHARS_MAX, notes);
    if notes.problems.len() == problems_before && distinct_ids.as_ref().is_none_or(Vec::is_empty) {
        notes.problem(
            &path.key("distinct_ids"),
            "",
            "an array of at least one distinct id",
        );
    }
    let overrides_path = path.key("hash_key_overrides");
    let overrides = object.take("hash_key_overrides");
    let person = DocumentPerson {
        position,
        distinct_ids: distinct_ids.unwrap_or_default(),
        properties: object.json_object("properties", notes).map(str::to_owned),
        uuid: object.uuid("uuid", notes),
        is_identified: object.boolean("is_identified", notes),
        created_at: read_time(&mut object, notes),
        hash_key_overrides: overrides
            .map(|raw| read_overrides(&overrides_path, raw, notes))
            .unwrap_or_default(),
    };
    object.finish(notes);
    Some(person)
}

fn read_time(object: &mut Object<'_, '_>, notes: &mut Notes) -> Option<String> {
    let raw = object.take("created_at")?;
    let text = serde_json::from_str::<String>(raw.get()).ok();
    let text = text.filter(|text| text.parse::<jiff::Timestamp>().is_ok());
    if text.is_none() {
        notes.problem(
            &object.path.key("created_at"),
            raw.get(),
            "a time with offset, 2024-05-01T12:00:00Z",
        );
    }
    text
}

fn read_overrides(path: &Path<'_>, raw: &RawValue, notes: &mut Notes) -> Vec<(String, String)> {
    let Some(object) = Object::open(path, raw, notes) else {
        return Vec::new();
    };
    let mut overrides = Vec::new();
    for (flag_key, raw) in object.into_members() {
        let member = path.key(&flag_key);
        if flag_key.chars().count() > KEY_CHARS_MAX {
            notes.problem(
                &member,
                &flag_key,
                format!("a flag key of at most {KEY_CHARS_MAX} characters"),
            );
        }
        let hash_key = text_of(&member, raw, KEY_CHARS_MAX, notes);
        if let Some(hash_key) = hash_key {
            overrides.push((flag_key, hash_key));
        }
    }
    overrides
}

pub(super) fn read_group(
    path: &Path<'_>,
    raw: &RawValue,
    position: usize,
    notes: &mut Notes,
) -> Option<DocumentGroup> {
    let mut object = Object::open(path, raw, notes)?;
    let index = object.required_integer("group_type_index", 0, GROUP_TYPE_INDEX_MAX, notes);
    let group_key = object.required_text("group_key", KEY_CHARS_MAX, notes);
    let properties = object.json_object("properties", notes).unwrap_or("{}").to_owned();
    object.finish(notes);
    Some(DocumentGroup {
        position,
        group_type_index: i32::try_from(index?).ok()?,
        group_key: group_key?,
        properties,
    })
}
