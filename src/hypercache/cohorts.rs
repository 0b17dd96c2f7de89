//! Which cohorts a payload needs (`storage.md` 4.3, 4.4).

use std::collections::{BTreeMap, BTreeSet};

use super::database::CohortRow;
use super::json::Json;
use super::metadata::properties;

/// Rounds of references for `flags.json`; what was found by then is used.
pub(super) const ROUNDS_MAX: usize = 20;

/// A cohort with its definition read.
pub(super) struct Cohort<'a> {
    pub(super) row: &'a CohortRow,
    /// Not JSON at all: a string.
    pub(super) filters: Json<'a>,
}

impl<'a> Cohort<'a> {
    pub(super) fn read(row: &'a CohortRow, bytes_max: usize) -> Self {
        Self {
            row,
            filters: super::build::document(row.filters.as_deref(), bytes_max),
        }
    }

    /// Cohorts that the definition names, at any depth; a static one is not computed from its definition.
    fn references(&self) -> BTreeSet<i64> {
        let mut found = BTreeSet::new();
        if !self.row.is_static
            && let Some(root) = self.filters.get("properties")
        {
            collect(root, &mut found);
        }
        found
    }
}

/// The tree is bounded in depth by the parser.
fn collect(node: &Json<'_>, found: &mut BTreeSet<i64>) {
    for child in node.get("values").map(Json::elements).unwrap_or_default() {
        if child.get("type").and_then(Json::as_str) == Some("cohort") {
            found.extend(child.get("value").and_then(Json::as_id));
        }
        collect(child, found);
    }
}

/// Cohorts that conditions name.
pub(super) fn seeds(filters: &Json<'_>) -> BTreeSet<i64> {
    properties(filters, "cohort")
        .filter_map(|property| property.get("value")?.as_id())
        .collect()
}

/// Cohorts reachable from the seeds, by id, breadth first; missing ones are simply absent.
pub(super) fn reachable<'a, 'c>(
    seeds: BTreeSet<i64>,
    all: &'c BTreeMap<i64, Cohort<'a>>,
    rounds_max: usize,
) -> BTreeMap<i64, &'c Cohort<'a>> {
    let mut loaded = BTreeMap::new();
    let mut next = seeds;
    let mut rounds = 0;
    while !next.is_empty() && rounds < rounds_max {
        rounds += 1;
        let mut references = BTreeSet::new();
        for id in next {
            if let Some(cohort) = all.get(&id) {
                loaded.insert(id, cohort);
                references.extend(cohort.references());
            }
        }
        references.retain(|id| !loaded.contains_key(id));
        next = references;
    }
    loaded
}
