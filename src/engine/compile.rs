//! Definitions to [`CompiledProject`]: everything that does not depend on a request is settled here.

use std::collections::HashMap;
use std::ops::Range;

use ahash::RandomState;
use jiff::tz::TimeZone;
use serde_json::Value;
use sonic_rs::JsonValueTrait;

use super::bitset::BitSet;
use super::bucket::{Bucket, Rollout};
use super::cohort::Cohorts;
use super::graph::{Graph, Precomputed, Resolution};
use super::lanes::Prefixes;
use super::matcher::Matcher;
use super::outcome::{FlagIndex, Reason, VariantIndex};
use super::project::{
    CohortFilter, CompileWarning, CompiledProject, Condition, Dependencies, EarlyAccess, Filter, Filterable,
    Flag, Holdout, Needs, Wanted,
};
use super::property::{GroupIndex, PropertyTable, SlotIndex};
use super::selection::{RUNTIMES, Selection};
use crate::definition::{FilterType, OperatorName, RawConditionSet, RawFlag, RawProject, RawPropertyFilter};

/// Prefix of the keys that survey mode keeps.
const SURVEY_PREFIX: &str = "survey-targeting-";

/// Compiles a project. Never fails: what is broken costs only itself and is listed in the warnings.
#[must_use]
pub fn compile(project: &RawProject) -> CompiledProject {
    let mut warnings = Vec::new();
    let zone = timezone(&project.team.timezone, &mut warnings);
    let flags = distinct_flags(&project.flags, &mut warnings);

    let graph = graph(&flags);
    let precomputed = project.evaluation_metadata.as_ref().map(|metadata| {
        let positions: HashMap<i32, usize, RandomState> =
            flags.iter().enumerate().map(|(at, flag)| (flag.id, at)).collect();
        let find =
            |ids: &[i32]| -> Vec<usize> { ids.iter().filter_map(|id| positions.get(id).copied()).collect() };
        let mut missing = BitSet::new(flags.len());
        for flag in find(&metadata.flags_with_missing_deps) {
            missing.insert(flag);
        }
        Precomputed {
            stages: metadata.dependency_stages.iter().map(|ids| find(ids)).collect(),
            missing,
        }
    });
    // Empty stages although there are flags: the data is not usable, the graph decides.
    let precomputed =
        precomputed.filter(|precomputed| precomputed.stages.iter().any(|stage| !stage.is_empty()));

    let mut retired = BitSet::new(flags.len());
    for (at, flag) in flags.iter().enumerate() {
        if !flag.active || flag.deleted {
            retired.insert(at);
        }
    }
    let resolution = match &precomputed {
        Some(precomputed) => precomputed.resolve(flags.len(), &retired),
        None => graph.resolve(&retired),
    };

    // From here on flags are numbered by stage, so that a stage is a range of indices.
    let order = evaluation_order(flags.len(), &resolution);
    let numbering = Numbering::new(&order);
    let flags: Vec<&RawFlag> = order.iter().map(|at| flags[*at]).collect();
    let dependencies = dependencies(graph, precomputed, &retired, &numbering);

    let mut compiler = Compiler::new(project, &flags, &zone);
    let compiled = flags.iter().map(|flag| compiler.flag(flag)).collect();
    let unmapped = if project.group_types_failed {
        refer_to_groups(&flags)
    } else {
        BitSet::default()
    };
    let Compiler {
        mut properties,
        cohorts,
        conditions,
        filters,
        cohort_filters,
        prefixes,
        broken,
        ..
    } = compiler;
    warnings.extend(broken);
    properties.finish();

    let mut compiled = CompiledProject {
        by_key: flags
            .iter()
            .enumerate()
            .map(|(at, flag)| (flag.key.as_str().into(), FlagIndex(at as u32)))
            .collect(),
        filterable: filterable(&flags),
        flags: compiled,
        prefixes,
        conditions,
        filters,
        cohort_filters,
        properties,
        cohorts,
        zone,
        dependencies,
        unmapped,
        ready: Default::default(),
        warnings,
    };
    for (at, runtime) in RUNTIMES.into_iter().enumerate() {
        let ready = Selection::ready(&compiled, runtime);
        compiled.ready[at] = ready;
    }
    compiled
}

/// Flags whose group types have to be known, by `evaluation.md` 14.2.
fn refer_to_groups(flags: &[&RawFlag]) -> BitSet {
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

fn timezone(name: &str, warnings: &mut Vec<CompileWarning>) -> TimeZone {
    if name.is_empty() {
        return TimeZone::UTC;
    }
    TimeZone::get(name).unwrap_or_else(|_| {
        warnings.push(CompileWarning::UnknownTimezone { name: name.into() });
        TimeZone::UTC
    })
}

/// Flags in stored order, the first of equal keys and of equal ids.
fn distinct_flags<'p>(flags: &'p [RawFlag], warnings: &mut Vec<CompileWarning>) -> Vec<&'p RawFlag> {
    let mut keys = std::collections::HashSet::new();
    let mut ids = std::collections::HashSet::new();
    let mut kept = Vec::with_capacity(flags.len());
    for flag in flags {
        if keys.insert(flag.key.as_str()) && ids.insert(flag.id) {
            kept.push(flag);
        } else {
            warnings.push(CompileWarning::DuplicateKey {
                flag: flag.key.as_str().into(),
            });
        }
    }
    kept
}

/// Dependencies of `groups` only (6.1): filters of type flag whose key is an integer.
fn graph(flags: &[&RawFlag]) -> Graph {
    let positions: HashMap<i64, usize, RandomState> = flags
        .iter()
        .enumerate()
        .map(|(at, flag)| (i64::from(flag.id), at))
        .collect();
    let mut dangling = BitSet::new(flags.len());
    let mut targets = vec![Vec::new(); flags.len()];
    for (at, flag) in flags.iter().enumerate() {
        for filter in flag
            .filters
            .groups
            .iter()
            .flat_map(|set| set.properties.iter().flatten())
        {
            if filter.filter_type != FilterType::Flag {
                continue;
            }
            let Ok(id) = filter.key.parse::<i64>() else {
                continue;
            };
            match positions.get(&id) {
                Some(target) if !targets[at].contains(target) => targets[at].push(*target),
                Some(_) => {}
                None => {
                    dangling.insert(at);
                }
            }
        }
    }
    Graph { targets, dangling }
}

fn evaluation_order(flags: usize, resolution: &Resolution) -> Vec<usize> {
    let mut seen = BitSet::new(flags);
    let mut order: Vec<usize> = resolution
        .stages
        .iter()
        .flatten()
        .copied()
        .filter(|flag| seen.insert(*flag))
        .collect();
    order.extend((0..flags).filter(|flag| !seen.contains(*flag)));
    order
}

/// Stored position to evaluation position.
struct Numbering(Vec<usize>);

impl Numbering {
    fn new(order: &[usize]) -> Self {
        let mut positions = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            positions[*old] = new;
        }
        Self(positions)
    }

    fn list(&self, flags: &[usize]) -> Vec<usize> {
        flags.iter().map(|flag| self.0[*flag]).collect()
    }

    fn set(&self, flags: &BitSet) -> BitSet {
        let mut set = BitSet::new(self.0.len());
        for flag in flags.iter() {
            set.insert(self.0[flag]);
        }
        set
    }
}

fn dependencies(
    graph: Graph,
    precomputed: Option<Precomputed>,
    retired: &BitSet,
    numbering: &Numbering,
) -> Dependencies {
    let mut targets = vec![Vec::new(); graph.len()];
    for (at, list) in graph.targets.iter().enumerate() {
        targets[numbering.0[at]] = numbering.list(list);
    }
    let graph = Graph {
        targets,
        dangling: numbering.set(&graph.dangling),
    };
    let precomputed = precomputed.map(|precomputed| Precomputed {
        stages: precomputed
            .stages
            .iter()
            .map(|stage| numbering.list(stage))
            .collect(),
        missing: numbering.set(&precomputed.missing),
    });
    let retired = numbering.set(retired);
    let resolution = match &precomputed {
        Some(precomputed) => precomputed.resolve(graph.len(), &retired),
        None => graph.resolve(&retired),
    };
    let mut dependents = BitSet::new(graph.len());
    let mut closures = vec![None; graph.len()];
    for (at, all) in closures.iter_mut().enumerate() {
        if !graph.targets[at].is_empty() {
            dependents.insert(at);
            *all = Some(closure(&graph, at, &retired));
        }
    }
    let mut fragile = resolution.missing;
    fragile.union_with(&resolution.removed);
    if precomputed.is_some() {
        // Given stages do not change with what a request leaves out; only the assumed cycle does,
        // and a selection counts that by itself.
        fragile = BitSet::new(graph.len());
    }
    let any = !dependents.is_empty() || !graph.dangling.is_empty();
    Dependencies {
        graph,
        precomputed,
        closures,
        dependents,
        fragile,
        any,
    }
}

/// All direct and indirect targets; edges of left-out flags are not followed.
pub(super) fn closure(graph: &Graph, start: usize, left_out: &BitSet) -> BitSet {
    let mut set = BitSet::new(graph.len());
    let mut open = vec![start];
    while let Some(flag) = open.pop() {
        if left_out.contains(flag) {
            continue;
        }
        for target in &graph.targets[flag] {
            if set.insert(*target) {
                open.push(*target);
            }
        }
    }
    set
}

fn filterable(flags: &[&RawFlag]) -> Filterable {
    let mut sets = Filterable {
        retired: BitSet::new(flags.len()),
        client_only: BitSet::new(flags.len()),
        server_only: BitSet::new(flags.len()),
        not_survey: BitSet::new(flags.len()),
        with_contexts: BitSet::new(flags.len()),
        by_context: HashMap::default(),
    };
    for (at, flag) in flags.iter().enumerate() {
        if !flag.active || flag.deleted {
            sets.retired.insert(at);
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

/// State that grows while flags are compiled one by one.
struct Compiler<'p> {
    zone: &'p TimeZone,
    group_types: &'p [(i32, String)],
    by_id: HashMap<i64, FlagIndex, RandomState>,
    variants: Vec<Vec<Box<str>>>,
    /// How many of the texts are hashed variants.
    hashed_variants: Vec<usize>,
    next: usize,
    properties: PropertyTable,
    cohorts: Cohorts,
    conditions: Vec<Condition>,
    filters: Vec<Filter>,
    cohort_filters: Vec<CohortFilter>,
    prefixes: Prefixes,
    broken: Vec<CompileWarning>,
}

impl<'p> Compiler<'p> {
    fn new(project: &'p RawProject, flags: &[&RawFlag], zone: &'p TimeZone) -> Self {
        let mut properties = PropertyTable::default();
        let cohorts = Cohorts::compile(&project.cohorts, &mut properties, zone);
        Self {
            zone,
            group_types: &project.group_types,
            by_id: flags
                .iter()
                .enumerate()
                .map(|(at, flag)| (i64::from(flag.id), FlagIndex(at as u32)))
                .collect(),
            variants: flags.iter().map(|flag| variant_texts(flag).0).collect(),
            hashed_variants: flags.iter().map(|flag| variant_texts(flag).1).collect(),
            next: 0,
            properties,
            cohorts,
            conditions: Vec::new(),
            filters: Vec::new(),
            cohort_filters: Vec::new(),
            prefixes: Prefixes::default(),
            broken: Vec::new(),
        }
    }

    fn group(&mut self, type_index: i32) -> GroupIndex {
        let name = self
            .group_types
            .iter()
            .find(|(index, _)| *index == type_index)
            .map(|(_, name)| name.as_str());
        self.properties.group(type_index, name)
    }

    fn is_mapped(&self, group: GroupIndex) -> bool {
        self.properties.group_table(group).name.is_some()
    }

    fn variant(&self, flag: usize, text: &str) -> Option<VariantIndex> {
        let at = self.variants[flag]
            .iter()
            .position(|variant| **variant == *text)?;
        Some(VariantIndex(at as u16))
    }

    fn flag(&mut self, raw: &RawFlag) -> Flag {
        let this = self.next;
        self.next += 1;
        let filters = &raw.filters;
        let unsupported = !matches!(&filters.version, None | Some(Value::Null))
            && filters.version.as_ref().and_then(Value::as_f64) != Some(1.0);
        if unsupported {
            self.broken.push(CompileWarning::UnsupportedFormat {
                flag: raw.key.as_str().into(),
            });
        }
        let broken_before = self.broken.len();
        let group = filters
            .aggregation_group_type_index
            .map(|index| self.group(index));
        let device_bucketing = raw.bucketing_identifier.as_deref() == Some("device_id");
        let ensures_continuity = raw.ensure_experience_continuity == Some(true);
        let continuity = ensures_continuity && group.is_none() && !device_bucketing;

        let from = self.conditions.len() as u32;
        for (position, set) in filters.groups.iter().enumerate() {
            let condition = self.condition(this, set, position, group);
            self.conditions.push(condition);
        }
        let conditions = from..self.conditions.len() as u32;
        let early_access = self.early_access(this, raw);
        let holdout = self.holdout(this, raw);
        let is_plain =
            !unsupported && matches!(early_access, EarlyAccess::None) && matches!(holdout, Holdout::None);
        let needs = self.needs(raw, group);
        if self.broken.len() > broken_before {
            // One warning a flag is enough, whatever the number of its patterns.
            self.broken.truncate(broken_before);
            self.broken.push(CompileWarning::BrokenRegex {
                flag: raw.key.as_str().into(),
            });
        }

        let payloads = filters.payloads.as_ref().filter(|payloads| payloads.is_object());
        let payload = |key: &str| -> Option<Box<str>> {
            let value = payloads?.get(key)?;
            if value.is_null() {
                return None;
            }
            sonic_rs::to_string(value).ok().map(Into::into)
        };
        let variants: Box<[Box<str>]> = self.variants[this].clone().into();
        Flag {
            id: raw.id,
            key: raw.key.as_str().into(),
            version: raw.version.unwrap_or(0),
            has_experiment: raw.has_experiment,
            payload: payload("true"),
            variant_payloads: variants.iter().map(|variant| payload(variant)).collect(),
            hash_prefix: self.prefixes.add(&raw.key),
            conditions,
            buckets: self.buckets(this, raw),
            variants,
            early_access,
            holdout,
            group,
            device_bucketing,
            continuity,
            ensures_continuity,
            needs_continuity_lookup: continuity && hash_can_matter(raw),
            early_exit: filters.early_exit == Some(true),
            unsupported,
            is_plain,
            needs,
        }
    }

    fn buckets(&self, flag: usize, raw: &RawFlag) -> Box<[Bucket]> {
        let mut boundary = 0.0;
        raw.filters
            .multivariate
            .iter()
            .flat_map(|multivariate| &multivariate.variants)
            .filter_map(|variant| {
                boundary += variant.rollout_percentage / 100.0;
                Some(Bucket {
                    boundary,
                    variant: self.variant(flag, &variant.key)?,
                })
            })
            .collect()
    }

    fn condition(
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

    fn filters(
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
        let matcher = Matcher::compile(operator, raw.value.as_ref(), self.zone);
        if matcher.is_broken_regex() {
            self.broken.push(CompileWarning::BrokenRegex {
                flag: raw.key.as_str().into(),
            });
        }
        match raw.filter_type {
            FilterType::Group => {
                let group = raw
                    .group_type_index
                    .map(|index| self.group(index))
                    .or(aggregation);
                match group {
                    // No index at a person level: an empty map.
                    None => Filter::Constant(matcher.matches_absent()),
                    Some(group) if !self.is_mapped(group) => Filter::Constant(false),
                    Some(group) => Filter::Property {
                        slot: self.properties.group_slot(group, &raw.key),
                        matcher,
                    },
                }
            }
            FilterType::PersonMetadata if raw.key == "created_at" => Filter::Property {
                slot: self.properties.created_at_slot(),
                matcher,
            },
            FilterType::PersonMetadata => Filter::Constant(matcher.matches_absent()),
            _ => Filter::Property {
                slot: self.properties.person_slot(&raw.key),
                matcher,
            },
        }
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

    fn early_access(&mut self, flag: usize, raw: &RawFlag) -> EarlyAccess {
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

    fn holdout(&self, flag: usize, raw: &RawFlag) -> Holdout {
        let variant = |text: &str| self.variant(flag, text).unwrap_or(VariantIndex(0));
        if let Some(holdout) = &raw.filters.holdout {
            let share = holdout.exclusion_percentage.clamp(0.0, 100.0);
            let rollout = if share < 100.0 {
                Rollout::UpTo(share / 100.0)
            } else {
                Rollout::All
            };
            return Holdout::Object {
                rollout,
                variant: variant(&holdout_text(holdout.id)),
            };
        }
        let Some(set) = raw.filters.holdout_groups.as_ref().and_then(|sets| sets.first()) else {
            return Holdout::None;
        };
        if set
            .properties
            .as_ref()
            .is_some_and(|properties| !properties.is_empty())
        {
            return Holdout::None;
        }
        let rollout = match set.rollout_percentage {
            Some(share) if share < 100.0 => Rollout::UpTo(share / 100.0),
            _ => Rollout::All,
        };
        Holdout::Legacy {
            rollout,
            variant: set.variant.as_deref().map(variant),
            fallback: variant(HOLDOUT_TEXT),
        }
    }

    /// `evaluation.md` 8.1.
    fn needs(&mut self, raw: &RawFlag, group: Option<GroupIndex>) -> Needs {
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

/// Variant of legacy holdouts that name none.
const HOLDOUT_TEXT: &str = "holdout";

fn holdout_text(id: i64) -> String {
    format!("holdout-{id}")
}

fn enrollment_property(key: &str) -> String {
    format!("$feature_enrollment/{key}")
}

/// Every variant text that a flag can answer with, each once, hashed variants first, and their number.
fn variant_texts(flag: &RawFlag) -> (Vec<Box<str>>, usize) {
    let mut texts: Vec<Box<str>> = Vec::new();
    let mut add = |text: &str| {
        if !texts.iter().any(|known| **known == *text) {
            texts.push(text.into());
        }
        texts.len()
    };
    let mut hashed = 0;
    for variant in flag
        .filters
        .multivariate
        .iter()
        .flat_map(|multivariate| &multivariate.variants)
    {
        hashed = add(&variant.key);
    }
    if let Some(holdout) = &flag.filters.holdout {
        add(&holdout_text(holdout.id));
    } else if let Some(set) = flag.filters.holdout_groups.as_ref().and_then(|sets| sets.first()) {
        add(set.variant.as_deref().unwrap_or(HOLDOUT_TEXT));
        add(HOLDOUT_TEXT);
    }
    (texts, hashed)
}

/// `evaluation.md` 7.1: whether the hash, and so a stored identifier, can change the answer.
fn hash_can_matter(flag: &RawFlag) -> bool {
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
