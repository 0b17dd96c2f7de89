//! Cohort membership, `evaluation.md` 13.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::dates::Clock;
use super::model::{Case, Filter, OPERATORS};
use super::operators::{self, Verdict};
use super::outcome::Failure;
use super::properties::Properties;

/// A definition as a tree. Malformed parts stay in place, so that the first one in document order can be
/// named.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Group {
        all: bool,
        members: Vec<Node>,
    },
    Property(Value),
    Cohort(Value),
    /// Does not match, before and after negation (13.6).
    Unsupported,
    Broken,
}

/// Cohorts of a request whose preparation ran.
#[derive(Debug)]
pub struct Cohorts<'a> {
    pub case: &'a Case,
    pub person: &'a Properties,
    pub clock: &'a Clock,
}

impl<'a> Cohorts<'a> {
    /// Deleted cohorts are not in the team's list.
    fn find(&self, id: i64) -> Option<&'a Value> {
        self.case
            .cohorts
            .iter()
            .find(|cohort| cohort["id"].as_i64() == Some(id) && cohort["deleted"] != Value::Bool(true))
    }

    /// 13.3. When several things are broken, the first one met depth first in document order decides;
    /// the specification does not rank them.
    pub fn membership(&self, id: i64) -> Result<bool, Failure> {
        self.check(id, &mut Vec::new())?;
        Ok(self.is_member(id))
    }

    fn check(&self, id: i64, path: &mut Vec<i64>) -> Result<(), Failure> {
        if path.contains(&id) {
            return Err(Failure::CohortCycle);
        }
        let cohort = self.find(id).ok_or(Failure::CohortNotFound)?;
        path.push(id);
        if let Some(tree) = definition(cohort) {
            self.check_tree(&tree, path)?;
        }
        path.pop();
        Ok(())
    }

    fn check_tree(&self, node: &Node, path: &mut Vec<i64>) -> Result<(), Failure> {
        match node {
            Node::Group { members, .. } => members
                .iter()
                .try_for_each(|member| self.check_tree(member, path)),
            Node::Cohort(filter) => self.check(cohort_id(Filter(filter))?, path),
            Node::Broken => Err(Failure::CohortFilters),
            Node::Property(_) | Node::Unsupported => Ok(()),
        }
    }

    /// Membership of a cohort that passed the check.
    fn is_member(&self, id: i64) -> bool {
        let Some(cohort) = self.find(id) else {
            return false;
        };
        if cohort["is_static"] == Value::Bool(true) {
            return self
                .case
                .person
                .as_ref()
                .is_some_and(|person| person.static_cohorts.contains(&id));
        }
        definition(cohort).is_some_and(|tree| self.holds(&tree, false))
    }

    fn holds(&self, node: &Node, in_and: bool) -> bool {
        match node {
            Node::Group { all: true, members } => members.iter().all(|member| self.holds(member, true)),
            Node::Group { all: false, members } => members.iter().any(|member| self.holds(member, false)),
            Node::Property(filter) => {
                let filter = Filter(filter);
                let matched = operators::apply(filter, self.person, self.clock) == Verdict::Match;
                matched != filter.negation()
            }
            Node::Cohort(filter) => {
                let filter = Filter(filter);
                let member = cohort_id(filter).is_ok_and(|id| self.is_member(id));
                let matched = apply_operator(filter, member);
                // 13.4: negation of a cohort leaf counts in AND lists only.
                if in_and {
                    matched != filter.negation()
                } else {
                    matched
                }
            }
            Node::Unsupported | Node::Broken => false,
        }
    }

    /// Whether the cohort, or one it refers to, has a part that is not evaluated here (10.1).
    pub fn has_unsupported_part(&self, id: i64, shallow: bool) -> bool {
        self.unsupported_below(id, shallow, &mut BTreeSet::new())
    }

    fn unsupported_below(&self, id: i64, shallow: bool, seen: &mut BTreeSet<i64>) -> bool {
        if !seen.insert(id) {
            return false;
        }
        let Some(tree) = self.find(id).and_then(definition) else {
            return false;
        };
        let mut open = vec![&tree];
        while let Some(node) = open.pop() {
            match node {
                Node::Unsupported => return true,
                Node::Group { members, .. } => open.extend(members),
                Node::Cohort(filter) if !shallow => {
                    if cohort_id(Filter(filter)).is_ok_and(|id| self.unsupported_below(id, shallow, seen)) {
                        return true;
                    }
                }
                Node::Cohort(_) | Node::Property(_) | Node::Broken => {}
            }
        }
        false
    }
}

/// Target of a cohort filter: a JSON integer and nothing else (13.1).
pub fn cohort_id(filter: Filter<'_>) -> Result<i64, Failure> {
    filter
        .value()
        .and_then(Value::as_i64)
        .ok_or(Failure::CohortFilters)
}

/// `in` by default, `not_in`, anything else never holds.
pub fn apply_operator(filter: Filter<'_>, member: bool) -> bool {
    match filter.operator() {
        None | Some("in") => member,
        Some("not_in") => !member,
        Some(_) => false,
    }
}

/// The tree of a cohort; none for static cohorts and cohorts without a definition.
fn definition(cohort: &Value) -> Option<Node> {
    if cohort["is_static"] == Value::Bool(true) {
        return None;
    }
    match &cohort["filters"] {
        Value::Null => legacy(&cohort["groups"]),
        filters => Some(outer_group(&filters["properties"])),
    }
}

/// The outermost group: AND or OR (13.2).
fn outer_group(value: &Value) -> Node {
    match value["type"].as_str() {
        Some("AND" | "OR") => group(value),
        _ => Node::Broken,
    }
}

fn group(value: &Value) -> Node {
    let all = match value["type"].as_str() {
        Some("OR") => false,
        Some("AND" | "property") => true,
        _ => return Node::Broken,
    };
    match &value["values"] {
        Value::Array(members) => Node::Group {
            all,
            members: members.iter().map(member).collect(),
        },
        _ => Node::Broken,
    }
}

/// A nested group if it has `values`, otherwise a leaf.
fn member(value: &Value) -> Node {
    if value.get("values").is_some() {
        group(value)
    } else {
        leaf(value)
    }
}

fn leaf(value: &Value) -> Node {
    let operator = &value["operator"];
    let known = operator.is_null() || operator.as_str().is_some_and(|name| OPERATORS.contains(&name));
    match value["type"].as_str() {
        Some("person" | "person_metadata" | "group" | "flag") if known && value["key"].is_string() => {
            Node::Property(value.clone())
        }
        Some("cohort") if known => Node::Cohort(value.clone()),
        Some("person" | "person_metadata" | "group" | "flag" | "cohort") | None => Node::Broken,
        Some(_) => Node::Unsupported,
    }
}

/// Legacy `groups` (13.6): a list, any of which.
fn legacy(groups: &Value) -> Option<Node> {
    let groups = groups.as_array().filter(|groups| !groups.is_empty())?;
    Some(Node::Group {
        all: false,
        members: groups.iter().map(legacy_group).collect(),
    })
}

fn legacy_group(value: &Value) -> Node {
    if !value["action_id"].is_null() || !value["event_id"].is_null() {
        return Node::Unsupported;
    }
    match &value["properties"] {
        Value::Array(filters) if !filters.is_empty() => Node::Group {
            all: true,
            members: filters.iter().map(legacy_leaf).collect(),
        },
        Value::Object(entries) if entries.contains_key("type") && entries.contains_key("values") => {
            group(&value["properties"])
        }
        Value::Object(entries)
            if !entries.is_empty() && !entries.contains_key("type") && !entries.contains_key("values") =>
        {
            let equality = |(key, value): (&String, &Value)| {
                Node::Property(json!({"key": key, "type": "person", "operator": "exact", "value": value}))
            };
            Node::Group {
                all: true,
                members: entries.iter().map(equality).collect(),
            }
        }
        _ => Node::Unsupported,
    }
}

/// A missing or null `type`, or `event`, means person here.
fn legacy_leaf(value: &Value) -> Node {
    let mut value = value.clone();
    if (value["type"].is_null() || value["type"] == "event")
        && let Value::Object(entries) = &mut value
    {
        entries.insert("type".to_owned(), Value::from("person"));
    }
    leaf(&value)
}
