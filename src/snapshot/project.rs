//! The snapshot of one team.

use std::sync::OnceLock;

use crate::definition::{RawProject, RawTeam};
use crate::engine::{CompiledProject, Flag, compile};
use crate::wire::response::Fragments;

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
        let heap_bytes = size_of::<Self>() + project.heap_bytes() + fragments.heap_bytes();
        let flags_that =
            |has: fn(&Flag) -> bool| project.flags().iter().filter(|flag| has(flag)).count() as u32;
        Self {
            team: raw.team.clone(),
            continuity_flags: flags_that(Flag::has_continuity),
            device_flags: flags_that(Flag::is_bucketed_by_device),
            team_slot: OnceLock::new(),
            project,
            fragments,
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
