//! Dependency properties as SDKs read them: by key, with the chain to evaluate (`storage.md` 3.2, 4.4).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::flag::Flag;
use crate::hypercache::json::Json;
use crate::hypercache::metadata::properties;

/// Names every dependency by key and adds `dependency_chain`.
pub(super) fn rewrite(flags: &mut [Flag<'_>]) {
    let graph = Graph::read(flags);
    let mut chains: HashMap<String, Vec<String>> = HashMap::new();
    for flag in flags {
        let groups = flag.filters.get_mut("groups").map(Json::elements_mut);
        for group in groups.unwrap_or_default() {
            let properties = group.get_mut("properties").map(Json::elements_mut);
            for property in properties.unwrap_or_default() {
                rewrite_property(property, &graph, &mut chains);
            }
        }
    }
}

fn rewrite_property(property: &mut Json<'_>, graph: &Graph, chains: &mut HashMap<String, Vec<String>>) {
    if property.get("type").and_then(Json::as_str) != Some("flag") {
        return;
    }
    let Some(target) = property.get("key").and_then(|key| graph.target(key)) else {
        return;
    };
    let chain = chains
        .entry(target.clone())
        .or_insert_with(|| graph.chain(&target).unwrap_or_default());
    let chain = chain.iter().cloned().map(|key| Json::String(Cow::Owned(key)));
    let chain = Json::Array(chain.collect());
    if let Json::Object(members) = property {
        if graph.dependencies.contains_key(&target) {
            members.insert(Cow::Borrowed("key"), Json::String(Cow::Owned(target)));
        }
        members.insert(Cow::Borrowed("dependency_chain"), chain);
    }
}

struct Graph {
    keys: HashMap<i64, String>,
    /// By key, in the order of the conditions.
    dependencies: HashMap<String, Vec<String>>,
}

impl Graph {
    fn read(flags: &[Flag<'_>]) -> Self {
        let mut graph = Self {
            keys: flags
                .iter()
                .map(|flag| (flag.id(), flag.row.key.clone()))
                .collect(),
            dependencies: HashMap::new(),
        };
        for flag in flags {
            let targets = properties(&flag.filters, "flag");
            let targets = targets.filter_map(|property| graph.target(property.get("key")?));
            let targets = targets.collect();
            graph.dependencies.insert(flag.row.key.clone(), targets);
        }
        graph
    }

    /// The key that a property means: an id that maps to nothing stays as it is.
    fn target(&self, key: &Json<'_>) -> Option<String> {
        let by_id = key.as_id().and_then(|id| self.keys.get(&id).cloned());
        by_id.or_else(|| match key {
            Json::String(text) | Json::Number(text) => Some(text.to_string()),
            _ => None,
        })
    }

    /// Depth first, dependencies before dependents, the target last; `None` when anything on the way is missing or cyclic.
    fn chain(&self, target: &str) -> Option<Vec<String>> {
        let mut chain = Vec::new();
        let mut done: HashSet<&str> = HashSet::new();
        let mut entered: HashSet<&str> = HashSet::new();
        let (root, children) = self.dependencies.get_key_value(target)?;
        entered.insert(root);
        // A stack of its own: a chain may be as long as the list of flags.
        let mut stack = vec![(root.as_str(), children.iter())];
        while let Some((key, children)) = stack.last_mut() {
            let Some(child) = children.next() else {
                done.insert(key);
                chain.push((*key).to_owned());
                stack.pop();
                continue;
            };
            if done.contains(child.as_str()) {
                continue;
            }
            let (child, children) = self.dependencies.get_key_value(child)?;
            if !entered.insert(child) {
                return None;
            }
            stack.push((child, children.iter()));
        }
        Some(chain)
    }
}
