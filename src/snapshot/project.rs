//! The snapshot of one team.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::metrics::BuildMetrics;
use super::port::{BoxFuture, Changed, Changes, Found, Held, HeldSource, LoadError, Loaded, ProjectSource};
use super::push::PushClock;
use crate::definition::{RawProject, RawTeam};
use crate::engine::{CompiledProject, Flag, compile};
use crate::wire::response::{ConfigFragments, Fragments};

/// Identity of everything that a snapshot was compiled from: hashes of stored bytes, 0 for an input that is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tags {
    /// Team metadata.
    pub team: u64,
    /// Flags entry, or the rows in its place.
    pub flags: u64,
    /// Remote configuration.
    pub config: u64,
    /// Cohorts that were read apart from the flags entry.
    pub cohorts: u64,
    /// Group type mapping.
    pub group_types: u64,
}

/// Everything that the hot path needs to know of one team: compiled flags and their JSON.
#[derive(Debug)]
pub struct ProjectSnapshot {
    /// The team's columns.
    pub team: RawTeam,
    /// Compiled definitions.
    pub project: CompiledProject,
    /// Pre-serialised answers.
    pub fragments: Fragments,
    /// Pre-serialised configuration; `None`: the team has no usable one.
    pub config: Option<ConfigFragments>,
    /// What it was compiled from.
    pub tags: Tags,
    /// Which inputs a reload needs to know of without reading them again.
    pub inputs: KnownInputs,
    /// Flags with experience continuity.
    pub continuity_flags: u32,
    /// Flags that are bucketed by device.
    pub device_flags: u32,
    /// Where the team is counted; set by whoever counts.
    pub team_slot: OnceLock<u16>,
    heap_bytes: usize,
}

/// What a reload asks the snapshot that is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KnownInputs {
    /// Cohorts come from the database, because the flags entry has none.
    pub cohorts_apart: bool,
    /// The group type mapping matters to some flag or cohort.
    pub group_types: bool,
}

impl ProjectSnapshot {
    /// Compiles loaded definitions: milliseconds for large teams, so keep it off the request path.
    #[must_use]
    pub fn build(raw: &RawProject) -> Self {
        Self::build_tagged(raw, Tags::default(), KnownInputs::default())
    }

    /// The same, and remembers what the definitions were read from.
    #[must_use]
    pub fn build_tagged(raw: &RawProject, tags: Tags, inputs: KnownInputs) -> Self {
        let project = compile(raw);
        let fragments = Fragments::build(&project);
        let config = raw.remote_config.as_deref().and_then(ConfigFragments::build);
        let config_bytes = config.as_ref().map_or(0, ConfigFragments::heap_bytes);
        let heap_bytes = size_of::<Self>() + project.heap_bytes() + fragments.heap_bytes() + config_bytes;
        let flags_that =
            |has: fn(&Flag) -> bool| project.flags().iter().filter(|flag| has(flag)).count() as u32;
        Self {
            team: raw.team.clone(),
            continuity_flags: flags_that(Flag::has_continuity),
            device_flags: flags_that(Flag::is_bucketed_by_device),
            team_slot: OnceLock::new(),
            project,
            fragments,
            config,
            tags,
            inputs,
            heap_bytes,
        }
    }

    /// Estimated memory, for the bound of the map.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }
}

impl Held for ProjectSnapshot {
    fn team_id(&self) -> i32 {
        self.team.id
    }

    fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    fn depends_on(change: &Changed) -> bool {
        !matches!(change, Changed::Definitions(_))
    }
}

/// Snapshots, compiled from what a source of projects loads.
pub(super) struct Compiled {
    source: Arc<dyn ProjectSource>,
    metrics: BuildMetrics,
}

impl Compiled {
    /// Compiles what `source` loads.
    pub fn over(source: Arc<dyn ProjectSource>) -> Self {
        Self {
            source,
            metrics: BuildMetrics::default(),
        }
    }
}

impl HeldSource<ProjectSnapshot> for Compiled {
    fn load<'a>(
        &'a self,
        token: &'a str,
        known: Option<&'a ProjectSnapshot>,
    ) -> BoxFuture<'a, Result<Found<ProjectSnapshot>, LoadError>> {
        Box::pin(async move {
            let project = match self.source.load(token, known).await? {
                Loaded::UnknownToken => return Ok(Found::Nothing),
                Loaded::Unchanged(validity) => return Ok(Found::Unchanged(validity)),
                Loaded::Project(project) => project,
            };
            let validity = project.validity;
            let build = move || ProjectSnapshot::build_tagged(&project.raw, project.tags, project.inputs);
            let began = Instant::now();
            let built = tokio::task::spawn_blocking(build).await;
            self.metrics.builds.increment(1);
            self.metrics
                .build_ms
                .record(began.elapsed().as_secs_f64() * 1_000.0);
            let built = built.map_err(|error| LoadError::Corrupt(error.to_string()))?;
            Ok(Found::Value(Arc::new(built), validity))
        })
    }

    fn changed(&self) -> BoxFuture<'_, Result<Changes, LoadError>> {
        self.source.changed()
    }

    fn push_clock(&self) -> Arc<PushClock> {
        self.source.push_clock()
    }
}
