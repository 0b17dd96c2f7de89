//! Differences by flag, counted, each with the smallest request that showed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compare::{Difference, Field, Subject};
use super::request::Request;

/// Flags that are told apart; projects of tests have thousands, and a report of more is read by nobody.
const SUBJECTS_MAX: usize = 2_000;

/// A request that shows a difference.
#[derive(Debug, Clone)]
pub struct Example {
    /// What differs.
    pub difference: Difference,
    /// The request, tokens hashed where they were.
    pub request: Arc<Request>,
    /// Whether it was made smaller than any that was recorded.
    pub shrunk: bool,
}

/// What was found of one flag.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Requests by what differed.
    pub fields: BTreeMap<Field, u64>,
    /// The smallest request.
    pub example: Example,
}

/// All that was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    by_subject: BTreeMap<Subject, Finding>,
    /// Differences of flags beyond the bound.
    pub others: u64,
}

impl Findings {
    /// Counts the differences of one request.
    pub fn add(&mut self, request: &Arc<Request>, differences: Vec<Difference>) {
        for difference in differences {
            if let Some(finding) = self.by_subject.get_mut(&difference.subject) {
                *finding.fields.entry(difference.field).or_default() += 1;
                if request.body.len() < finding.example.request.body.len() {
                    finding.example = Example {
                        difference,
                        request: Arc::clone(request),
                        shrunk: false,
                    };
                }
            } else if self.by_subject.len() < SUBJECTS_MAX {
                let finding = Finding {
                    fields: BTreeMap::from([(difference.field, 1)]),
                    example: Example {
                        difference: difference.clone(),
                        request: Arc::clone(request),
                        shrunk: false,
                    },
                };
                self.by_subject.insert(difference.subject, finding);
            } else {
                self.others += 1;
            }
        }
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_subject.is_empty()
    }

    /// Flags with differences, the answer as a whole first.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Finding)> {
        self.by_subject.iter()
    }

    /// The same, to make examples smaller.
    pub fn examples_mut(&mut self) -> impl Iterator<Item = &mut Example> {
        self.by_subject.values_mut().map(|finding| &mut finding.example)
    }
}
