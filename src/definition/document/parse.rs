//! Bytes to documents: one object, an array of objects, or one object a line.

use serde_json::value::RawValue;

use super::notes::Notes;
use super::object::{Object, elements_of, integer_of, text_of};
use super::path::Path;
use super::references::References;
use super::types::ProjectDocument;
use super::{cohort, flag, key, person, team, unique};

/// Longest input that is read. Five hundred projects of realistic size are below a tenth of it.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Characters of names and keys in the stored tables.
pub(super) const KEY_CHARS_MAX: usize = 400;

/// A group type index that the group type table accepts (`schema.sql`).
pub(super) const GROUP_TYPE_INDEX_MAX: i64 = 5;

/// Members of a document that carry expectations of tests, or remarks.
const IGNORED_KEYS: [&str; 3] = ["description", "definitions_response", "requests"];

/// What an input holds. Documents are only worth storing when `notes` has no problem.
#[derive(Debug, Default)]
pub struct Documents {
    /// Whatever could be read, so that further checks can report more.
    pub documents: Vec<ProjectDocument>,
    /// Everything that was found.
    pub notes: Notes,
}

/// Parses and checks an input. Never panics, whatever the bytes; depth is bounded by the JSON parser.
pub fn parse(bytes: &[u8]) -> Documents {
    let mut parsed = Documents::default();
    let notes = &mut parsed.notes;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let size = format!("{} bytes", bytes.len());
        notes.problem(&Path::Root, &size, format!("at most {DOCUMENT_BYTES_MAX} bytes"));
        return parsed;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).trim(),
        Err(error) => {
            let place = format!("a byte that is not UTF-8 at offset {}", error.valid_up_to());
            notes.problem(&Path::Root, &place, "UTF-8 text");
            return parsed;
        }
    };
    for (path, raw) in split(text, notes) {
        let document = read_document(&path, raw, notes);
        parsed.documents.extend(document);
    }
    parsed
}

fn split<'a>(text: &'a str, notes: &mut Notes) -> Vec<(Path<'static>, &'a RawValue)> {
    const ROOT: Path<'static> = Path::Root;
    const EXPECTED: &str = "a project document, an array of them, or one a line";
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) if raw.get().starts_with('[') => {
            let elements = elements_of(&ROOT, raw, notes);
            elements
                .into_iter()
                .enumerate()
                .map(|(index, raw)| (Path::Index(&Path::Root, index), raw))
                .collect()
        }
        Ok(raw) => vec![(ROOT, raw)],
        Err(_) if text.is_empty() => {
            notes.problem(&ROOT, "", EXPECTED);
            Vec::new()
        }
        Err(_) if is_one_a_line(text) => split_lines(text, notes),
        Err(error) => {
            notes.problem(&ROOT, &error.to_string(), format!("valid JSON: {EXPECTED}"));
            Vec::new()
        }
    }
}

fn is_one_a_line(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    text.lines().nth(1).is_some() && lines.all(|line| line.trim_start().starts_with('{'))
}

fn split_lines<'a>(text: &'a str, notes: &mut Notes) -> Vec<(Path<'static>, &'a RawValue)> {
    let mut documents = Vec::new();
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    for (index, (line_number, line)) in lines.enumerate() {
        let path = Path::Index(&Path::Root, index);
        match serde_json::from_str(line.trim()) {
            Ok(raw) => documents.push((path, raw)),
            Err(error) => {
                let found = format!("input line {}: {error}", line_number + 1);
                notes.problem(&path, &found, "one valid JSON document a line");
            }
        }
    }
    documents
}

fn read_document(path: &Path<'_>, raw: &RawValue, notes: &mut Notes) -> Option<ProjectDocument> {
    let mut object = Object::open(path, raw, notes)?;
    for ignored in IGNORED_KEYS {
        object.take(ignored);
    }
    let mut references = References::default();
    let mut document = ProjectDocument {
        path: path.to_string(),
        ..ProjectDocument::default()
    };

    let team = object.take("team");
    if let Some(raw) = object.require("team", team, "an object with api_token", notes) {
        document.team = team::read(&path.key("team"), raw, notes);
    }
    let cohorts_path = path.key("cohorts");
    for (position, raw) in object.array("cohorts", notes).into_iter().enumerate() {
        let read = cohort::read(
            &cohorts_path.index(position),
            raw,
            position,
            &mut references,
            notes,
        );
        document.cohorts.extend(read);
    }
    let flags_path = path.key("flags");
    for (position, raw) in object.array("flags", notes).into_iter().enumerate() {
        let team_id = document.team.id;
        let read = flag::read(
            &flags_path.index(position),
            raw,
            position,
            team_id,
            &mut references,
            notes,
        );
        document.flags.extend(read);
    }
    if let Some(raw) = object.take("group_type_mapping") {
        document.group_types = read_group_types(&path.key("group_type_mapping"), raw, notes);
    }
    let groups_path = path.key("groups");
    for (position, raw) in object.array("groups", notes).into_iter().enumerate() {
        document.groups.extend(person::read_group(
            &groups_path.index(position),
            raw,
            position,
            notes,
        ));
    }
    let persons_path = path.key("persons");
    for (position, raw) in object.array("persons", notes).into_iter().enumerate() {
        document
            .persons
            .extend(person::read(&persons_path.index(position), raw, position, notes));
    }
    if let Some(raw) = object.take("personal_api_key") {
        document
            .personal_api_keys
            .extend(key::read(&path.key("personal_api_key"), raw, notes));
    }
    let keys_path = path.key("personal_api_keys");
    for (position, raw) in object.array("personal_api_keys", notes).into_iter().enumerate() {
        document
            .personal_api_keys
            .extend(key::read(&keys_path.index(position), raw, notes));
    }
    document.config = object.json_object("config", notes).map(str::to_owned);
    document.quota_limited = object
        .texts("quota_limited", KEY_CHARS_MAX, notes)
        .unwrap_or_default();
    document.quota_limited.sort();
    document.quota_limited.dedup();
    object.finish(notes);

    unique::check(&document, notes);
    references.check(&document, notes);
    Some(document)
}

fn read_group_types(path: &Path<'_>, raw: &RawValue, notes: &mut Notes) -> Vec<(i32, String)> {
    let Some(object) = Object::open(path, raw, notes) else {
        return Vec::new();
    };
    let mut types: Vec<(i32, String)> = Vec::new();
    for (index_text, raw) in object.into_members() {
        let member = path.key(&index_text);
        let index = index_text
            .parse::<i32>()
            .ok()
            .filter(|index| (0..=GROUP_TYPE_INDEX_MAX).contains(&(*index).into()));
        if index.is_none_or(|index| index.to_string() != index_text) {
            notes.problem(
                &member,
                &index_text,
                format!("a group type index from 0 to {GROUP_TYPE_INDEX_MAX} as key"),
            );
        }
        let name = text_of(&member, raw, KEY_CHARS_MAX, notes);
        if let (Some(index), Some(name)) = (index, name) {
            if types.iter().any(|(_, other)| *other == name) {
                notes.problem(&member, raw.get(), "a group type name that no other index has");
            }
            types.push((index, name));
        }
    }
    types.sort();
    types
}

/// Reads an integer element, for arrays of ids.
pub(super) fn ids(path: &Path<'_>, raw: &RawValue, notes: &mut Notes) -> Vec<i32> {
    let elements = elements_of(path, raw, notes).into_iter().enumerate();
    elements
        .filter_map(|(index, raw)| integer_of(&path.index(index), raw, 1, i64::from(i32::MAX), notes))
        .filter_map(|id| i32::try_from(id).ok())
        .collect()
}
