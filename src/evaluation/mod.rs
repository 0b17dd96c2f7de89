//! One request's evaluation, from a decoded request to the records of its flags:
//! select, fill, plan, gather, evaluate.
//!
//! The only await is in gathering, and most requests skip it. Knows no HTTP; the store is a port.

use std::sync::Arc;
use std::time::Duration;

mod fairness;
mod fill;
mod gather;
mod pool;
mod report;

use crate::context::geo::GeoProperties;
use crate::context::{ContinuityQuery, GatherError, JitteredPause, PersonSource, Retries, gather_continuity};
use crate::engine::value::PropertyValue;
use crate::engine::{
    BitSet, Clock, CompiledProject, ContinuityLookups, EvaluationContext, EvaluationScratch, GroupKey,
    Instant, Level, Parallelism, Plan, PlanScratch, RequestRuntime, Selection, SelectionQuery,
    SelectionScratch, SlicedEvaluation, Slots, recycle,
};
use crate::resilience::RetryBudget;
use crate::span;
use crate::wire::request::FlagRequest;

pub use fairness::{Admitted, Fairness, Turn};
use fill::{fill, fill_location};
use gather::{GatheredNodes, PersonsDeadline, gather, merge, reason};
pub use pool::{EvaluationError, EvaluationPool};
pub use report::{EvaluationReport, Gathering, Merging, OverrideStatus};

/// Name of the spans in which a request waits for what is stored.
const GATHER: &str = "gather";

fn failure(error: &GatherError) -> &'static str {
    reason(error).code()
}

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
    /// Which requests are dear, and their turns.
    pub fairness: Arc<Fairness>,
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
    turn: Option<Turn>,
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

    /// The turn that the last evaluation took, if it was dear: its answer is encoded in it, too.
    #[must_use]
    pub fn take_turn(&mut self) -> Option<Turn> {
        self.turn.take()
    }

    /// Gives back what a team of unusual size left behind.
    pub fn shrink_to_cap(&mut self) {
        /// Slots, records or characters kept between requests.
        const KEPT: usize = 16 * 1024;
        self.clear();
        self.turn = None;
        self.slots.shrink_to(KEPT);
        self.evaluation.results.shrink_to(KEPT);
        if self.text.capacity() > KEPT {
            self.text = String::new();
        }
    }
}

/// Whether the flags that a request selects are dear (`fairness.rs`).
pub fn is_dear(
    project: &CompiledProject,
    request: &FlagRequest<'_>,
    scope: &RequestScope<'_>,
    settings: &EvaluationSettings,
    scratch: &mut Scratch,
) -> bool {
    let selection = project.select(&selection_query(request, scope), &mut scratch.selection);
    settings.fairness.is_dear(selection.cost())
}

/// Evaluates a request that is not dear and needs nothing stored and no turn on the pool, which is most of them: without an
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
    if settings.fairness.is_dear(selection.cost()) {
        return None;
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
        turn,
    } = scratch;
    let selection = project.select(&selection_query(request, scope), selection);
    evaluation.results.clear();
    *turn = None;
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
        let asking = deadline.bound(gather_continuity(source, query, retries));
        let answer = span::stage(GATHER, asking, failure).await;
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
        let asking = deadline.bound(gather(project, team_id, distinct_id, &keys, plan, source));
        let answer = span::stage(GATHER, asking, failure).await;
        gathering.facts = Some(began.elapsed());
        gathering.facts_failed = answer.is_err();
        gathering.person = !distinct_id.is_empty();
        gathering.groups = plan.groups.len() as u32;
        gathering.static_cohorts = plan.static_cohorts.iter().count() as u32;
        match answer {
            Ok(found) => {
                gathered = found;
                gathered_nodes = gathered.nodes();
                gathering.merging = Some(merge(
                    project,
                    plan,
                    &gathered,
                    &gathered_nodes,
                    &mut filled,
                    static_member,
                ));
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
        None if settings.fairness.is_dear(selection.cost()) => {
            let turn = turn.insert(settings.fairness.turn().await);
            let slice_cost = settings.fairness.slice_cost();
            let mut sliced = SlicedEvaluation::begin(project, selection, &context, slice_cost, evaluation);
            loop {
                turn.slice().await;
                if let Some(summary) = sliced.step(project, selection, &context, evaluation) {
                    break summary;
                }
            }
        }
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
