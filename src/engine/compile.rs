//! Definitions to [`CompiledProject`]: everything that does not depend on a request is settled here.
//!
//! One project and one flag here; what a flag is made of, and the sets and order of all flags, below `compile/`.

mod condition;
mod cost;
mod early_access;
mod filterable;
mod holdout;
mod needs;
mod order;

use std::collections::HashMap;

use ahash::RandomState;
use jiff::tz::TimeZone;
use serde_json::Value;
use sonic_rs::JsonValueTrait;

use super::bitset::BitSet;
use super::bucket::Bucket;
use super::cohort::Cohorts;
use super::graph::Precomputed;
use super::lanes::Prefixes;
use super::location::location_slots;
use super::opening::Opening;
use super::outcome::{FlagIndex, VariantIndex};
use super::project::{
    CohortFilter, CompileWarning, CompiledProject, Condition, EarlyAccess, Filter, Flag, Holdout,
};
use super::property::{GroupIndex, PropertyTable};
use super::selection::{RUNTIMES, Selection};
use super::test::TestsByText;
use crate::definition::{RawFlag, RawProject};
use cost::flag_cost;
use filterable::{filterable, refer_to_groups};
use holdout::variant_texts;
use needs::hash_can_matter;
use order::{Numbering, dependencies, evaluation_order, graph};

pub(super) use order::closure;

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
    let compiled: Vec<Flag> = flags.iter().map(|flag| compiler.flag(flag)).collect();
    let openings = compiled
        .iter()
        .enumerate()
        .map(|(at, flag)| {
            let conditions = flag.conditions.start as usize..flag.conditions.end as usize;
            Opening::new(FlagIndex(at as u32), flag, &compiler.conditions[conditions])
        })
        .collect();
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
        tests,
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
        openings,
        prefixes,
        conditions,
        filters,
        tests: tests.finish(),
        cohort_filters,
        properties,
        cohorts,
        zone,
        dependencies,
        unmapped,
        ready: Default::default(),
        location: None,
        warnings,
        costs: Box::default(),
    };
    compiled.costs = (compiled.flags.iter())
        .map(|flag| flag_cost(flag, &compiled.conditions, &compiled.filters, &compiled.tests))
        .collect();
    compiled.location = location_slots(&compiled);
    for (at, runtime) in RUNTIMES.into_iter().enumerate() {
        let ready = Selection::ready(&compiled, runtime);
        compiled.ready[at] = ready;
    }
    compiled
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
    tests: TestsByText,
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
            tests: TestsByText::default(),
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
}
