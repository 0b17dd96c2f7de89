//! The snapshot of one team.

use crate::definition::{RawProject, RawTeam};
use crate::engine::{CompiledProject, compile};
use crate::wire::response::Fragments;

/// Everything that the hot path needs to know of one team: compiled flags and their JSON.
#[derive(Debug)]
pub struct ProjectSnapshot {
    /// The team's columns.
    pub team: RawTeam,
    /// Compiled definitions.
    pub project: CompiledProject,
    /// Pre-serialised answers.
    pub fragments: Fragments,
    heap_bytes: usize,
}

impl ProjectSnapshot {
    /// Compiles loaded definitions: milliseconds for large teams, so keep it off the request path.
    #[must_use]
    pub fn build(raw: &RawProject) -> Self {
        let project = compile(raw);
        let fragments = Fragments::build(&project);
        let heap_bytes = size_of::<Self>() + project.heap_bytes() + fragments.heap_bytes();
        Self {
            team: raw.team.clone(),
            project,
            fragments,
            heap_bytes,
        }
    }

    /// Estimated memory, for the bound of the map.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }
}
