//! One flag, `evaluation.md` 9 and 10.2.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cohorts::{self, Cohorts};
use super::dates::Clock;
use super::hash;
use super::model::{Case, Condition, Filter, Flag};
use super::operators::{self, Verdict};
use super::outcome::{COHORT_NOTE, Failure, FlagOutcome, GROUP_NOTE, Reason};
use super::preparation::Prepared;
use super::properties::{self, Properties};
use super::reading::Reading;
use super::trace::Trace;

/// Values of flags by id: `false`, `true` or the variant text.
pub type Recorded = BTreeMap<i64, Value>;

/// Everything one flag is evaluated with.
#[derive(Debug)]
pub struct Context<'a> {
    pub case: &'a Case,
    pub reading: Reading,
    pub prepared: &'a Prepared,
    pub person: &'a Properties,
    pub clock: &'a Clock,
    pub recorded: &'a Recorded,
}

/// What became of the filters of a condition.
struct FilterResult {
    matched: bool,
    /// A missed cohort filter has a part that is not evaluated here.
    cohort_note: bool,
}

impl Context<'_> {
    /// 9.1, from step 2 on.
    pub fn evaluate(&self, flag: Flag<'_>, trace: &mut Trace) -> Result<FlagOutcome, Failure> {
        if let Some(outcome) = self.early_access(flag, trace)? {
            return Ok(outcome);
        }
        if let Some(outcome) = self.holdout(flag) {
            return Ok(outcome);
        }
        self.conditions(flag, trace)
    }

    /// 9.2.
    fn early_access(&self, flag: Flag<'_>, trace: &mut Trace) -> Result<Option<FlagOutcome>, Failure> {
        let matched = if flag.feature_enrollment() {
            match self
                .person
                .values
                .get(&format!("$feature_enrollment/{}", flag.key()))
            {
                None => return Ok(None),
                Some(value) => *value == true || *value == "true",
            }
        } else {
            let Some(element) = flag.super_groups().first().copied() else {
                return Ok(None);
            };
            let known = |filter: Filter<'_>| self.person.values.contains_key(filter.key());
            if !element.filters().into_iter().any(known) {
                return Ok(None);
            }
            // As a person condition, 9.5 only: the skip for a missing device id (9.4) is not part of it.
            self.filters(element, None, trace)?.matched && self.inside(flag, element, None)
        };
        let mut outcome = FlagOutcome::decided(matched, Reason::SuperConditionValue, Some(0));
        outcome.payload = flag.payload("true");
        Ok(Some(outcome))
    }

    /// 9.3.
    fn holdout(&self, flag: Flag<'_>) -> Option<FlagOutcome> {
        let identifier = self.identifier(flag, flag.aggregation(), false);
        let variant = if let Some(holdout) = flag.holdout() {
            let share = holdout["exclusion_percentage"].as_f64()?.clamp(0.0, 100.0);
            if share < 100.0 && hash::holdout_hash(&identifier) > share / 100.0 {
                return None;
            }
            format!("holdout-{}", holdout["id"])
        } else {
            let element = flag.holdout_groups().first().copied()?;
            if !element.filters().is_empty() {
                return None;
            }
            if let Some(share) = element.rollout()
                && share < 100.0
                && hash::holdout_hash(&identifier) > share / 100.0
            {
                return None;
            }
            element
                .variant()
                .map(str::to_owned)
                .or_else(|| hash::variant(flag, &identifier))
                .unwrap_or_else(|| "holdout".to_owned())
        };
        let mut outcome = FlagOutcome::decided(true, Reason::HoldoutConditionValue, None);
        outcome.payload = flag.payload(&variant);
        outcome.variant = Some(variant);
        Some(outcome)
    }

    /// 9.4 to 9.6 and the reason of 10.2.
    fn conditions(&self, flag: Flag<'_>, trace: &mut Trace) -> Result<FlagOutcome, Failure> {
        let mut best = (Reason::NoGroupType, None);
        let mut group_note = false;
        let mut cohort_note = false;
        for (index, condition) in (0_i64..).zip(flag.conditions()) {
            let aggregation = condition.aggregation(flag);
            let reason = if aggregation.is_none() && flag.by_device() && self.case.device().is_none() {
                Reason::OutOfRolloutBound
            } else if aggregation.is_some_and(|group| self.case.group_key(group).is_none()) {
                group_note = true;
                Reason::NoGroupType
            } else {
                let filters = self.filters(condition, aggregation, trace)?;
                cohort_note |= filters.cohort_note;
                if !filters.matched {
                    Reason::NoConditionMatch
                } else if self.inside(flag, condition, aggregation) {
                    return Ok(self.matched(flag, condition, index, aggregation));
                } else if flag.early_exit() {
                    return Ok(FlagOutcome::decided(
                        false,
                        Reason::OutOfRolloutBound,
                        Some(index),
                    ));
                } else {
                    Reason::OutOfRolloutBound
                }
            };
            if reason.score() >= best.0.score() {
                best = (reason, Some(index));
            }
        }
        let mut outcome = FlagOutcome::decided(false, best.0, best.1);
        if best.0 == Reason::NoConditionMatch && cohort_note {
            COHORT_NOTE.clone_into(&mut outcome.description);
        } else if best.0 == Reason::NoConditionMatch && group_note {
            GROUP_NOTE.clone_into(&mut outcome.description);
        }
        Ok(outcome)
    }

    /// 9.6.
    fn matched(
        &self,
        flag: Flag<'_>,
        condition: Condition<'_>,
        index: i64,
        aggregation: Option<i64>,
    ) -> FlagOutcome {
        let pinned = condition
            .variant()
            .filter(|pinned| flag.variants().iter().any(|(key, _)| key == pinned))
            .map(str::to_owned);
        let variant = pinned.or_else(|| hash::variant(flag, &self.identifier(flag, aggregation, true)));
        let mut outcome = FlagOutcome::decided(true, Reason::ConditionMatch, Some(index));
        outcome.payload = flag.payload(variant.as_deref().unwrap_or("true"));
        outcome.variant = variant;
        outcome
    }

    fn inside(&self, flag: Flag<'_>, condition: Condition<'_>, aggregation: Option<i64>) -> bool {
        let identifier = self.identifier(flag, aggregation, true);
        hash::inside_rollout(flag, &identifier, condition.rollout().unwrap_or(100.0))
    }

    /// 11.4; holdouts do not look at stored rows.
    fn identifier(&self, flag: Flag<'_>, aggregation: Option<i64>, use_rows: bool) -> String {
        if let Some(index) = aggregation {
            return self.case.group_key(index).unwrap_or_default();
        }
        if flag.by_device()
            && let Some(device) = self.case.device()
        {
            return device.to_owned();
        }
        if flag.has_continuity() {
            let rows = self.prepared.rows.as_ref().filter(|_| use_rows);
            if let Some(row) = rows.and_then(|rows| rows.get(flag.key())).and_then(Value::as_str) {
                return row.to_owned();
            }
            if let Some(anonymous) = &self.case.anon_distinct_id {
                return anonymous.clone();
            }
        }
        self.case.distinct_id.clone()
    }

    /// 9.5: flag and property filters in stored order up to the first miss, then all cohort filters.
    fn filters(
        &self,
        condition: Condition<'_>,
        aggregation: Option<i64>,
        trace: &mut Trace,
    ) -> Result<FilterResult, Failure> {
        let (targets, others): (Vec<_>, Vec<_>) = condition
            .filters()
            .into_iter()
            .partition(|filter| filter.kind() == "cohort");
        for filter in others {
            let matched = if filter.kind() == "flag" {
                self.flag_filter(filter)
            } else {
                let source = self.source(filter, aggregation);
                operators::apply(filter, &source, self.clock) == Verdict::Match
            };
            trace.count(filter.operator().unwrap_or("exact"), matched);
            if !matched {
                return Ok(FilterResult {
                    matched,
                    cohort_note: false,
                });
            }
        }
        self.cohort_filters(&targets, trace)
    }

    /// 13.1.
    fn cohort_filters(&self, filters: &[Filter<'_>], trace: &mut Trace) -> Result<FilterResult, Failure> {
        if filters.is_empty() {
            return Ok(FilterResult {
                matched: true,
                cohort_note: false,
            });
        }
        // 8.3: without preparation there are no cohorts, and the condition is a plain miss.
        if !self.prepared.ran {
            return Ok(FilterResult {
                matched: false,
                cohort_note: false,
            });
        }
        let cohorts = Cohorts {
            case: self.case,
            person: self.person,
            clock: self.clock,
        };
        let mut memberships = Vec::new();
        for filter in filters {
            let id = cohorts::cohort_id(*filter)?;
            memberships.push((*filter, id, cohorts.membership(id)?));
        }
        let mut result = FilterResult {
            matched: true,
            cohort_note: false,
        };
        for (filter, id, member) in memberships {
            let holds = cohorts::apply_operator(filter, member);
            trace.count(filter.operator().unwrap_or("in"), holds);
            if !holds {
                result.matched = false;
                result.cohort_note |= cohorts.has_unsupported_part(id, self.reading.note_is_shallow);
            }
        }
        Ok(result)
    }

    /// 6.2.
    fn flag_filter(&self, filter: Filter<'_>) -> bool {
        if filter.operator() != Some("flag_evaluates_to") {
            return false;
        }
        let Some(recorded) = filter.target_flag().and_then(|id| self.recorded.get(&id)) else {
            return false;
        };
        match filter.value() {
            Some(Value::Bool(true)) => *recorded != Value::Bool(false),
            Some(Value::Bool(false)) => *recorded == Value::Bool(false),
            Some(Value::String(variant)) => recorded.as_str() == Some(variant),
            _ => false,
        }
    }

    /// Property map of a filter: 9.5, 14.4 and 14.5.
    fn source(&self, filter: Filter<'_>, aggregation: Option<i64>) -> Properties {
        match filter.kind() {
            "group" => self.group_source(filter, aggregation),
            // 15.7: cases carry no `created_at` of the person record.
            "person_metadata" => Properties::default(),
            _ => self.person.clone(),
        }
    }

    fn group_source(&self, filter: Filter<'_>, aggregation: Option<i64>) -> Properties {
        let Some(index) = filter.group_type_index().or(aggregation) else {
            return Properties::default();
        };
        let Some(group_type) = self.case.group_type(index) else {
            return Properties {
                partial: true,
                ..Properties::default()
            };
        };
        let mut source = Properties::default();
        if self.prepared.groups.contains(&index) {
            if let Some(Value::Object(stored)) = self.case.stored_group_properties.get(group_type) {
                source.values = stored.clone();
            }
        } else if self.case.group_key(index).is_some() {
            source.partial = self.reading.skipped_group_is_unknown;
        }
        source
            .values
            .extend(properties::group_overrides(self.case, group_type));
        source
    }
}
