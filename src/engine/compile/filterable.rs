//! Flags by what a request may leave out: runtime, evaluation contexts, surveys, group types.

use std::collections::HashMap;

use crate::definition::{FilterType, RawConditionSet, RawFlag, billable_key};
use crate::engine::bitset::BitSet;
use crate::engine::project::Filterable;

/// Prefix of the keys that survey mode keeps.
const SURVEY_PREFIX: &str = "survey-targeting-";

pub(super) fn filterable(flags: &[&RawFlag]) -> Filterable {
    let mut sets = Filterable {
        retired: BitSet::new(flags.len()),
        client_only: BitSet::new(flags.len()),
        server_only: BitSet::new(flags.len()),
        not_survey: BitSet::new(flags.len()),
        billable: BitSet::new(flags.len()),
        with_contexts: BitSet::new(flags.len()),
        by_context: HashMap::default(),
    };
    for (at, flag) in flags.iter().enumerate() {
        if !flag.active || flag.deleted {
            sets.retired.insert(at);
        } else if billable_key(&flag.key) {
            sets.billable.insert(at);
        }
        match flag.evaluation_runtime.as_deref() {
            Some(runtime) if runtime.eq_ignore_ascii_case("client") => {
                sets.client_only.insert(at);
            }
            Some(runtime) if runtime.eq_ignore_ascii_case("server") => {
                sets.server_only.insert(at);
            }
            _ => {}
        }
        if !flag.key.starts_with(SURVEY_PREFIX) {
            sets.not_survey.insert(at);
        }
        for context in flag.evaluation_contexts.iter().flatten() {
            sets.with_contexts.insert(at);
            sets.by_context
                .entry(context.as_str().into())
                .or_insert_with(|| BitSet::new(flags.len()))
                .insert(at);
        }
    }
    sets
}

/// Flags whose group types have to be known, by `evaluation.md` 14.2.
pub(super) fn refer_to_groups(flags: &[&RawFlag]) -> BitSet {
    let mut set = BitSet::new(flags.len());
    for (at, flag) in flags.iter().enumerate() {
        let in_condition = |condition: &RawConditionSet| {
            let mut filters = condition.properties.iter().flatten();
            matches!(condition.aggregation_group_type_index, Some(Some(_)))
                || filters.any(|filter| {
                    filter.filter_type == FilterType::Group && filter.group_type_index.is_some()
                })
        };
        if flag.filters.aggregation_group_type_index.is_some() || flag.filters.groups.iter().any(in_condition)
        {
            set.insert(at);
        }
    }
    set
}
