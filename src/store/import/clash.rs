//! What two documents of one input may not share.

use std::collections::{HashMap, HashSet};

use super::plan::secrets;
use crate::definition::document::{Notes, ProjectDocument};

/// Reports everything that two documents both claim, at the second place.
pub(super) fn check(documents: &[ProjectDocument], notes: &mut Notes) {
    let mut seen: HashMap<(&'static str, String), String> = HashMap::new();
    let mut projects: HashMap<i64, &ProjectDocument> = HashMap::new();
    for document in documents {
        let team = &document.team;
        let mut once = |what: &'static str, value: String, below: String, notes: &mut Notes| {
            let place = format!("{}{below}", document.path);
            if let Some(first) = seen.get(&(what, value.clone())) {
                notes.problem_at(place, &value, format!("a {what} other than that of {first}"));
            } else {
                seen.insert((what, value), place);
            }
        };
        if !team.api_token.is_empty() {
            once(
                "project token",
                team.api_token.clone(),
                ".team.api_token".to_owned(),
                notes,
            );
        }
        if let Some(id) = team.id {
            once("team id", id.to_string(), ".team.id".to_owned(), notes);
        }
        if let Some(uuid) = &team.uuid {
            once("team uuid", uuid.clone(), ".team.uuid".to_owned(), notes);
        }
        let mut own_secrets = HashSet::new();
        for (key, secret) in secrets(document).filter(|(_, secret)| own_secrets.insert(secret.as_str())) {
            once("team secret", secret.clone(), format!(".team.{key}"), notes);
        }
        // Within one document, the parser has reported these already.
        let mut own = HashSet::new();
        for flag in document
            .flags
            .iter()
            .filter(|flag| flag.id.is_some_and(|id| own.insert(id)))
        {
            let id = flag.id.unwrap_or_default();
            once(
                "flag id",
                id.to_string(),
                format!(".flags[{}].id", flag.position),
                notes,
            );
        }
        let mut own = HashSet::new();
        for cohort in document
            .cohorts
            .iter()
            .filter(|cohort| cohort.id.is_some_and(|id| own.insert(id)))
        {
            let id = cohort.id.unwrap_or_default();
            once(
                "cohort id",
                id.to_string(),
                format!(".cohorts[{}].id", cohort.position),
                notes,
            );
        }
        if let Some(project_id) = team.project_id {
            let first = projects.entry(project_id).or_insert(document);
            if first.group_types != document.group_types {
                let expected = format!("the group types of {}, which is of the same project", first.path);
                document.problem(".group_type_mapping", "", expected, notes);
            }
        }
    }
    check_keys(documents, notes);
}

/// One key may serve several projects, but it is one key.
fn check_keys(documents: &[ProjectDocument], notes: &mut Notes) {
    let mut keys = HashMap::new();
    for key in documents.iter().flat_map(|document| &document.personal_api_keys) {
        let first = keys.entry(&key.secure_value).or_insert(key);
        let same = (
            &first.label,
            &first.scopes,
            first.user_id,
            &first.scoped_teams,
            &first.scoped_organizations,
        ) == (
            &key.label,
            &key.scopes,
            key.user_id,
            &key.scoped_teams,
            &key.scoped_organizations,
        );
        if !same {
            notes.problem_at(
                key.path.clone(),
                "",
                format!("the members of {}, which is the same key", first.path),
            );
        }
    }
}
