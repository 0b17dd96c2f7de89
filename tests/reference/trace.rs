//! What an evaluation did, for coverage statistics.

use std::collections::BTreeMap;

/// Counts of operator results.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Operator name to (matched, not matched).
    pub operators: BTreeMap<String, (u64, u64)>,
}

impl Trace {
    /// Counts one filter.
    pub fn count(&mut self, operator: &str, matched: bool) {
        let counts = self.operators.entry(operator.to_owned()).or_default();
        if matched {
            counts.0 += 1;
        } else {
            counts.1 += 1;
        }
    }

    /// Adds the counts of another evaluation.
    pub fn merge(&mut self, other: Self) {
        for (operator, (matched, missed)) in other.operators {
            let counts = self.operators.entry(operator).or_default();
            counts.0 += matched;
            counts.1 += missed;
        }
    }
}
