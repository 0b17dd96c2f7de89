//! `evaluation_metadata`: stages and closures of dependencies between flags (`storage.md` 4.2).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::json::{Json, object};

/// Direct dependencies by flag id, for every flag of the payload; inactive flags have none.
pub type Dependencies = BTreeMap<i64, BTreeSet<i64>>;

/// Dependency data of one payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Flags that can be evaluated together, dependencies first. Cycles and what is behind them are in no stage.
    pub stages: Vec<Vec<i64>>,
    /// Flags with a missing or cyclic dependency, near or far.
    pub broken: BTreeSet<i64>,
    /// All dependencies, near and far, that are in the payload.
    pub closures: BTreeMap<i64, BTreeSet<i64>>,
}

/// Ids that a flag's conditions name: integer keys of `flag` properties in `groups`.
#[must_use]
pub fn direct_dependencies(filters: &Json<'_>) -> BTreeSet<i64> {
    properties(filters, "flag")
        .filter_map(|property| property.get("key")?.as_id())
        .collect()
}

/// Properties of one type in the groups of `filters`.
pub(super) fn properties<'t, 'a>(
    filters: &'t Json<'a>,
    wanted: &'static str,
) -> impl Iterator<Item = &'t Json<'a>> {
    let groups = filters.get("groups").map(Json::elements).unwrap_or_default();
    groups
        .iter()
        .flat_map(|group| group.get("properties").map(Json::elements).unwrap_or_default())
        .filter(move |property| property.get("type").and_then(Json::as_str) == Some(wanted))
}

impl Metadata {
    /// Layers the flags.
    #[must_use]
    pub fn compute(dependencies: &Dependencies) -> Self {
        let mut metadata = Self::default();
        let mut degree: BTreeMap<i64, usize> = BTreeMap::new();
        let mut dependents: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (flag, direct) in dependencies {
            let known = direct.iter().filter(|id| dependencies.contains_key(id));
            let mut count = 0;
            for dependency in known {
                dependents.entry(*dependency).or_default().push(*flag);
                count += 1;
            }
            degree.insert(*flag, count);
            if count < direct.len() {
                metadata.broken.insert(*flag);
            }
        }
        let mut layer: Vec<i64> = degree
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(id, _)| *id)
            .collect();
        while !layer.is_empty() {
            let mut next = BTreeSet::new();
            for flag in &layer {
                metadata.close(*flag, dependencies);
                degree.remove(flag);
                for dependent in dependents.get(flag).into_iter().flatten() {
                    if let Some(count) = degree.get_mut(dependent) {
                        *count -= 1;
                        if *count == 0 {
                            next.insert(*dependent);
                        }
                    }
                }
            }
            metadata.stages.push(layer);
            layer = next.into_iter().collect();
        }
        // What is left waits for itself.
        metadata.broken.extend(degree.into_keys());
        metadata
    }

    fn close(&mut self, flag: i64, dependencies: &Dependencies) {
        let mut closure = BTreeSet::new();
        for dependency in dependencies.get(&flag).into_iter().flatten() {
            if !dependencies.contains_key(dependency) {
                continue;
            }
            closure.insert(*dependency);
            closure.extend(self.closures.get(dependency).into_iter().flatten());
            if self.broken.contains(dependency) {
                self.broken.insert(flag);
            }
        }
        self.closures.insert(flag, closure);
    }

    /// The member of the payload; every flag has a closure there, empty where it is undefined.
    #[must_use]
    pub fn to_json(&self, dependencies: &Dependencies) -> Json<'static> {
        let ids =
            |ids: &mut dyn Iterator<Item = &i64>| Json::Array(ids.map(|id| Json::integer(*id)).collect());
        let closures = dependencies.keys().map(|flag| {
            let mut closure = self.closures.get(flag).into_iter().flatten();
            (Cow::Owned(flag.to_string()), ids(&mut closure))
        });
        object([
            (
                "dependency_stages",
                Json::Array(self.stages.iter().map(|stage| ids(&mut stage.iter())).collect()),
            ),
            ("flags_with_missing_deps", ids(&mut self.broken.iter())),
            ("transitive_deps", Json::Object(closures.collect())),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_of_the_specification() {
        let direct: [(i64, &[i64]); 9] = [
            (1, &[]),
            (2, &[1]),
            (3, &[2, 99]),
            (4, &[3]),
            (5, &[6]),
            (6, &[5]),
            (7, &[5]),
            (8, &[8]),
            (9, &[]),
        ];
        let dependencies: Dependencies = direct
            .into_iter()
            .map(|(flag, ids)| (flag, ids.iter().copied().collect()))
            .collect();
        let metadata = Metadata::compute(&dependencies);
        assert_eq!(
            metadata.to_json(&dependencies).canonical(),
            r#"{"dependency_stages": [[1, 9], [2], [3], [4]], "flags_with_missing_deps": [3, 4, 5, 6, 7, 8], "#
                .to_owned()
                + r#""transitive_deps": {"1": [], "2": [1], "3": [1, 2], "4": [1, 2, 3], "5": [], "6": [], "#
                + r#""7": [], "8": [], "9": []}}"#
        );
        assert_eq!(Metadata::compute(&Dependencies::new()), Metadata::default());
    }
}
