//! Makes a request smaller, a step at a time, as long as it still shows the difference. Whoever sends the steps says so.

use serde_json::{Map, Value};

use super::compare::Subject;

/// Fields without which a request is another one.
const NEEDED: [&str; 4] = ["token", "$token", "api_key", "distinct_id"];

/// Fields whose entries are left out one by one.
const MAPS: [&str; 5] = [
    "person_properties",
    "$properties",
    "groups",
    "$groups",
    "group_properties",
];

/// One attempt.
#[derive(Debug, Clone)]
enum Step {
    /// Ask for this flag alone.
    OnlyFlag(String),
    /// Without a field.
    Without(String),
    /// Without entries of a map.
    WithoutEntries(&'static str, Vec<String>),
}

/// A body on its way to a smaller one.
#[derive(Debug)]
pub struct Shrinker {
    current: Map<String, Value>,
    steps: std::vec::IntoIter<Step>,
    candidate: Option<Map<String, Value>>,
}

impl Shrinker {
    /// `None`: the body is no JSON object.
    #[must_use]
    pub fn new(body: &[u8], subject: &Subject) -> Option<Self> {
        let Value::Object(current) = serde_json::from_slice(body).ok()? else {
            return None;
        };
        let mut steps = Vec::new();
        if let Subject::Flag(key) = subject {
            steps.push(Step::OnlyFlag(key.clone()));
        }
        let optional = |name: &&String| !NEEDED.contains(&name.as_str());
        steps.extend(
            current
                .keys()
                .filter(optional)
                .map(|name| Step::Without(name.clone())),
        );
        for map in MAPS {
            if let Some(Value::Object(entries)) = current.get(map) {
                let names: Vec<String> = entries.keys().cloned().collect();
                let mut size = names.len().div_ceil(2);
                while size > 0 && names.len() > 1 {
                    steps.extend(
                        names
                            .chunks(size)
                            .map(|part| Step::WithoutEntries(map, part.to_vec())),
                    );
                    size = if size == 1 { 0 } else { size.div_ceil(2) };
                }
            }
        }
        Some(Self {
            current,
            steps: steps.into_iter(),
            candidate: None,
        })
    }

    /// The next body to try. `None`: there is nothing left to leave out.
    pub fn next_candidate(&mut self) -> Option<Vec<u8>> {
        loop {
            let step = self.steps.next()?;
            let candidate = step.apply(&self.current);
            if candidate != self.current {
                let body = serde_json::to_vec(&candidate).ok()?;
                self.candidate = Some(candidate);
                return Some(body);
            }
        }
    }

    /// The last candidate shows the difference, too.
    pub fn accept(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.current = candidate;
        }
    }

    /// The smallest body so far.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.current).unwrap_or_default()
    }
}

impl Step {
    fn apply(&self, body: &Map<String, Value>) -> Map<String, Value> {
        let mut body = body.clone();
        match self {
            Self::OnlyFlag(key) => {
                body.remove("flag_keys_to_evaluate");
                body.insert("flag_keys".to_owned(), Value::from(vec![key.clone()]));
            }
            Self::Without(name) => {
                body.remove(name);
            }
            Self::WithoutEntries(map, names) => {
                if let Some(Value::Object(entries)) = body.get_mut(*map) {
                    entries.retain(|name, _| !names.contains(name));
                }
            }
        }
        body
    }
}
