//! Cohorts: definitions flattened into predicate trees over person slots (`evaluation.md` 13).
//!
//! A broken cohort is settled here: [`Cohorts::error`] is what a flag that targets it fails with.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::bitset::BitSet;
use super::matcher::{Clock, Matcher};
use super::outcome::Reason;
use super::property::{PropertyTable, SlotIndex, Slots};
use crate::definition::{OperatorName, RawCohort};

/// Position of a cohort in [`Cohorts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CohortIndex(pub u32);

/// Chains of cohorts longer than this are refused as unreadable: evaluation recurses along them.
const CHAIN_MAX: usize = 256;

/// All cohorts of one project.
#[derive(Debug, Default)]
pub struct Cohorts {
    cohorts: Vec<Cohort>,
    by_id: HashMap<i32, CohortIndex, ahash::RandomState>,
    static_ids: Vec<i32>,
}

/// One cohort.
#[derive(Debug)]
struct Cohort {
    kind: Kind,
    references: Vec<i64>,
    unsupported: bool,
    /// Settled by [`Cohorts::finish`].
    error: Option<Reason>,
    behavioral: bool,
}

#[derive(Debug)]
enum Kind {
    /// Membership is stored; position among the static cohorts.
    Static(u32),
    /// Membership is computed.
    Dynamic(Node),
    /// No definition: nobody is a member.
    Empty,
    /// The definition does not parse.
    Broken,
}

#[derive(Debug)]
enum Node {
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Property {
        slot: SlotIndex,
        matcher: Matcher,
        negated: bool,
    },
    /// `id` is resolved when the tree is finished; `wanted` is the membership that passes.
    Member {
        id: i64,
        cohort: Option<CohortIndex>,
        wanted: bool,
    },
    Constant(bool),
}

/// Which list a leaf stands in; cohort leaves negate only in the latter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListKind {
    Or,
    And,
}

/// Membership found so far in one request: 0 unknown, 1 no, 2 yes.
#[derive(Debug, Default)]
pub struct CohortMemo(Vec<u8>);

impl CohortMemo {
    /// Forgets everything and makes room for `cohorts`.
    pub fn reset(&mut self, cohorts: &Cohorts) {
        self.0.clear();
        self.0.resize(cohorts.cohorts.len(), 0);
    }
}

/// What membership is judged by.
pub struct CohortFacts<'r, 'a> {
    /// Merged person properties.
    pub slots: &'r Slots<'a>,
    /// Clock and timezone.
    pub clock: Clock<'r>,
    /// Static cohorts (by [`Cohorts::static_ids`]) that the person is in.
    pub static_member: &'r BitSet,
}

impl Cohorts {
    /// Compiles all cohorts of a project, allotting person slots.
    #[must_use]
    pub fn compile(raw: &[RawCohort], table: &mut PropertyTable, zone: &TimeZone) -> Self {
        let mut cohorts = Self::default();
        for raw in raw.iter().filter(|raw| !raw.deleted) {
            let index = CohortIndex(cohorts.cohorts.len() as u32);
            if cohorts.by_id.insert(raw.id, index).is_some() {
                continue;
            }
            let mut parser = Parser {
                table,
                zone,
                references: Vec::new(),
                unsupported: false,
            };
            let kind = if raw.is_static {
                cohorts.static_ids.push(raw.id);
                Kind::Static((cohorts.static_ids.len() - 1) as u32)
            } else {
                parser.definition(raw)
            };
            let Parser {
                references,
                unsupported,
                ..
            } = parser;
            cohorts.cohorts.push(Cohort {
                kind,
                references,
                unsupported,
                error: None,
                behavioral: false,
            });
        }
        cohorts.finish();
        cohorts
    }

    fn finish(&mut self) {
        for at in 0..self.cohorts.len() {
            let mut behavioral = false;
            let mut done = vec![false; self.cohorts.len()];
            self.cohorts[at].error = self.check(at, &mut Vec::new(), &mut done, &mut behavioral).err();
            self.cohorts[at].behavioral = behavioral;
        }
        let by_id = &self.by_id;
        for cohort in &mut self.cohorts {
            if let Kind::Dynamic(tree) = &mut cohort.kind {
                tree.link(by_id);
            }
        }
    }

    /// Depth first in document order: the first broken thing found is the error.
    fn check(
        &self,
        at: usize,
        path: &mut Vec<usize>,
        done: &mut [bool],
        behavioral: &mut bool,
    ) -> Result<(), Reason> {
        let cohort = &self.cohorts[at];
        if path.contains(&at) {
            return Err(Reason::CohortCycle);
        }
        if done[at] {
            return Ok(());
        }
        if matches!(cohort.kind, Kind::Broken) || path.len() >= CHAIN_MAX {
            return Err(Reason::CohortFiltersParsing);
        }
        *behavioral |= cohort.unsupported;
        path.push(at);
        for id in &cohort.references {
            let target = i32::try_from(*id).ok().and_then(|id| self.by_id.get(&id));
            self.check(
                target.ok_or(Reason::CohortNotFound)?.0 as usize,
                path,
                done,
                behavioral,
            )?;
        }
        path.pop();
        done[at] = true;
        Ok(())
    }

    /// The cohort with this id, unless it is missing or deleted.
    #[must_use]
    pub fn get(&self, id: i64) -> Option<CohortIndex> {
        i32::try_from(id).ok().and_then(|id| self.by_id.get(&id).copied())
    }

    /// What a flag that targets the cohort fails with, whoever is asked about.
    #[must_use]
    pub fn error(&self, cohort: CohortIndex) -> Option<Reason> {
        self.cohorts[cohort.0 as usize].error
    }

    /// Whether it, or one that it refers to, has a behavioural part that is not evaluated here.
    #[must_use]
    pub fn is_behavioral(&self, cohort: CohortIndex) -> bool {
        self.cohorts[cohort.0 as usize].behavioral
    }

    /// Ids of the static cohorts, in membership order.
    #[must_use]
    pub fn static_ids(&self) -> &[i32] {
        &self.static_ids
    }

    /// Adds the positions of the static cohorts that membership in a cohort can depend on, itself included, each once.
    pub fn static_positions(&self, id: i64, into: &mut Vec<u32>) {
        let mut seen = std::collections::HashSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Some(CohortIndex(at)) = self.get(id) else {
                continue;
            };
            if !seen.insert(at) {
                continue;
            }
            let cohort = &self.cohorts[at as usize];
            open.extend(&cohort.references);
            if let Kind::Static(position) = cohort.kind
                && !into.contains(&position)
            {
                into.push(position);
            }
        }
    }

    /// Adds the person slots that membership in `cohorts` can depend on.
    pub fn read_slots(&self, mut cohorts: Vec<CohortIndex>, into: &mut BitSet) {
        let mut seen = BitSet::new(self.cohorts.len());
        while let Some(CohortIndex(at)) = cohorts.pop() {
            if !seen.insert(at as usize) {
                continue;
            }
            if let Kind::Dynamic(tree) = &self.cohorts[at as usize].kind {
                tree.read_slots(&mut cohorts, into);
            }
        }
    }

    /// Whether the person is a member. The cohort must have no [`Cohorts::error`].
    #[must_use]
    pub fn is_member(
        &self,
        cohort: CohortIndex,
        facts: &CohortFacts<'_, '_>,
        memo: &mut CohortMemo,
        buffer: &mut String,
    ) -> bool {
        let at = cohort.0 as usize;
        if memo.0[at] != 0 {
            return memo.0[at] == 2;
        }
        let member = match &self.cohorts[at].kind {
            Kind::Static(position) => facts.static_member.contains(*position as usize),
            Kind::Dynamic(tree) => self.holds(tree, facts, memo, buffer),
            Kind::Empty | Kind::Broken => false,
        };
        memo.0[at] = if member { 2 } else { 1 };
        member
    }

    fn holds(
        &self,
        node: &Node,
        facts: &CohortFacts<'_, '_>,
        memo: &mut CohortMemo,
        buffer: &mut String,
    ) -> bool {
        match node {
            Node::All(nodes) => nodes.iter().all(|node| self.holds(node, facts, memo, buffer)),
            Node::Any(nodes) => nodes.iter().any(|node| self.holds(node, facts, memo, buffer)),
            Node::Property {
                slot,
                matcher,
                negated,
            } => {
                let matched = match facts.slots.get(*slot) {
                    Some(value) => matcher.matches(value, facts.clock, buffer),
                    None => matcher.matches_absent(),
                };
                matched != *negated
            }
            Node::Member { cohort, wanted, .. } => {
                cohort.is_some_and(|cohort| self.is_member(cohort, facts, memo, buffer) == *wanted)
            }
            Node::Constant(value) => *value,
        }
    }

    /// Estimated heap bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let trees: usize = self
            .cohorts
            .iter()
            .map(|cohort| match &cohort.kind {
                Kind::Dynamic(tree) => tree.heap_bytes(),
                _ => 0,
            } + cohort.references.capacity() * 8)
            .sum();
        trees
            + self.cohorts.capacity() * size_of::<Cohort>()
            + self.by_id.capacity() * 12
            + self.static_ids.capacity() * 4
    }
}

impl Node {
    fn link(&mut self, by_id: &HashMap<i32, CohortIndex, ahash::RandomState>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter_mut().for_each(|node| node.link(by_id)),
            Self::Member { id, cohort, .. } => {
                *cohort = i32::try_from(*id).ok().and_then(|id| by_id.get(&id).copied());
            }
            Self::Property { .. } | Self::Constant(_) => {}
        }
    }

    fn read_slots(&self, cohorts: &mut Vec<CohortIndex>, into: &mut BitSet) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                nodes.iter().for_each(|node| node.read_slots(cohorts, into));
            }
            Self::Property { slot, .. } => {
                into.insert(slot.0 as usize);
            }
            Self::Member { cohort, .. } => cohorts.extend(*cohort),
            Self::Constant(_) => {}
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes
                .iter()
                .map(|node| size_of::<Self>() + node.heap_bytes())
                .sum(),
            Self::Property { matcher, .. } => matcher.heap_bytes(),
            Self::Member { .. } | Self::Constant(_) => 0,
        }
    }
}

/// Reads one cohort's definition.
struct Parser<'t> {
    table: &'t mut PropertyTable,
    zone: &'t TimeZone,
    references: Vec<i64>,
    unsupported: bool,
}

/// The definition does not parse.
struct Malformed;

impl Parser<'_> {
    fn definition(&mut self, raw: &RawCohort) -> Kind {
        let tree = match &raw.filters {
            Some(Value::Null) | None => match &raw.groups {
                Some(Value::Array(groups)) if !groups.is_empty() => self.legacy(groups),
                _ => return Kind::Empty,
            },
            Some(filters) => match filters.get("properties") {
                Some(group) => self.group(group, true),
                None => Err(Malformed),
            },
        };
        tree.map_or(Kind::Broken, Kind::Dynamic)
    }

    /// A group object: outermost ones are `AND` or `OR`, inner ones also `property`.
    fn group(&mut self, group: &Value, outermost: bool) -> Result<Node, Malformed> {
        let kind = match group.get("type").and_then(Value::as_str) {
            Some("OR") => ListKind::Or,
            Some("AND") => ListKind::And,
            Some("property") if !outermost => ListKind::And,
            _ => return Err(Malformed),
        };
        let values = group.get("values").and_then(Value::as_array).ok_or(Malformed)?;
        let nodes = values
            .iter()
            .map(|value| self.element(value, kind))
            .collect::<Result<_, _>>()?;
        Ok(match kind {
            ListKind::Or => Node::Any(nodes),
            ListKind::And => Node::All(nodes),
        })
    }

    fn element(&mut self, value: &Value, list: ListKind) -> Result<Node, Malformed> {
        if value.get("values").is_some() {
            self.group(value, false)
        } else {
            self.leaf(value, list)
        }
    }

    fn leaf(&mut self, leaf: &Value, list: ListKind) -> Result<Node, Malformed> {
        let negated = match leaf.get("negation") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(negated)) => *negated,
            Some(_) => return Err(Malformed),
        };
        match leaf.get("type").and_then(Value::as_str).ok_or(Malformed)? {
            "person" => self.property(leaf, negated),
            "cohort" => self.member(leaf, negated, list),
            _ => {
                self.unsupported = true;
                Ok(Node::Constant(false))
            }
        }
    }

    fn property(&mut self, leaf: &Value, negated: bool) -> Result<Node, Malformed> {
        let key = leaf.get("key").and_then(Value::as_str).ok_or(Malformed)?;
        let operator = operator(leaf)?.unwrap_or(OperatorName::Exact);
        let matcher = Matcher::compile(operator, leaf.get("value"), self.zone);
        Ok(Node::Property {
            slot: self.table.person_slot(key),
            matcher,
            negated,
        })
    }

    fn member(&mut self, leaf: &Value, negated: bool, list: ListKind) -> Result<Node, Malformed> {
        let id = leaf.get("value").and_then(Value::as_i64).ok_or(Malformed)?;
        self.references.push(id);
        let negated = negated && list == ListKind::And;
        Ok(match operator(leaf)?.unwrap_or(OperatorName::In) {
            OperatorName::In => Node::Member {
                id,
                cohort: None,
                wanted: !negated,
            },
            OperatorName::NotIn => Node::Member {
                id,
                cohort: None,
                wanted: negated,
            },
            // Never counts as membership; only the negation of an AND list can make it pass.
            _ => Node::Constant(negated),
        })
    }

    /// Legacy `groups` (13.6): OR of groups of four shapes.
    fn legacy(&mut self, groups: &[Value]) -> Result<Node, Malformed> {
        let nodes = groups
            .iter()
            .map(|group| self.legacy_group(group))
            .collect::<Result<_, _>>()?;
        Ok(Node::Any(nodes))
    }

    fn legacy_group(&mut self, group: &Value) -> Result<Node, Malformed> {
        let has_event = ["action_id", "event_id"]
            .iter()
            .any(|key| group.get(key).is_some_and(|id| !id.is_null()));
        match group.get("properties") {
            Some(Value::Array(leaves)) if !has_event && !leaves.is_empty() => {
                let nodes = leaves
                    .iter()
                    .map(|leaf| self.legacy_leaf(leaf))
                    .collect::<Result<_, _>>()?;
                Ok(Node::All(nodes))
            }
            Some(object @ Value::Object(entries)) if !has_event && !entries.is_empty() => {
                match (entries.contains_key("type"), entries.contains_key("values")) {
                    (true, true) => self.group(object, false),
                    (false, false) => {
                        let nodes = entries
                            .iter()
                            .map(|(key, value)| Node::Property {
                                slot: self.table.person_slot(key),
                                matcher: Matcher::compile(OperatorName::Exact, Some(value), self.zone),
                                negated: false,
                            })
                            .collect();
                        Ok(Node::All(nodes))
                    }
                    _ => Ok(self.unsupported_leaf()),
                }
            }
            _ => Ok(self.unsupported_leaf()),
        }
    }

    fn legacy_leaf(&mut self, leaf: &Value) -> Result<Node, Malformed> {
        match leaf.get("type") {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) if kind == "event" => {}
            _ => return self.element(leaf, ListKind::And),
        }
        let negated = leaf.get("negation").and_then(Value::as_bool).unwrap_or(false);
        self.property(leaf, negated)
    }

    fn unsupported_leaf(&mut self) -> Node {
        self.unsupported = true;
        Node::Constant(false)
    }
}

fn operator(leaf: &Value) -> Result<Option<OperatorName>, Malformed> {
    match leaf.get("operator") {
        None | Some(Value::Null) => Ok(None),
        Some(name) => serde_json::from_value(name.clone())
            .map(Some)
            .map_err(|_| Malformed),
    }
}
