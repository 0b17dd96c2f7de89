//! What may stand only once in a document.

use std::collections::HashMap;

use super::notes::Notes;
use super::types::ProjectDocument;

/// Reports keys and ids that stand twice, at the second place.
pub(super) fn check(document: &ProjectDocument, notes: &mut Notes) {
    let mut once = Once {
        path: &document.path,
        seen: HashMap::new(),
    };
    for flag in &document.flags {
        let place = format!(".flags[{}]", flag.position);
        // An empty key could not be read: it is reported already, and it is nobody's twin.
        if !flag.key.is_empty() {
            once.check("flag key", &flag.key, format!("{place}.key"), notes);
        }
        if let Some(id) = flag.id {
            once.check("flag id", &id.to_string(), format!("{place}.id"), notes);
        }
    }
    for cohort in &document.cohorts {
        let place = format!(".cohorts[{}]", cohort.position);
        match (cohort.id, &cohort.name) {
            (Some(id), _) => once.check("cohort id", &id.to_string(), format!("{place}.id"), notes),
            (None, Some(name)) => {
                once.check(
                    "name of a cohort without id",
                    name,
                    format!("{place}.name"),
                    notes,
                );
            }
            (None, None) => {}
        }
    }
    for group in &document.groups {
        let identity = format!("{} {}", group.group_type_index, group.group_key);
        let place = format!(".groups[{}]", group.position);
        once.check("group type index and group key", &identity, place, notes);
    }
    for person in &document.persons {
        let place = format!(".persons[{}]", person.position);
        for (index, distinct_id) in person.distinct_ids.iter().enumerate() {
            let place = format!("{place}.distinct_ids[{index}]");
            once.check("distinct id", distinct_id, place, notes);
        }
        if let Some(uuid) = &person.uuid {
            once.check("person uuid", uuid, format!("{place}.uuid"), notes);
        }
    }
}

/// Kind and value, with the first place of each.
struct Once<'d> {
    path: &'d str,
    seen: HashMap<(&'static str, String), String>,
}

impl Once<'_> {
    fn check(&mut self, what: &'static str, value: &str, place: String, notes: &mut Notes) {
        let identity = (what, value.to_owned());
        if let Some(first) = self.seen.get(&identity) {
            let expected = format!("a {what} other than that of {}{first}", self.path);
            notes.problem_at(format!("{}{place}", self.path), value, expected);
        } else {
            self.seen.insert(identity, place);
        }
    }
}
