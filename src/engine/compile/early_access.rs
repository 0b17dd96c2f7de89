//! Early access: enrolment by property, or the older super condition.

use super::Compiler;
use crate::definition::{RawConditionSet, RawFlag};
use crate::engine::bucket::Rollout;
use crate::engine::project::EarlyAccess;

impl Compiler<'_> {
    pub(super) fn early_access(&mut self, flag: usize, raw: &RawFlag) -> EarlyAccess {
        if raw.filters.feature_enrollment == Some(true) {
            let slot = self.properties.person_slot(&enrollment_property(&raw.key));
            return EarlyAccess::Enrollment(slot);
        }
        let Some(set) = raw.filters.super_groups.as_ref().and_then(|sets| sets.first()) else {
            return EarlyAccess::None;
        };
        let filters = set.properties.as_deref().unwrap_or_default();
        if filters.is_empty() {
            return EarlyAccess::None;
        }
        let present = filters
            .iter()
            .map(|filter| self.properties.person_slot(&filter.key))
            .collect();
        // Always a person condition, whatever the flag aggregates by.
        let person = RawConditionSet {
            aggregation_group_type_index: Some(None),
            ..RawConditionSet::default()
        };
        let mut condition = self.condition(flag, &person, 0, None);
        (condition.filters, condition.cohort_filters) = self.filters(set, None);
        condition.rollout = Rollout::from_percentage(set.rollout_percentage);
        self.conditions.push(condition);
        EarlyAccess::Super {
            condition: self.conditions.len() as u32 - 1,
            present,
        }
    }
}

pub(super) fn enrollment_property(key: &str) -> String {
    format!("$feature_enrollment/{key}")
}
