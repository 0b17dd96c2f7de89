//! References between parts of a document, checked when all parts are known.

use super::notes::Notes;
use super::path::Path;
use super::types::ProjectDocument;

/// References with the places that make them. A dangling one is a warning: the engine answers it with a reason.
#[derive(Default)]
pub(super) struct References {
    cohorts: Vec<(String, i64)>,
    flags: Vec<(String, i32)>,
    group_types: Vec<(String, i32)>,
}

impl References {
    pub(super) fn cohort(&mut self, path: &Path<'_>, id: i64) {
        self.cohorts.push((path.to_string(), id));
    }

    pub(super) fn flag(&mut self, path: &Path<'_>, id: i32) {
        self.flags.push((path.to_string(), id));
    }

    pub(super) fn group_type(&mut self, path: &Path<'_>, index: i32) {
        self.group_types.push((path.to_string(), index));
    }

    pub(super) fn check(self, document: &ProjectDocument, notes: &mut Notes) {
        let cohorts: std::collections::HashSet<i64> = document
            .cohorts
            .iter()
            .filter(|cohort| !cohort.deleted)
            .filter_map(|cohort| cohort.id)
            .map(i64::from)
            .collect();
        let flags: std::collections::HashSet<i32> =
            document.flags.iter().filter_map(|flag| flag.id).collect();
        for (path, id) in self.cohorts {
            if !cohorts.contains(&id) {
                notes.warn_at(
                    path,
                    format!("names cohort {id}, which this document does not have"),
                );
            }
        }
        for (path, id) in self.flags {
            if !flags.contains(&id) {
                notes.warn_at(
                    path,
                    format!("names flag {id}, which this document does not have"),
                );
            }
        }
        for (path, index) in self.group_types {
            if !document.group_types.iter().any(|(known, _)| *known == index) {
                notes.warn_at(
                    path,
                    format!("names group type {index}, which group_type_mapping does not have"),
                );
            }
        }
    }
}
