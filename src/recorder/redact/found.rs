//! Names of what was kept and changed, for the last line of the file.

use std::collections::BTreeSet;

use crate::recording::End;
use crate::telemetry::log::secrets;

/// Names that are kept of each kind; clients choose some of them.
const NAMES_MAX: usize = 1_000;

/// Of a name.
const NAME_BYTES_MAX: usize = 200;

/// What became of values that answers depend on.
#[derive(Debug, Default)]
pub(super) struct Found {
    kept_properties: BTreeSet<String>,
    changed_properties: BTreeSet<String>,
    kept_ids: BTreeSet<String>,
    changed_ids: BTreeSet<String>,
}

impl Found {
    /// A property that some flag looks at.
    pub fn property(&mut self, name: &str, kept: bool) {
        note(
            if kept {
                &mut self.kept_properties
            } else {
                &mut self.changed_properties
            },
            name,
        );
    }

    /// An id that rollout is computed from.
    pub fn id(&mut self, name: &str, kept: bool) {
        note(
            if kept {
                &mut self.kept_ids
            } else {
                &mut self.changed_ids
            },
            name,
        );
    }

    /// Says it.
    pub fn describe(&self, end: &mut End) {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect();
        end.kept_properties = list(&self.kept_properties);
        end.changed_properties = list(&self.changed_properties);
        end.kept_ids = list(&self.kept_ids);
        end.changed_ids = list(&self.changed_ids);
    }
}

fn note(names: &mut BTreeSet<String>, name: &str) {
    if names.len() < NAMES_MAX && name.len() <= NAME_BYTES_MAX && !names.contains(name) {
        names.insert(secrets(name).into_owned());
    }
}
