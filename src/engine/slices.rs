//! An evaluation in slices of bounded cost, between which its caller lets others run.
//!
//! Flags of one stage do not see each other, so a stage can be cut anywhere; dependents see values once their stage is whole.

use std::ops::Range;

use super::evaluate::{EvaluationContext, EvaluationScratch, EvaluationSummary, Parallelism};
use super::project::CompiledProject;
use super::selection::Selection;

/// How far an evaluation has come. Its records are in the scratch that every step is given.
#[derive(Debug)]
pub struct SlicedEvaluation {
    summary: EvaluationSummary,
    at: usize,
    /// Estimated instructions of a slice; a flag that costs more is a slice of its own.
    slice_cost: u64,
}

impl SlicedEvaluation {
    /// Before the first slice.
    #[must_use]
    pub fn begin(
        project: &CompiledProject,
        selection: &Selection,
        context: &EvaluationContext<'_, '_>,
        slice_cost: u64,
        scratch: &mut EvaluationScratch,
    ) -> Self {
        Self {
            summary: project.begin(selection, context, scratch),
            at: 0,
            slice_cost,
        }
    }

    /// Evaluates one slice, of the same evaluation that was begun. The summary with the last one.
    pub fn step(
        &mut self,
        project: &CompiledProject,
        selection: &Selection,
        context: &EvaluationContext<'_, '_>,
        scratch: &mut EvaluationScratch,
    ) -> Option<EvaluationSummary> {
        let mut left = self.slice_cost;
        while let Some(stage) = selection.stages().find(|stage| stage.end > self.at) {
            let part = self.part(project, selection, &stage, &mut left);
            if part.is_empty() {
                return None;
            }
            self.at = part.end;
            project.part(selection, context, Parallelism::NONE, part, stage, scratch);
        }
        self.summary.errors |= scratch.has_failed();
        Some(self.summary)
    }

    /// The flags of a stage that what is left of a slice pays for; a slice that nothing was taken of pays for one flag.
    fn part(
        &self,
        project: &CompiledProject,
        selection: &Selection,
        stage: &Range<usize>,
        left: &mut u64,
    ) -> Range<usize> {
        let mut end = self.at;
        for flag in &selection.order()[self.at..stage.end] {
            let cost = u64::from(project.costs[flag.0 as usize]);
            if cost > *left && *left < self.slice_cost {
                break;
            }
            *left = left.saturating_sub(cost.max(1));
            end += 1;
        }
        self.at..end
    }
}
