//! One request's evaluation, from a decoded request to the records of its flags:
//! select, fill, plan, gather, evaluate.
//!
//! The only await is in gathering, and most requests skip it. Knows no HTTP; the store is a port.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::context::geo::GeoProperties;
use crate::context::{
    ContinuityQuery, FactsQuery, GatherError, JitteredPause, PersonSource, Retries, StoredFacts, TimeoutKind,
    gather_continuity,
};
use crate::engine::value::{Node, OwnedTape, PropertyValue};
use crate::engine::{
    BitSet, Clock, CompiledProject, ContinuityLookups, EvaluationContext, EvaluationScratch, GroupKey,
    Instant, Level, Parallelism, Plan, PlanScratch, Reason, RequestRuntime, Selection, SelectionQuery,
    SelectionScratch, Slots, recycle,
};
use crate::resilience::RetryBudget;
use crate::wire::request::FlagRequest;

/// What evaluation takes from settings.
#[derive(Debug)]
pub struct EvaluationSettings {
    /// `OPTIMIZE_EXPERIENCE_CONTINUITY_LOOKUPS`.
    pub continuity_lookups: ContinuityLookups,
    /// `SKIP_WRITES`: continuity rows are read, never written.
    pub skip_writes: bool,
    /// `PERSONS_DB_DEADLINE_MS`: for everything that one request reads and writes of stored persons.
    pub persons_deadline: Duration,
    /// What second attempts are paid from, shared by the whole process.
    pub retry_budget: Arc<RetryBudget>,
    /// Where large stages are evaluated in parallel; `None`: nowhere.
    pub pool: Option<Arc<EvaluationPool>>,
}

/// Threads for large stages, and how many requests may use them at a time.
#[derive(Debug)]
pub struct EvaluationPool {
    threads: rayon::ThreadPool,
    threshold: usize,
    permits: Semaphore,
    wait: Duration,
}

impl EvaluationPool {
    /// `threshold`: flags in a stage from which on it is split, 0 never. `requests_max`: requests on the pool
    /// at once, 0 for a third of its threads (`evaluation.md` 17). `wait`: for a turn, 0 without limit.
    /// `None` when parallel evaluation is off, by setting or because threads cannot be had.
    #[must_use]
    pub fn new(threshold: usize, requests_max: usize, wait: Duration) -> Option<Self> {
        if threshold == 0 {
            return None;
        }
        let threads = rayon::ThreadPoolBuilder::new()
            .thread_name(|at| format!("evaluate-{at}"))
            .build()
            .ok()?;
        let permits = if requests_max > 0 {
            requests_max
        } else {
            threads.current_num_threads().div_ceil(3)
        };
        Some(Self {
            threads,
            threshold,
            permits: Semaphore::new(permits),
            wait,
        })
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, EvaluationError> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let busy = EvaluationError::Busy { waited: self.wait };
        let permit = if self.wait.is_zero() {
            self.permits.acquire().await
        } else {
            tokio::time::timeout(self.wait, self.permits.acquire())
                .await
                .map_err(|_| busy)?
        };
        permit.map_err(|_| busy)
    }
}

/// Why a request as a whole could not be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluationError {
    /// No turn on the pool in time.
    Busy {
        /// How long the request waited.
        waited: Duration,
    },
}

/// What evaluation takes from a request besides its body.
#[derive(Debug, Clone, Copy)]
pub struct RequestScope<'a> {
    /// Detected from headers; the body's own runtime wins.
    pub runtime: Option<RequestRuntime>,
    /// `only_evaluate_survey_feature_flags`.
    pub survey_only: bool,
    /// Clock.
    pub now: Instant,
    /// Where the request comes from, if that is known and some flag looks at it.
    pub location: Option<&'a GeoProperties<'a>>,
}

/// Memory that evaluations reuse; the records of the last one are in [`Scratch::results`].
#[derive(Debug, Default)]
pub struct Scratch {
    slots: Vec<Option<PropertyValue<'static>>>,
    group_keys: Vec<GroupKey<'static>>,
    selection: SelectionScratch,
    plan: PlanScratch,
    evaluation: EvaluationScratch,
    static_member: BitSet,
    no_flags: BitSet,
    text: String,
}

impl Scratch {
    /// Hashes on that level instead of the processor's best.
    #[must_use]
    pub fn with_level(level: Level) -> Self {
        Self {
            evaluation: EvaluationScratch::with_level(level),
            ..Self::default()
        }
    }

    /// Records of the last evaluation, in evaluation order.
    #[must_use]
    pub fn results(&self) -> &[crate::engine::FlagResult] {
        &self.evaluation.results
    }

    /// Forgets the last evaluation's records.
    pub fn clear(&mut self) {
        self.evaluation.results.clear();
    }

    /// Gives back what a team of unusual size left behind.
    pub fn shrink_to_cap(&mut self) {
        /// Slots, records or characters kept between requests.
        const KEPT: usize = 16 * 1024;
        self.clear();
        self.slots.shrink_to(KEPT);
        self.evaluation.results.shrink_to(KEPT);
        if self.text.capacity() > KEPT {
            self.text = String::new();
        }
    }
}

/// What an evaluation reports besides the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EvaluationReport {
    /// `errorsWhileComputingFlags`.
    pub errors: bool,
    /// Stages that ran on the pool.
    pub parallel_stages: u32,
    /// What had to be gathered.
    pub plan: Plan,
    /// Whether the request counts as usage: a billed flag was not left out.
    pub billable: bool,
    /// The request's own properties say something else than [`RequestScope::location`].
    pub location_differs: bool,
    /// How that went.
    pub gathering: Gathering,
}

/// What was asked of the store of persons, for logs and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gathering {
    /// How long person, groups and static cohorts took, which one round trip answers; `None`: not asked for.
    pub facts: Option<Duration>,
    /// They could not be had.
    pub facts_failed: bool,
    /// The person was asked for.
    pub person: bool,
    /// Groups that were asked for.
    pub groups: u32,
    /// Static cohorts whose membership was asked for.
    pub static_cohorts: u32,
    /// How long continuity rows took; `None`: not asked for.
    pub continuity: Option<Duration>,
    /// What became of them.
    pub overrides: OverrideStatus,
}

/// What became of a request's hash key overrides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OverrideStatus {
    /// They could not change the answer.
    #[default]
    NotAsked,
    /// There are some.
    Found,
    /// There are none.
    Empty,
    /// They could not be had.
    Failed,
}

impl OverrideStatus {
    /// Name in logs; `None` when nothing was asked.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::NotAsked => None,
            Self::Found => Some("found"),
            Self::Empty => Some("empty"),
            Self::Failed => Some("error"),
        }
    }
}

/// Evaluates a request that needs nothing stored and no turn on the pool, which is most of them: without an
/// await, so that none of its state has to live in a future. `None`: ask [`evaluate`].
pub fn evaluate_now(
    project: &CompiledProject,
    request: &FlagRequest<'_>,
    scope: &RequestScope<'_>,
    settings: &EvaluationSettings,
    scratch: &mut Scratch,
) -> Option<EvaluationReport> {
    let Scratch {
        slots,
        group_keys,
        selection,
        evaluation,
        static_member,
        no_flags,
        text,
        ..
    } = scratch;
    let selection = project.select(&selection_query(request, scope), selection);
    evaluation.results.clear();
    if selection.order().is_empty() {
        return Some(EvaluationReport {
            errors: selection.has_cycle(),
            billable: selection.is_billable(),
            ..EvaluationReport::default()
        });
    }
    let distinct_id = request.distinct_id.unwrap_or("");
    let mut filled = Slots::new(std::mem::take(slots), project.properties());
    let mut keys: Vec<GroupKey<'_>> = recycle(std::mem::take(group_keys));
    fill(project, request, distinct_id, &mut filled, &mut keys, text);
    let location_differs = fill_location(project, scope, &mut filled);
    let plan = project.plan(selection, &filled, &keys, settings.continuity_lookups);
    let ready = plan == Plan::default() && settings.pool_for(selection).is_none();
    let report = ready.then(|| {
        filled.derive(project.properties());
        static_member.reset(0);
        let context = EvaluationContext {
            distinct_id,
            device_id: request.device_id,
            anon_distinct_id: request.anon_distinct_id,
            group_keys: &keys,
            slots: &filled,
            hash_key_overrides: &[],
            static_member,
            facts_gathered: false,
            facts_failure: None,
            failed_flags: no_flags,
            continuity_failed: false,
            clock: Clock {
                now: scope.now,
                zone: project.zone(),
            },
        };
        let summary = project.evaluate(selection, &context, Parallelism::NONE, evaluation);
        EvaluationReport {
            errors: summary.errors,
            plan,
            billable: selection.is_billable(),
            location_differs,
            ..EvaluationReport::default()
        }
    });
    *slots = filled.recycle();
    *group_keys = recycle(keys);
    report
}

fn selection_query<'a>(request: &FlagRequest<'a>, scope: &RequestScope<'_>) -> SelectionQuery<'a> {
    SelectionQuery {
        runtime: request.evaluation_runtime.or(scope.runtime),
        contexts: request.evaluation_contexts,
        survey_only: scope.survey_only,
        flag_keys: request.flag_keys,
    }
}

impl EvaluationSettings {
    /// The pool, when some stage of the selection is large enough for it.
    fn pool_for(&self, selection: &Selection) -> Option<&EvaluationPool> {
        self.pool
            .as_deref()
            .filter(|pool| selection.stages().any(|stage| stage.len() >= pool.threshold))
    }
}

/// Evaluates a request against a project. When the future is dropped, the scratch loses its memory, nothing else.
pub async fn evaluate(
    project: &CompiledProject,
    team_id: i32,
    request: &FlagRequest<'_>,
    scope: &RequestScope<'_>,
    source: &dyn PersonSource,
    settings: &EvaluationSettings,
    scratch: &mut Scratch,
) -> Result<EvaluationReport, EvaluationError> {
    let Scratch {
        slots,
        group_keys,
        selection,
        plan,
        evaluation,
        static_member,
        no_flags,
        text,
    } = scratch;
    let selection = project.select(&selection_query(request, scope), selection);
    evaluation.results.clear();
    if selection.order().is_empty() {
        return Ok(EvaluationReport {
            errors: selection.has_cycle(),
            billable: selection.is_billable(),
            ..EvaluationReport::default()
        });
    }

    // Declared before the slots that borrow them.
    let gathered;
    let gathered_nodes: GatheredNodes<'_>;
    let rows;

    let distinct_id = request.distinct_id.unwrap_or("");
    let mut filled = Slots::new(std::mem::take(slots), project.properties());
    let mut keys: Vec<GroupKey<'_>> = recycle(std::mem::take(group_keys));
    fill(project, request, distinct_id, &mut filled, &mut keys, text);
    let location_differs = fill_location(project, scope, &mut filled);

    let wanted = project.plan(selection, &filled, &keys, settings.continuity_lookups);
    let mut deadline = PersonsDeadline::new(settings.persons_deadline);
    let mut gathering = Gathering::default();
    let mut facts_failure = None;
    let mut continuity_failed = false;
    let mut overrides: Vec<Option<&str>> = Vec::new();
    if wanted.continuity {
        let flag_keys: Vec<&str> = match request.anon_distinct_id {
            Some(_) => project.continuity_flag_keys().collect(),
            None => Vec::new(),
        };
        let query = ContinuityQuery {
            team_id,
            distinct_id,
            anon_distinct_id: request.anon_distinct_id,
            flag_keys: &flag_keys,
            writes_allowed: !settings.skip_writes,
        };
        let retries = Retries {
            pause: &JitteredPause,
            budget: &settings.retry_budget,
        };
        let began = std::time::Instant::now();
        let answer = deadline.bound(gather_continuity(source, query, retries)).await;
        gathering.continuity = Some(began.elapsed());
        match answer {
            Ok(found) => {
                gathering.overrides = if found.is_empty() {
                    OverrideStatus::Empty
                } else {
                    OverrideStatus::Found
                };
                rows = found;
                overrides.resize(project.flags().len(), None);
                for (key, hash_key) in &rows {
                    if let Some(flag) = project.flag_by_key(key) {
                        overrides[flag.0 as usize] = Some(hash_key);
                    }
                }
            }
            Err(_) => {
                gathering.overrides = OverrideStatus::Failed;
                continuity_failed = true;
            }
        }
    }
    static_member.reset(0);
    if wanted.facts {
        project.plan_facts(selection, &filled, &keys, plan);
        let began = std::time::Instant::now();
        let answer = deadline
            .bound(gather(project, team_id, distinct_id, &keys, plan, source))
            .await;
        gathering.facts = Some(began.elapsed());
        gathering.facts_failed = answer.is_err();
        gathering.person = !distinct_id.is_empty();
        gathering.groups = plan.groups.len() as u32;
        gathering.static_cohorts = plan.static_cohorts.iter().count() as u32;
        match answer {
            Ok(found) => {
                gathered = found;
                gathered_nodes = gathered.nodes();
                merge(
                    project,
                    plan,
                    &gathered,
                    &gathered_nodes,
                    &mut filled,
                    static_member,
                );
            }
            Err(error) => facts_failure = Some(reason(&error)),
        }
    }
    filled.derive(project.properties());

    let context = EvaluationContext {
        distinct_id,
        device_id: request.device_id,
        anon_distinct_id: request.anon_distinct_id,
        group_keys: &keys,
        slots: &filled,
        hash_key_overrides: &overrides,
        static_member,
        facts_gathered: wanted.facts && facts_failure.is_none(),
        facts_failure,
        failed_flags: if facts_failure.is_some() {
            &plan.requiring
        } else {
            no_flags
        },
        continuity_failed,
        clock: Clock {
            now: scope.now,
            zone: project.zone(),
        },
    };
    let summary = match settings.pool_for(selection) {
        None => project.evaluate(selection, &context, Parallelism::NONE, evaluation),
        Some(pool) => {
            let _turn = pool.turn().await?;
            let parallelism = Parallelism {
                threshold: pool.threshold,
            };
            pool.threads
                .install(|| project.evaluate(selection, &context, parallelism, evaluation))
        }
    };
    *slots = filled.recycle();
    *group_keys = recycle(keys);
    Ok(EvaluationReport {
        errors: summary.errors || facts_failure.is_some(),
        parallel_stages: summary.parallel_stages,
        plan: wanted,
        billable: selection.is_billable(),
        location_differs,
        gathering,
    })
}

/// One deadline for all that a request asks of the person store. The clock starts with the first question, so
/// that the many requests without one never look at it.
struct PersonsDeadline {
    limit: Duration,
    at: Option<tokio::time::Instant>,
}

impl PersonsDeadline {
    fn new(limit: Duration) -> Self {
        Self { limit, at: None }
    }

    async fn bound<T>(
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

/// Overrides of 3.1 into slots, and the request's group keys.
fn fill<'a>(
    project: &CompiledProject,
    request: &FlagRequest<'a>,
    distinct_id: &'a str,
    slots: &mut Slots<'a>,
    keys: &mut Vec<GroupKey<'a>>,
    text: &mut String,
) {
    let table = project.properties();
    if let Some(slot) = table.get_person("distinct_id") {
        slots.set(slot, PropertyValue::Str(distinct_id));
    }
    if let Some(properties) = request.person_properties {
        slots.fill_person(table, properties);
    }
    for group in table.groups() {
        let Some(name) = group.name.as_deref() else {
            keys.push(GroupKey::None);
            continue;
        };
        if let Some(PropertyValue::Object(properties)) =
            request.group_properties.and_then(|groups| groups.get(name))
        {
            slots.fill_group(group, properties);
        }
        let key = request.groups.and_then(|groups| groups.get(name));
        if let (Some(key), Some(slot)) = (key, group.get("$group_key")) {
            slots.set(slot, key);
        }
        keys.push(key.map_or(GroupKey::None, |key| GroupKey::from_value(key, text)));
    }
}

/// The location into slots that the request left absent or null; what it sent wins (`evaluation.md` D15). `true`: it sent
/// something else. Before the plan, because a location in place makes a stored person unnecessary.
fn fill_location<'a>(project: &CompiledProject, scope: &RequestScope<'a>, slots: &mut Slots<'a>) -> bool {
    let (Some(wanted), Some(location)) = (project.location(), scope.location) else {
        return false;
    };
    let mut differs = false;
    for (slot, text) in wanted.iter().zip(location.values()) {
        let (Some(slot), Some(text)) = (*slot, text) else {
            continue;
        };
        let looked_up = PropertyValue::Str(text);
        match slots.get(slot) {
            None | Some(PropertyValue::Null) => slots.set(slot, looked_up),
            Some(sent) => differs |= sent != looked_up,
        }
    }
    differs
}

/// Stored facts as tapes that slots can borrow from.
struct Gathered {
    found: bool,
    person: OwnedTape,
    created_at: Option<String>,
    static_cohort_ids: Vec<i32>,
    groups: Vec<OwnedTape>,
}

struct GatheredNodes<'g> {
    person: Vec<Node<'g>>,
    groups: Vec<Vec<Node<'g>>>,
}

impl Gathered {
    fn nodes(&self) -> GatheredNodes<'_> {
        GatheredNodes {
            person: self.person.nodes(),
            groups: self.groups.iter().map(OwnedTape::nodes).collect(),
        }
    }
}

async fn gather(
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

fn merge<'g>(
    project: &CompiledProject,
    plan: &PlanScratch,
    gathered: &'g Gathered,
    nodes: &'g GatheredNodes<'g>,
    slots: &mut Slots<'g>,
    static_member: &mut BitSet,
) {
    let table = project.properties();
    if gathered.found {
        if let PropertyValue::Object(properties) = PropertyValue::from_tape(&nodes.person) {
            slots.merge_person(table, properties);
        }
        if let Some(created_at) = &gathered.created_at {
            slots.set_created_at(table, created_at);
        }
        let ids = project.static_cohort_ids();
        static_member.reset(ids.len());
        for (position, id) in ids.iter().enumerate() {
            if gathered.static_cohort_ids.contains(id) {
                static_member.insert(position);
            }
        }
    }
    for (group, nodes) in plan.groups.iter().zip(&nodes.groups) {
        if let PropertyValue::Object(properties) = PropertyValue::from_tape(nodes) {
            slots.merge_group(table.group_table(*group), properties);
        }
    }
}

fn reason(error: &GatherError) -> Reason {
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
