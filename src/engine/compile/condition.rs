//! Condition sets and their filters.

use std::ops::Range;

use serde_json::Value;

use super::Compiler;
use crate::definition::{FilterType, OperatorName, RawConditionSet, RawPropertyFilter};
use crate::engine::bucket::Rollout;
use crate::engine::matcher::Matcher;
use crate::engine::outcome::{Reason, VariantIndex};
use crate::engine::project::{CohortFilter, CompileWarning, Condition, Filter, Wanted};
use crate::engine::property::GroupIndex;

impl Compiler<'_> {
    pub(super) fn condition(
        &mut self,
        flag: usize,
        set: &RawConditionSet,
        position: usize,
        flag_group: Option<GroupIndex>,
    ) -> Condition {
        let aggregation = match set.aggregation_group_type_index {
            None => flag_group,
            Some(own) => own.map(|index| self.group(index)),
        };
        let (filters, cohort_filters) = self.filters(set, aggregation);
        Condition {
            pinned: set
                .variant
                .as_deref()
                .and_then(|variant| self.own_variant(flag, variant)),
            filters,
            cohort_filters,
            aggregation,
            rollout: Rollout::from_percentage(set.rollout_percentage),
            position: position as u32,
        }
    }

    /// The hashed variant of that name; holdout texts, at the end of the table, do not count.
    fn own_variant(&self, flag: usize, text: &str) -> Option<VariantIndex> {
        self.variant(flag, text)
            .filter(|variant| usize::from(variant.0) < self.hashed_variants[flag])
    }

    pub(super) fn filters(
        &mut self,
        set: &RawConditionSet,
        aggregation: Option<GroupIndex>,
    ) -> (Range<u32>, Range<u32>) {
        let from = self.filters.len() as u32;
        let cohorts_from = self.cohort_filters.len() as u32;
        for raw in set.properties.iter().flatten() {
            match raw.filter_type {
                FilterType::Cohort => {
                    let filter = self.cohort_filter(raw);
                    self.cohort_filters.push(filter);
                }
                FilterType::Flag => {
                    let filter = self.dependency(raw);
                    self.filters.push(filter);
                }
                FilterType::Person | FilterType::Group | FilterType::PersonMetadata => {
                    let filter = self.property(raw, aggregation);
                    self.filters.push(filter);
                }
            }
        }
        (
            from..self.filters.len() as u32,
            cohorts_from..self.cohort_filters.len() as u32,
        )
    }

    fn property(&mut self, raw: &RawPropertyFilter, aggregation: Option<GroupIndex>) -> Filter {
        let operator = raw.operator.unwrap_or(OperatorName::Exact);
        let (value, zone) = (raw.value.as_ref(), self.zone);
        // `Err`: no slot, and what the filter makes of an absent property whatever the request says.
        let slot = match raw.filter_type {
            FilterType::Group => match raw
                .group_type_index
                .map(|index| self.group(index))
                .or(aggregation)
            {
                // No index at a person level: an empty map.
                None => Err(true),
                Some(group) if !self.is_mapped(group) => Err(false),
                Some(group) => Ok(self.properties.group_slot(group, &raw.key)),
            },
            FilterType::PersonMetadata if raw.key == "created_at" => Ok(self.properties.created_at_slot()),
            FilterType::PersonMetadata => Err(true),
            _ => Ok(self.properties.person_slot(&raw.key)),
        };
        let compile = || Matcher::compile(operator, value, zone);
        let (filter, is_broken) = match slot {
            Ok(slot) => {
                let test = self.tests.add(slot, operator, value, compile);
                (Filter::Property(test), self.tests.is_broken_regex(test))
            }
            Err(counts_as_absent) => {
                let matcher = compile();
                let holds = counts_as_absent && matcher.matches_absent();
                (Filter::Constant(holds), matcher.is_broken_regex())
            }
        };
        if is_broken {
            self.broken.push(CompileWarning::BrokenRegex {
                flag: raw.key.as_str().into(),
            });
        }
        filter
    }

    fn dependency(&self, raw: &RawPropertyFilter) -> Filter {
        const NEVER: Filter = Filter::Constant(false);
        if raw.operator != Some(OperatorName::FlagEvaluatesTo) {
            return NEVER;
        }
        let Some(target) = raw
            .key
            .parse()
            .ok()
            .and_then(|id: i64| self.by_id.get(&id).copied())
        else {
            return NEVER;
        };
        let wanted = match &raw.value {
            Some(Value::Bool(true)) => Wanted::NotFalse,
            Some(Value::Bool(false)) => Wanted::False,
            Some(Value::String(text)) => match self.variant(target.0 as usize, text) {
                Some(variant) => Wanted::Variant(variant),
                None => return NEVER,
            },
            _ => return NEVER,
        };
        Filter::Dependency { target, wanted }
    }

    fn cohort_filter(&self, raw: &RawPropertyFilter) -> CohortFilter {
        let Some(id) = raw.value.as_ref().and_then(Value::as_i64) else {
            return CohortFilter::Error(Reason::CohortFiltersParsing);
        };
        let Some(cohort) = self.cohorts.get(id) else {
            return CohortFilter::Error(Reason::CohortNotFound);
        };
        if let Some(error) = self.cohorts.error(cohort) {
            return CohortFilter::Error(error);
        }
        match raw.operator.unwrap_or(OperatorName::In) {
            OperatorName::In => CohortFilter::Member { cohort, wanted: true },
            OperatorName::NotIn => CohortFilter::Member {
                cohort,
                wanted: false,
            },
            _ => CohortFilter::Never { cohort },
        }
    }
}
