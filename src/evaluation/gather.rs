//! What is stored of the person and its groups: asked for within one deadline, and merged into slots below what the request said.

use std::time::{Duration, Instant};

use super::Merging;
use crate::context::{FactsQuery, GatherError, PersonSource, StoredFacts, TimeoutKind};
use crate::engine::value::{Node, OwnedTape, PropertyValue};
use crate::engine::{BitSet, CompiledProject, GroupKey, PlanScratch, Reason, Slots};

/// One deadline for all that a request asks of the person store. The clock starts with the first question, so
/// that the many requests without one never look at it.
pub(super) struct PersonsDeadline {
    limit: Duration,
    at: Option<tokio::time::Instant>,
}

impl PersonsDeadline {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, at: None }
    }

    pub(super) async fn bound<T>(
        &mut self,
        question: impl Future<Output = Result<T, GatherError>>,
    ) -> Result<T, GatherError> {
        let at = *self
            .at
            .get_or_insert_with(|| tokio::time::Instant::now() + self.limit);
        tokio::time::timeout_at(at, question)
            .await
            .unwrap_or(Err(GatherError::Timeout(TimeoutKind::PersonsDeadline)))
    }
}

/// Stored facts as tapes that slots can borrow from.
pub(super) struct Gathered {
    found: bool,
    person: OwnedTape,
    created_at: Option<String>,
    static_cohort_ids: Vec<i32>,
    groups: Vec<OwnedTape>,
}

pub(super) struct GatheredNodes<'g> {
    person: Vec<Node<'g>>,
    groups: Vec<Vec<Node<'g>>>,
}

impl Gathered {
    pub(super) fn nodes(&self) -> GatheredNodes<'_> {
        GatheredNodes {
            person: self.person.nodes(),
            groups: self.groups.iter().map(OwnedTape::nodes).collect(),
        }
    }
}

pub(super) async fn gather(
    project: &CompiledProject,
    team_id: i32,
    distinct_id: &str,
    keys: &[GroupKey<'_>],
    plan: &PlanScratch,
    source: &dyn PersonSource,
) -> Result<Gathered, GatherError> {
    let groups = plan
        .groups
        .iter()
        .map(|group| {
            let type_index = project.properties().group_table(*group).type_index;
            (type_index, keys[usize::from(group.0)].as_str().to_owned())
        })
        .collect();
    let query = FactsQuery {
        team_id,
        distinct_id: distinct_id.to_owned(),
        static_cohort_ids: plan
            .static_cohorts
            .iter()
            .map(|position| project.static_cohort_ids()[position])
            .collect(),
        groups,
    };
    let StoredFacts { person, groups } = source.facts(&query).await?;
    let found = person.is_some();
    let person = person.unwrap_or_default();
    Ok(Gathered {
        found,
        person: OwnedTape::from_json(&serde_json::Value::Object(person.properties)),
        created_at: person.created_at,
        static_cohort_ids: person.static_cohort_ids,
        groups: groups
            .into_iter()
            .map(|group| OwnedTape::from_json(&serde_json::Value::Object(group.unwrap_or_default())))
            .collect(),
    })
}

pub(super) fn merge<'g>(
    project: &CompiledProject,
    plan: &PlanScratch,
    gathered: &'g Gathered,
    nodes: &'g GatheredNodes<'g>,
    slots: &mut Slots<'g>,
    static_member: &mut BitSet,
) -> Merging {
    let table = project.properties();
    let began = Instant::now();
    if gathered.found {
        if let PropertyValue::Object(properties) = PropertyValue::from_tape(&nodes.person) {
            slots.merge_person(table, properties);
        }
        if let Some(created_at) = &gathered.created_at {
            slots.set_created_at(table, created_at);
        }
    }
    let person_done = Instant::now();
    if gathered.found {
        let ids = project.static_cohort_ids();
        static_member.reset(ids.len());
        for (position, id) in ids.iter().enumerate() {
            if gathered.static_cohort_ids.contains(id) {
                static_member.insert(position);
            }
        }
    }
    let cohorts_done = Instant::now();
    for (group, nodes) in plan.groups.iter().zip(&nodes.groups) {
        if let PropertyValue::Object(properties) = PropertyValue::from_tape(nodes) {
            slots.merge_group(table.group_table(*group), properties);
        }
    }
    Merging {
        person: person_done - began,
        cohorts: cohorts_done - person_done,
        groups: cohorts_done.elapsed(),
    }
}

pub(super) fn reason(error: &GatherError) -> Reason {
    match error {
        GatherError::Unavailable(_) | GatherError::Refused(_) => Reason::DatabaseUnavailable,
        GatherError::Transient(_) | GatherError::Database(_) => Reason::DatabaseError,
        GatherError::Timeout(kind) => match kind {
            TimeoutKind::Pool => Reason::TimeoutPool,
            TimeoutKind::Io => Reason::TimeoutIo,
            TimeoutKind::Protocol => Reason::TimeoutProtocol,
            TimeoutKind::QueryCanceled => Reason::TimeoutQueryCanceled,
            TimeoutKind::LockNotAvailable => Reason::TimeoutLock,
            TimeoutKind::IdleInTransaction => Reason::TimeoutIdleInTransaction,
            TimeoutKind::PersonsDeadline => Reason::TimeoutPersonsDeadline,
        },
    }
}
