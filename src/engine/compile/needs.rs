//! What a flag could want from storage.

use serde_json::Value;

use super::Compiler;
use super::early_access::enrollment_property;
use crate::definition::{FilterType, RawConditionSet, RawFlag};
use crate::engine::project::Needs;
use crate::engine::property::{GroupIndex, SlotIndex};

impl Compiler<'_> {
    /// `evaluation.md` 8.1.
    pub(super) fn needs(&mut self, raw: &RawFlag, group: Option<GroupIndex>) -> Needs {
        let mut always = group.is_some();
        let mut person: Vec<SlotIndex> = Vec::new();
        let mut wanted_groups = Vec::new();
        let mut referenced: Vec<GroupIndex> = group.into_iter().collect();
        if raw.filters.feature_enrollment == Some(true) {
            person.push(self.properties.person_slot(&enrollment_property(&raw.key)));
        }
        let reachable = |set: &&RawConditionSet| set.rollout_percentage.is_none_or(|share| share > 0.0);
        for set in raw.filters.super_groups.iter().flatten().filter(reachable) {
            for filter in set.properties.iter().flatten() {
                match filter.filter_type {
                    FilterType::Cohort | FilterType::Flag => {}
                    FilterType::PersonMetadata => always = true,
                    FilterType::Person | FilterType::Group => {
                        person.push(self.properties.person_slot(&filter.key))
                    }
                }
            }
        }
        for set in &raw.filters.groups {
            let aggregation = match set.aggregation_group_type_index {
                None => group,
                Some(own) => own.map(|index| self.group(index)),
            };
            referenced.extend(aggregation);
            for filter in set.properties.iter().flatten() {
                let own = filter.group_type_index.map(|index| self.group(index));
                if filter.filter_type == FilterType::Group {
                    referenced.extend(own);
                }
                if !reachable(&set) {
                    continue;
                }
                match filter.filter_type {
                    FilterType::Person => person.push(self.properties.person_slot(&filter.key)),
                    FilterType::Group => {
                        if let Some(group) = own.or(aggregation)
                            && self.is_mapped(group)
                        {
                            wanted_groups.push((group, self.properties.group_slot(group, &filter.key)));
                        }
                    }
                    FilterType::Cohort | FilterType::PersonMetadata => always = true,
                    FilterType::Flag => {}
                }
            }
        }
        person.sort_unstable();
        person.dedup();
        wanted_groups.sort_unstable();
        wanted_groups.dedup();
        referenced.sort_unstable();
        referenced.dedup();
        let mut static_cohorts = Vec::new();
        for set in raw
            .filters
            .groups
            .iter()
            .chain(raw.filters.super_groups.iter().flatten())
        {
            for filter in set.properties.iter().flatten() {
                if filter.filter_type == FilterType::Cohort
                    && let Some(id) = filter.value.as_ref().and_then(Value::as_i64)
                {
                    self.cohorts.static_positions(id, &mut static_cohorts);
                }
            }
        }
        referenced.retain(|group| self.is_mapped(*group));
        Needs {
            always,
            person: person.into(),
            group: wanted_groups.into(),
            referenced_groups: referenced.into(),
            static_cohorts: static_cohorts.into(),
        }
    }
}

/// `evaluation.md` 7.1: whether the hash, and so a stored identifier, can change the answer.
pub(super) fn hash_can_matter(flag: &RawFlag) -> bool {
    let mut total = 0.0;
    let mut reachable = 0;
    for variant in flag
        .filters
        .multivariate
        .iter()
        .flat_map(|multivariate| &multivariate.variants)
    {
        if total >= 100.0 {
            break;
        }
        if variant.rollout_percentage > 0.0 {
            reachable += 1;
        }
        total += variant.rollout_percentage;
    }
    reachable > 1
        || flag
            .filters
            .groups
            .iter()
            .any(|set| set.rollout_percentage.is_some_and(|share| share < 100.0))
}
